"""`bench samplers`: what it says of each number of steps is what a sampler of so many steps has drawn."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from bench.commands.cli import main
from bench.errors import BadInput
from bench.inference.samplers import fewest, inside, mean_of, refuse_unpaired
from tests.less import measured_less


def test_samplers_are_held_against_all_steps_and_contestants_against_each_other(finished, cache, tmp_path, capsys):
    out = shutil.copytree(finished.out, tmp_path / "tiny")
    names = ["scratch", "tests.plug_in:build"]
    with measured_less():
        status = main(
            ["samplers", str(out), "--contestants", ",".join(names), "--steps=1,2", "--count=4", "--cache", str(cache)]
        )
    said = capsys.readouterr()
    assert status == 0, said.err
    assert said.out == (out / "samplers.md").read_text()
    document = json.loads((out / "samplers.json").read_text())
    assert list(document["contestants"]) == names
    for found in document["contestants"].values():
        by_steps = {row["steps"]: row for row in found["rows"]}
        assert list(by_steps) == [1, 2, 300]
        whole = by_steps[300]
        assert whole["within"]
        assert whole["colour_difference"] == whole["kernel_difference"] == [0.0, 0.0, 0.0]
        for row in found["rows"]:
            apart = row["paired"]["colour"]["value"] - whole["paired"]["colour"]["value"]
            assert row["colour_difference"][0] == pytest.approx(apart, abs=1e-6)
            assert row["kernel_difference"][0] == pytest.approx(row["kid"]["value"] - whole["kid"]["value"], abs=1e-6)
    (between,) = document["differences"]
    assert between["between"] == names
    for row, *rows in zip(between["rows"], *(each["rows"] for each in document["contestants"].values()), strict=True):
        ours, theirs = (each["paired"]["colour"]["value"] for each in rows)
        assert row["colour"][0] == pytest.approx(ours - theirs, abs=1e-6)
        ours, theirs = (each["kernel_difference"][0] for each in rows)
        assert row["kernel_difference"][0] == pytest.approx(ours - theirs, abs=1e-9)
    assert f"Between two of them: {document['fewest_of_differences']}." in said.out


def test_models_of_different_seeds_or_data_are_no_pairs(config):
    refuse_unpaired([config, replace(config, contestant="diffusers-32")])
    for other in (replace(config, seed=5), replace(config, data_hash="0" * 64)):
        with pytest.raises(BadInput, match="differ in seed or data"):
            refuse_unpaired([config, other])


def test_fewer_steps_are_enough_only_where_all_more_of_them_are_for_everyone():
    rows = [{"steps": n, "within": within} for n, within in ((2, True), (5, False), (5, True), (10, True), (300, True))]
    assert fewest(rows) == 10
    assert fewest(rows[:1] + rows[2:]) == 2


def test_within_means_the_whole_interval():
    near = torch.tensor([0.1, 0.2, 0.15, 0.12])
    assert inside(mean_of(near), 0.25)
    assert not inside(mean_of(torch.tensor([0.1, 0.5, -0.3, 0.2])), 0.25)  # the mean alone would be
    assert not inside(mean_of(near + 0.1), 0.25)
