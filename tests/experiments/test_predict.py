"""`bench predict`: known power laws are found in records, and what they say of the published sizes is said."""

import json

import pytest

from bench.errors import BadInput
from bench.experiments.predict import full_flop, predict
from bench.render.predict import predict_lines
from bench.storage import durable
from bench.storage.folder import ResultsFolder
from bench.storage.records import read_records
from tests.invoking import ROOT, bench
from tests.made_up import edited

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
    return [each for each in read_records(ROOT / "results" / "laptop") if each.run.seed < 2]


def test_known_laws_are_found_and_what_they_say_of_the_published_sizes(of_laptop):
    found = predict([following(record) for record in of_laptop])
    by_compute = found["laws"]["compute"]["contestants"]
    for name, (height, exponent) in LAWS.items():
        assert (10 ** by_compute[name]["height"], by_compute[name]["exponent"]) == pytest.approx((height, exponent))
        assert by_compute[name]["exponent_interval"] == pytest.approx([exponent, exponent])
        (full,) = {full_flop(record) for record in of_laptop if record.run.contestant == name}
        said = found["published"]["models"][name]
        assert said["pflop"] == pytest.approx(full * found["published"]["images"] / 1e15)
        assert said["colour"] == pytest.approx(height * said["pflop"] ** -exponent)
    (crossing,) = found["laws"]["compute"]["crossings"]
    assert 10 ** crossing["log10_cost"] == pytest.approx(1 / 16)
    assert crossing["between"][0 if crossing["first_is_better_beyond"] else 1] == "diffusers-32"
    assert crossing["share"] == found["published"]["share"] == 1.0
    assert found["published"]["order"] == ["diffusers-32", "scratch"]
    text = "\n".join(predict_lines(found))
    assert "are equally good at 0.06" in text
    assert "beyond that diffusers-32 is better than scratch (100% of the resamples)" in text


def test_seeds_that_differ_give_an_interval_and_one_seed_gives_none(of_laptop):
    spread = predict([following(record, 0.2) for record in of_laptop])["published"]["models"]["scratch"]
    assert spread["interval"][0] < spread["colour"] < spread["interval"][1]
    alone = predict([following(record) for record in of_laptop if record.run.seed == 0])
    assert alone["published"]["models"]["scratch"]["interval"] is None
    assert alone["laws"]["time"]["crossings"][0]["share"] is None
    assert "resamples)" not in "\n".join(predict_lines(alone))


def test_what_cannot_be_compared_is_refused(of_laptop):
    def other(*path):
        def edit(fields):
            fields["config"][path[0]] = path[1] if len(path) == 2 else fields["config"][path[0]] | {path[1]: path[2]}

        return [*of_laptop, edited(of_laptop[0], edit)]

    with pytest.raises(BadInput, match="are of different images"):
        predict(other("data_hash", "another"))
    with pytest.raises(BadInput, match=r"is there by matched at 0\.\d+ and by matched at 0\.5: name runs of one"):
        predict(other("sizes", "learning_rate", 0.5))


def test_too_few_models_for_a_law_are_one_line(of_laptop, tmp_path):
    def two_points(fields):
        del fields["measurements"]["curve"][2:]

    record = edited(of_laptop[0], two_points)
    durable.write_text(ResultsFolder(tmp_path).record(record.run.name), record.to_json())
    done = bench("predict", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "has too few finished models for a law: it takes 3" in done.stderr


def test_the_command_writes_page_document_and_picture(tmp_path):
    done = bench("predict", ROOT / "results" / "laptop", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "predict.md").read_text().startswith(done.stdout)
    assert json.loads((tmp_path / "predict.json").read_text())["published"]["order"]
    assert (tmp_path / "predict.png").stat().st_size > 1000
