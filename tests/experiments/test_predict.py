"""`bench predict`: known power laws are found in records, and what they say of the published sizes is said."""

import json
import re

import pytest

from bench.commands.cli import main
from bench.config import DEFAULT_CONTESTANTS
from bench.errors import BadInput
from bench.experiments.finished_models import apart
from bench.experiments.predict import full_flop, predict
from bench.render.predict import predict_lines, published_line
from bench.render.table.cost_rows import images_per_second
from bench.storage import durable
from bench.storage.folder import ResultsFolder
from bench.storage.records import read_records
from tests.invoking import ROOT, bench
from tests.made_up import edited, put

LAWS = {"scratch": (4.0, 0.5), "diffusers-32": (2.0, 0.75)}  # ΔE = a · PFLOP^−b; equally good at 1/16 PFLOP


def following(record, spread=0.0):
    """A record whose finished models follow the law of its contestant, the second seed's by `spread` higher."""
    height, exponent = LAWS[record.run.contestant]

    def edit(fields):
        for point in fields["measurements"]["curve"]:
            value = height * (point["training_flop"] / 1e15) ** -exponent
            point["paired"]["colour"] |= {"value": value * (1 + spread * record.run.seed), "interval": None}

    return edited(record, edit)


@pytest.fixture(scope="module")
def of_laptop():
    names = DEFAULT_CONTESTANTS.split(",")  # those with six seeds
    return [each for each in read_records(ROOT / "results" / "laptop") if each.run.contestant in names]


@pytest.fixture(scope="module")
def of_three_sizes(of_laptop):
    """The records that follow their laws, and as many of a half and a quarter as much arithmetic."""

    def smaller(factor):
        def edit(fields):
            fields["config"]["sizes"]["scale"] *= factor
            for point in fields["measurements"]["curve"]:
                point["training_flop"] *= factor

        return edit

    return [following(edited(record, smaller(factor)), 0.01) for factor in (1, 0.5, 0.25) for record in of_laptop]


def test_known_laws_are_found_with_their_crossing(of_laptop):
    found = predict([following(record) for record in of_laptop])
    laws = found["laws"]["PFLOP"]["contestants"]
    for name, (height, exponent) in LAWS.items():
        assert (10 ** laws[name]["height"], laws[name]["exponent"]) == pytest.approx((height, exponent))
        assert laws[name]["exponent_interval"] == pytest.approx([exponent, exponent])
    (crossing,) = found["laws"]["PFLOP"]["crossings"]
    assert 10 ** crossing["log10_cost"] == pytest.approx(1 / 16)
    assert 10 ** crossing["interval"][0] == pytest.approx(1 / 16)
    assert (crossing["better_throughout"], crossing["better_beyond"]) == ("scratch", "diffusers-32")
    assert crossing["share"] == 1.0
    (line,) = [line for line in predict_lines(found) if "equally good" in line and "PFLOP" in line]
    assert "By their laws, scratch is better than diffusers-32 from 0.00255 to 0.0343 PFLOP; " in line
    assert "scratch and diffusers-32 are equally good at 0.06" in line
    assert line.endswith("beyond that diffusers-32 is better (in 100% of the resamples)")


def test_times_are_those_of_quiet_runs_and_of_one_machine_alone(of_laptop):
    found = predict(of_laptop)
    (quiet,) = {images_per_second(each.timed[0]) for each in of_laptop if each.run.contestant == "scratch"}
    points = found["laws"]["seconds"]["contestants"]["scratch"]["points"]
    assert [point["cost"] for point in points] == pytest.approx([point["images"] / quiet for point in points])
    elsewhere = edited(of_laptop[0], put("another", "environment", "device"))
    found = predict([elsewhere, *of_laptop[1:]])
    assert found["laws"]["seconds"]["contestants"] == {}
    assert re.search("timed on different machines: .*another", "\n".join(predict_lines(found)))
    assert found["laws"]["PFLOP"]["contestants"]


def test_budgets_that_end_almost_together_are_one_model(of_laptop):
    (record,) = [each for each in of_laptop if each.run.name == "scratch-matched-seed0"]
    assert [point.images for point in apart(record.measurements.curve)] == [6000, 12000, 23952]


def test_fewer_than_six_seeds_have_no_interval_and_of_others_the_shared_ones_count(of_laptop):
    there = [record for record in of_laptop if record.run.seed < (2 if record.run.contestant == "scratch" else 4)]
    found = predict([following(record, 0.2) for record in there])
    assert found["seeds"] == [0, 1]
    for law in found["laws"]["PFLOP"]["contestants"].values():
        assert law["exponent_interval"] is None
        assert law["band"] == []
    assert {each["share"] for each in found["laws"]["PFLOP"]["crossings"]} == {None}
    assert "resamples)" not in "\n".join(predict_lines(found))


def test_the_published_order_is_predicted_from_three_sizes_and_six_seeds(of_three_sizes):
    found = predict(of_three_sizes)["published"]
    (flop,) = {full_flop(record) for record in of_three_sizes if record.run.contestant == "scratch"}
    assert found["pflop"]["scratch"] == pytest.approx(flop * found["images"] / 1e15)
    assert found["order"] == ["diffusers-32", "scratch"]
    assert found["share"] == 1.0
    assert "images of 64×64: diffusers-32, then scratch (in 100% of the resamples)" in published_line(found)
    for fewer in ([0.125, 0.0625], [0.125]):
        kept = [record for record in of_three_sizes if record.run.sizes.scale in fewer]
        assert predict(kept)["published"] is None
    assert predict([record for record in of_three_sizes if record.run.seed < 5])["published"] is None
    assert predict([record for record in of_three_sizes if record.run.contestant == "scratch"])["published"] is None


def test_laws_that_are_parallel_do_not_cross(of_laptop):
    def same_curve(fields):
        del fields["measurements"]["curve"][3:]
        for number, point in enumerate(fields["measurements"]["curve"], 1):
            point["images"], point["training_flop"], point["paired"]["colour"]["value"] = (
                number,
                1e12 * number,
                9 / number,
            )

    found = predict([edited(record, same_curve) for record in of_laptop])
    (crossing,) = found["laws"]["PFLOP"]["crossings"]
    assert crossing["log10_cost"] is None
    json.dumps(found, allow_nan=False)
    assert "are equally good, and they do not cross" in "\n".join(predict_lines(found))


def test_only_those_asked_for_are_compared_and_codes_that_differ_are_named(of_laptop, tmp_path, capsys):
    folder = ResultsFolder(tmp_path)
    for record in of_laptop:
        code = put("abc" if record.run.seed == 0 else "def", "environment", "training_code")
        durable.write_text(folder.record(record.run.name), edited(record, code).to_json())
    assert main(["predict", str(tmp_path), "--contestants", "scratch", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document["laws"]["PFLOP"]["contestants"]) == ["scratch"]
    assert "**Runs of 2 versions of the training code stand together:** abc, def." in predict_lines(document)
    assert main(["predict", str(tmp_path), "--contestants", "scratchy"]) == 2
    assert "scratch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (put("another", "config", "data_hash"), "differ in data_hash: "),
        (put(0.02, "config", "recipe", "beta_end"), "differ in recipe.beta_end: "),
        (put(0.5, "config", "sizes", "learning_rate"), "at scale 0.125 is there at learning rates 0.5 and at "),
        (put(7, "config", "seed"), None),
    ],
)
def test_what_cannot_be_compared_is_refused(of_laptop, edit, words):
    records = [edited(of_laptop[0], edit), *of_laptop[1:]]
    if words is None:  # another seed alone is left out
        assert predict(records)["seeds"] == [1, 2, 3, 4, 5]
        return
    with pytest.raises(BadInput, match=re.escape(words)):
        predict(records)


def test_a_model_that_is_there_twice_is_refused(of_laptop):
    again = edited(of_laptop[0], put(list(of_laptop[0].run.budget_steps)[:1], "config", "budget_steps"))
    with pytest.raises(BadInput, match="is there twice after"):
        predict([*of_laptop, again])


def test_nothing_finished_and_too_few_models_are_told(of_laptop, tmp_path):
    with pytest.raises(BadInput, match="there is no finished run"):
        predict([])

    def two_points(fields):
        del fields["measurements"]["curve"][2:]

    folder = ResultsFolder(tmp_path)
    durable.write_text(folder.record(of_laptop[0].run.name), edited(of_laptop[0], two_points).to_json())
    done = bench("predict", tmp_path)
    assert done.returncode == 0
    assert "no law: it takes 3 models on the frontier" in done.stdout
    assert "**The published sizes:** nothing is predicted." in done.stdout


def test_the_command_writes_page_document_and_picture(tmp_path):
    laptop = ROOT / "results" / "laptop"
    done = bench("predict", laptop, "--contestants", DEFAULT_CONTESTANTS, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "predict.md").read_text().startswith(done.stdout)
    assert json.loads((tmp_path / "predict.json").read_text())["seeds"] == [0, 1, 2, 3, 4, 5]
    assert (tmp_path / "predict.png").stat().st_size > 1000
