"""The README of all results is what the records and pictures beside it say."""

import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest

from bench.commands.cli import main
from bench.errors import BadInput
from bench.render.report.overview import write_overview

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"


def test_the_committed_one_is_up_to_date(tmp_path):
    shutil.copytree(RESULTS, tmp_path / "results", ignore=shutil.ignore_patterns(".work", "local"))
    (tmp_path / "results" / "README.md").unlink()
    path, refusals = write_overview(tmp_path / "results")
    assert refusals == []
    assert path.read_text() == (RESULTS / "README.md").read_text(), "run `python -m bench overview results`"


def test_every_set_is_in_it_and_every_picture_it_shows_is_there():
    text = (RESULTS / "README.md").read_text()
    for folder in RESULTS.iterdir():
        if folder.is_dir() and folder.name != "local":
            assert f"## {folder.name}: " in text
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    assert len(targets) > 60
    assert [target for target in targets if not (RESULTS / unquote(target)).exists()] == []
    shown = {target for target in targets if target.startswith("laptop/")}
    for name in ("scratch", "diffusers-32"):
        here = f"laptop/images/{name}-matched-seed0"
        strips = [f"epoch-{n:02d}.png" for n in (1, 2)] + [f"guidance-{g}.png" for g in (0, 1, 2, 3, 5, 7, 9)]
        for file in [*strips, "samples.png", "denoising.gif", "guidance-sweep.gif", "noising.png", "confusions.png"]:
            assert f"{here}/{file}" in shown
    headings = re.findall(r"^## (.*)$", text, flags=re.M)
    anchors = re.findall(r"^- \[.*\]\(#(.*)\)$", text, flags=re.M)
    assert anchors == [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_a_set_of_which_nothing_can_be_read_is_named_and_the_others_are_shown(tmp_path):
    shutil.copytree("results/smoke", tmp_path / "smoke")
    broken = tmp_path / "broken" / "records"
    broken.mkdir(parents=True)
    (broken / "scratch-matched-seed0.json").write_text("{")
    path, refusals = write_overview(tmp_path)
    assert "smoke: the comparison" in path.read_text()
    assert any("scratch-matched-seed0.json" in line for line in refusals)


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    with pytest.raises(BadInput, match="holds no result sets"):
        write_overview(tmp_path / "nothing")
    assert main(["overview", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_pictures_of_a_set_are_small_enough_to_be_committed():
    sets = [folder for folder in RESULTS.iterdir() if folder.name not in ("local", "claims")]  # git ignores local
    for folder in [*sets, *(RESULTS / "claims").iterdir()]:
        pictures = [path for path in folder.rglob("*") if path.suffix in (".png", ".gif", ".svg")]
        assert sum(path.stat().st_size for path in pictures) < 5e6, folder.name
