"""`bench check`: a denoiser held against the contract, as a user meets it."""

import json

import pytest

from bench.duties.examine import DUTIES
from bench.render.check import last_line
from tests.invoking import bench

SMALL = ("--image-size", "16", "--scale", "0.03125")
PLAIN, TIMELESS = "tests.plug_in:build", "tests.breaking_plug_in:build_timeless"


@pytest.mark.slow
def test_scratch_meets_every_duty():
    done = bench("check", "scratch", *SMALL, "--json")
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["contestants"]
    assert [duty["status"] for duty in entry["duties"]] == ["ok"] * len(DUTIES)


def test_json_is_one_document_with_the_duties_and_the_costs_beside_scratch():
    done = bench("check", TIMELESS, PLAIN, *SMALL, "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    assert (document["image_size"], document["scale"], document["batch_size"]) == (16, 0.03125, 16)
    timeless, plain = document["contestants"]
    assert (timeless["name"], timeless["broken"], plain["broken"]) == (TIMELESS, 1, 0)
    (broken,) = (each for each in timeless["duties"] if each["status"] == "broken")
    assert broken["duty"] == "reacts_to_the_timestep"
    assert "another timestep changes nothing" in broken["sentence"]
    costs = {each["name"]: each for each in document["costs"]}
    assert list(costs) == ["scratch", TIMELESS, PLAIN]
    assert costs[PLAIN]["parameters"] == 8 * (document["condition_width"] + 2) + 224 + 219
    assert 0 < costs[PLAIN]["predicted_peak_mib"] < costs["scratch"]["predicted_peak_mib"]
    assert 0 < costs[PLAIN]["gflop_per_image"]["forward"] < costs[PLAIN]["gflop_per_image"]["training"]


def test_a_person_reads_a_line_for_each_duty_the_costs_and_what_to_do_next():
    done = bench("check", TIMELESS, "tests.plug_in:build_curious", *SMALL)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == f"{TIMELESS} at 16×16, scale 0.03125"
    assert [line.split()[0] for line in lines[1 : 1 + len(DUTIES)]].count("ok") == len(DUTIES) - 1
    assert "  broken   reacts to the timestep: another timestep changes nothing" in done.stdout
    assert lines[1 + len(DUTIES)] == "broken: 1"
    assert "nothing is broken" in lines
    assert "predicted peak memory, batch 16, MiB" in done.stdout
    assert "reads a tensor's value" in done.stdout  # why its costs are dashes
    asked = "--preset laptop --image-size 16 --scale 0.03125 --contestants scratch,tests.plug_in:build_curious"
    assert lines[-1] == f"To train and compare: python -m bench run {asked}"


def test_where_all_are_broken_the_last_line_says_what_comes_afterwards():
    done = bench("check", "tests.hostile_plug_in:build_that_exits", *SMALL)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert "  –        reacts to the timestep: not checked until it is built and called at this size" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("As soon as nothing is broken: python -m bench run")


@pytest.mark.parametrize(("size", "options"), [((32, 1 / 8), "--preset laptop"), ((64, 1.0), "--preset full")])
def test_a_size_of_a_preset_is_named_by_it(size, options):
    document = {"image_size": size[0], "scale": size[1], "contestants": [{"name": PLAIN, "broken": 0}]}
    assert last_line(document).endswith(f"bench run {options} --contestants scratch,{PLAIN}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tests.plug_in:no_such"], "cannot be loaded"),
        (["no.such:build"], "run this in the folder that holds it"),
        (["tests.plug_in_that_exits:build"], "cannot be imported: it tried to end the process"),
        (["scrach"], "unknown contestant 'scrach': try scratch"),
        (["scratch", "--image-size", "30"], "image size 30"),
        (["scratch", "--scale", "-1"], "'-1' is not a positive number"),
        ([], "the following arguments are required: package.module:build"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(arguments, words):
    done = bench("check", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
