"""The data: what is drawn, what is written in Cartoon Set's layout, and what is read back from it."""

import io
import json
import os
import tarfile
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data import avataaars, cartoonset
from bench.data.dataset import split, to_model_space, to_pixels
from bench.data.library import DataRequest, cache_path, load, read, render
from bench.data.schema import Attribute, Schema
from bench.data.tools import export, labelled_grid, verify
from bench.errors import BadInput

EXPORTED = 12


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("set") / "cartoonset10"
    export(path, EXPORTED)
    return path


@pytest.fixture
def damaged(exported, tmp_path):
    """A copy of the exported set to be spoilt."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in exported.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def request(path, size=64, images=100, **more):
    return DataRequest(str(path), images, size, **more)


def test_avataaars_are_the_same_every_time_and_a_longer_set_begins_with_the_shorter(avatars):
    again = render(DataRequest("avataaars", images=20, image_size=16))
    assert torch.equal(again.images, avatars.images[:20])
    assert torch.equal(again.codes, avatars.codes[:20])


def test_avataaars_fill_the_picture_with_colour(avatars):
    assert avatars.images.dtype == torch.uint8
    assert avatars.images.shape == (120, 3, 16, 16)
    assert (avatars.images[:, :, :, 0] == 0).float().mean() > 0.5  # black behind the head
    assert len({image.numpy().tobytes() for image in avatars.images}) > 110


def test_what_cannot_be_seen_is_marked_hidden():
    for label in avataaars.draw_labels(300):
        assert (label["hatColor"] == "hidden") == (label["top"] not in avataaars.HATS)
        assert (label["eyes"] == "hidden") == (label["accessories"] in avataaars.DARK_LENSES)
        covered = label["top"] in avataaars.HATS and label["facialHair"] == "none"
        assert (label["hairColor"] == "hidden") == covered


def test_hidden_attributes_really_leave_no_trace():
    label = next(x for x in avataaars.draw_labels(100) if x["hairColor"] == "hidden")
    pictures = [avataaars.render(label | {"hairColor": colour}, 32) for colour in ("red", "platinum")]
    assert np.array_equal(*pictures)
    label = next(x for x in avataaars.draw_labels(100) if x["hatColor"] == "hidden")
    pictures = [avataaars.render(label | {"hatColor": colour}, 32) for colour in ("pink", "white")]
    assert np.array_equal(*pictures)


def test_every_variant_can_be_seen():
    """Changing an attribute that is said to show changes pixels, at the smallest size in use."""
    base = avataaars.draw_labels(1)[0] | {"top": "bob", "accessories": "none", "facialHair": "none", "eyes": "default"}
    for attribute in avataaars.schema().attributes:
        label = base | ({"top": "hat"} if attribute.name == "hatColor" else {})
        variants = [v for v in attribute.variants if v != attribute.hidden]
        pictures = {avataaars.render(label | {attribute.name: v}, 32).tobytes() for v in variants}
        assert len(pictures) == len(variants), attribute.name


def test_export_has_cartoon_sets_layout(exported):
    names = sorted(path.name for path in exported.iterdir())
    assert sum(name.endswith(".png") for name in names) == EXPORTED
    assert sum(name.endswith(".csv") for name in names) == EXPORTED
    with Image.open(exported / "cs000000.png") as picture:
        assert (picture.size, picture.mode) == ((500, 500), "RGBA")
    first = (exported / "cs000000.csv").read_text().splitlines()[0]
    assert first.split(",")[0] == '"top"'
    assert first.endswith(", 34")


@pytest.mark.parametrize("kind", ["folder", "tgz", "nested"])
def test_what_was_exported_is_read_back(kind, exported, tmp_path):
    path = exported
    if kind == "tgz":
        path = tmp_path / "set.tgz"
        export(path, EXPORTED)
    if kind == "nested":
        path = tmp_path / "cartoonset100k"
        for i, file in enumerate(sorted(exported.glob("cs*"))):
            folder = path / str(i // 2 % 10)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file.name).write_bytes(file.read_bytes())
    found = read(request(path))
    direct = render(DataRequest("avataaars", EXPORTED, 64))
    if kind == "nested":  # read folder by folder
        keys = [codes.tolist() for codes in direct.codes]
        order = [keys.index(codes.tolist()) for codes in found.codes]
        direct = direct.subset(torch.tensor(order))
    assert torch.equal(found.codes, direct.codes)
    assert found.schema.cardinalities == direct.schema.cardinalities
    difference = (found.images.float() - direct.images.float()).abs().mean(dim=(1, 2, 3))
    assert difference.max() < 2  # of 255: the same drawing, rasterised at another size


def test_the_names_of_an_export_survive_and_a_bare_set_has_numbers(exported, damaged):
    assert read(request(exported)).schema == avataaars.schema()
    (damaged / cartoonset.SCHEMA_FILE).unlink()
    bare = read(request(damaged)).schema
    assert bare.attributes[0] == Attribute("top", tuple(map(str, range(34))))


def test_cartoon_sets_own_csv_gives_a_condition_217_wide():
    cardinalities = [3, 2, 2, 3, 2, 14, 4, 7, 15, 111, 5, 11, 10, 12, 7, 3, 3, 3]
    names = (
        ["eye_angle", "eye_lashes", "eye_lid", "chin_length", "eyebrow_weight", "eyebrow_shape", "eyebrow_thickness"]
        + ["face_shape", "facial_hair", "hair", "eye_color", "face_color", "hair_color", "glasses", "glasses_color"]
        + ["eye_slant", "eyebrow_width", "eye_eyebrow_distance"]
    )
    text = "".join(f'"{n}", {c - 1}, {c}\n' for n, c in zip(names, cardinalities, strict=True))
    rows = cartoonset.parse_rows(text, "cs1.csv")
    schema = cartoonset.schema_of(cartoonset.Scan(), rows)
    assert schema.width == 217
    condition = schema.binarise(np.array([[variant for _, variant, _ in rows]]))
    assert condition.sum() == 18
    assert [int(i) for i in np.flatnonzero(condition[0]) + 1] == np.cumsum(cardinalities).tolist()


def test_transparent_becomes_black_and_the_crop_is_the_sources():
    picture = Image.new("RGBA", (500, 500), (255, 255, 255, 0))
    picture.paste((255, 0, 0, 255), (70, 70, 430, 430))  # exactly the 360 pixels of the crop
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    pixels = cartoonset.decode(buffer.getvalue(), 64)
    assert (pixels == np.array([255, 0, 0])).all()
    buffer = io.BytesIO()
    Image.new("RGBA", (500, 500), (255, 255, 255, 0)).save(buffer, "PNG")
    assert not cartoonset.decode(buffer.getvalue(), 64).any()


SPOILT = {
    "truncated": (lambda d: cut(d / "cs000003.png", 0.6), "cs000003.png: is cut short"),
    "empty": (lambda d: (d / "cs000003.png").write_bytes(b""), "cs000003.png: is not a PNG"),
    "text": (lambda d: (d / "cs000003.png").write_text("hello"), "cs000003.png: is not a PNG"),
    "flipped": (lambda d: flip(d / "cs000003.png"), "cs000003.png: cannot be decoded"),
    "jpeg": (lambda d: jpeg(d / "cs000003.png"), "cs000003.png: is not a PNG"),
    "no csv": (lambda d: (d / "cs000003.csv").unlink(), "cs000003.png: has no cs000003.csv"),
    "no png": (lambda d: (d / "cs000003.png").unlink(), "cs000003.csv: has no cs000003.png"),
    "range": (lambda d: edit(d, 0, '"top", 34, 34'), "cs000003.csv line 1: top is 34, allowed are 0 to 33"),
    "negative": (lambda d: edit(d, 0, '"top", -1, 34'), "cs000003.csv line 1: top is -1"),
    "float": (lambda d: edit(d, 1, '"hairColor", 1.5, 11'), "cs000003.csv line 2: hairColor has index '1.5'"),
    "nan": (lambda d: edit(d, 1, '"hairColor", NaN, 11'), "cs000003.csv line 2"),
    "fields": (lambda d: edit(d, 1, '"hairColor", 1'), "cs000003.csv line 2: expected"),
    "twice": (lambda d: edit(d, 1, '"top", 1, 34'), "cs000003.csv line 2: top stands twice"),
    "cardinality": (lambda d: edit(d, 0, '"top", 1, 99'), "attribute top"),
    "unknown": (lambda d: edit(d, 0, '"tops", 1, 34'), "is not as in the other files"),
    "no rows": (lambda d: (d / "cs000003.csv").write_text(""), "cs000003.csv: holds no attribute"),
}


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def jpeg(path):
    Image.new("RGB", (500, 500)).save(path, "JPEG")


def edit(folder, line, text):
    path = folder / "cs000003.csv"
    lines = path.read_text().splitlines()
    lines[line] = text
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", SPOILT)
def test_damage_is_listed_refused_and_skipped_only_on_demand(kind, damaged):
    spoil, message = SPOILT[kind]
    spoil(damaged)
    problems, good = verify(damaged)
    assert good == EXPORTED - 1
    assert len(problems) == 1
    assert message in problems[0]
    with pytest.raises(BadInput) as refusal:
        read(request(damaged))
    assert message in str(refusal.value)
    assert "--skip-bad" in str(refusal.value)
    found = read(request(damaged, skip_bad=True))
    assert (len(found), found.skipped) == (EXPORTED - 1, 1)


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "a/../../evil.csv"])
def test_archives_that_point_outside_are_refused(name, tmp_path):
    path = tmp_path / "set.tgz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(BadInput, match="outside"):
        read(request(path))
    assert [p.name for p in tmp_path.iterdir()] == ["set.tgz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_archives_with_links_or_devices_are_refused(kind, tmp_path):
    member = tarfile.TarInfo("cs1.png")
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "set.tgz", "w:gz") as archive:
        archive.addfile(member)
    with pytest.raises(BadInput, match="link or device"):
        read(request(tmp_path / "set.tgz"))


def test_bombs_and_cut_archives_are_refused(tmp_path, exported):
    with tarfile.open(tmp_path / "bomb.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("cs1.png")
        member.size = 64 * 2**20
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    with pytest.raises(BadInput, match="too large"):
        read(request(tmp_path / "bomb.tgz"))
    export(tmp_path / "cut.tgz", 3)
    cut(tmp_path / "cut.tgz", 0.5)
    with pytest.raises(BadInput, match="download it again"):
        read(request(tmp_path / "cut.tgz"))


def test_missing_empty_and_foreign_paths_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    for path, word in ((tmp_path / "gone", "does not exist"), (tmp_path / "empty", "no Cartoon Set")):
        with pytest.raises(BadInput, match=word):
            read(request(path))
    with pytest.raises(BadInput, match="neither a folder nor"):
        read(request(tmp_path / "notes.txt"))


def test_names_of_every_kind_stay_apart(exported, tmp_path):
    """Case, Unicode form and length make different files, or the file system refuses them itself."""
    folder = tmp_path / "names"
    folder.mkdir()
    stems = ["cs1", "CS1", unicodedata.normalize("NFC", "csé"), unicodedata.normalize("NFD", "csé"), "c" * 240]
    for stem, source in zip(stems, sorted(exported.glob("*.png")), strict=False):
        (folder / f"{stem}.png").write_bytes(source.read_bytes())
        (folder / f"{stem}.csv").write_bytes(source.with_suffix(".csv").read_bytes())
    assert len(read(request(folder))) == len(list(folder.glob("*.png")))


def test_cache_is_keyed_by_content_and_checks_itself(damaged, tmp_path, capsys):
    cache = tmp_path / "cache"
    path = cache_path(request(damaged, size=16), cache)
    first = load(request(damaged, size=16), path)
    assert path.exists()
    assert load(request(damaged, size=16), path).content_hash == first.content_hash
    renamed = damaged.rename(tmp_path / "renamed")
    assert cache_path(request(renamed, size=16), cache) == path  # the name does not count …
    edit(renamed, 0, '"top", 0, 34')
    assert cache_path(request(renamed, size=16), cache) != path  # … the content does
    assert capsys.readouterr().err == ""
    flip(path)
    assert load(request(renamed, size=16), path).content_hash != first.content_hash  # read anew, as it is now
    assert "is damaged (its content is not what was written)" in capsys.readouterr().err
    cut(path, 0.5)
    assert len(load(request(renamed, size=16), path)) == EXPORTED
    assert "is damaged" in capsys.readouterr().err


def test_a_planted_pickle_is_never_run(tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "canary"),)

    wanted = DataRequest("avataaars", 5, 16)
    path = cache_path(wanted, tmp_path)
    path.write_bytes(pickle.dumps(Bomb()))
    assert len(load(wanted, path)) == 5
    assert not (tmp_path / "canary").exists()


def test_split_is_disjoint_stable_and_reports_leaks(avatars):
    parts = split(avatars)
    assert (len(parts.train), len(parts.held_out)) == (108, 12)
    assert torch.equal(split(avatars).held_out.images, parts.held_out.images)
    everything = torch.cat([parts.train.codes, parts.held_out.codes]).tolist()
    assert sorted(everything) == sorted(avatars.codes.tolist())
    twice = replace(avatars, images=avatars.images[:1].repeat(120, 1, 1, 1))
    assert split(twice).leaked == 12


def test_pixels_survive_model_space_and_never_wrap():
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3)[None, None].reshape(1, 3, 16, 16)
    assert to_model_space(pixels).min() == -1
    assert to_model_space(pixels).max() == 1
    assert torch.equal(to_pixels(to_model_space(pixels)), pixels)
    assert to_pixels(torch.tensor([[-3.0, 1.004, 7.0]])).tolist() == [[0, 255, 255]]


def test_schema_parses_attributes_and_offers_the_nearest_names():
    schema = avataaars.schema()
    assert schema.parse("top=bob,eyes=wink") == {"top": 1, "eyes": schema.attributes[6].variants.index("wink")}
    with pytest.raises(BadInput, match="unknown attribute 'tops': try top"):
        schema.parse("tops=bob")
    with pytest.raises(BadInput, match="unknown variant of top 'bobb': try bob"):
        schema.parse("top=bobb")
    with pytest.raises(BadInput, match="name=value"):
        schema.parse("top")
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_preview_labels_its_avatars(avatars):
    grid = labelled_grid(avatars, 4, columns=2, side=64)
    assert grid.width == 128
    below = np.asarray(grid)[64 : 64 + 40, :64]
    assert below.min() < 100  # there is writing
    assert below.max() == 255
