"""Pictures that a page embeds: whole ones from inside the results folder, and nothing else."""

import pytest
from PIL import Image

from bench.render.report.embedded import NotDrawn, Shelf, check_raster, locate, read_picture


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../secret.png", "leads out"), ("images/../../secret.png", "leads out"), ("/etc/passwd", "leads out"),
        ("link.png", "leads out"), ("folder/secret.png", "leads out"), ("record.json", "neither .png"),
        ("gone.png", "not there"), ("a\0b.png", "not there"), ("x" * 5000, "not there"),
        (None, "not in the record"), ("loop.png", "not there"), ("folder.png", "neither .png"),
    ],
)  # fmt: skip
def test_a_path_stays_inside_its_folder_and_leads_to_a_picture(path, reason, tmp_path):
    inside = tmp_path / "results"
    (inside / "folder.png").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "folder").symlink_to(tmp_path)
    (inside / "loop.png").symlink_to(inside / "loop.png")
    (inside / "record.json").write_text("{}")
    with pytest.raises(NotDrawn, match=reason):
        locate(inside.resolve(), path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b""), ("a.png", b"<html>"), ("a.gif", b"GIF89a"), ("a.svg", b"<svg"), ("a.svg", b"<html></html>"),
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 nan 1"/>'),
    ],
)  # fmt: skip
def test_a_damaged_picture_is_named(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    shelf = Shelf(tmp_path)
    assert shelf.take(name, "the picture", "scratch", "alt") is None
    assert shelf.notes() == ["not drawn: the picture of scratch (the file is damaged)"]


def test_a_picture_cut_short_or_that_unpacks_to_gigabytes_is_not_drawn(tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    assert read_picture(tmp_path / "a.png", "alt").width == 64
    with pytest.raises(NotDrawn):
        check_raster(whole[:-100], ".png")
    with pytest.raises(NotDrawn):
        check_raster(whole[:16] + (100_000).to_bytes(4, "big") * 2 + whole[24:], ".png")
