"""The schema of records: what is written passes through it, and a field that it does not declare is refused by name."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.config import PRESETS, Budget
from bench.cost.account import Setting, account
from bench.cost.check import compare
from bench.environment import environment, start
from bench.errors import BadInput, RunFailed
from bench.quality.classifier import AttributeClassifier
from bench.quality.score import Extraction, Scorer, curve
from bench.record import Data, Environment, Measurements, Record
from bench.record.cost import Cost, PeakMemory, Training
from bench.record.quality import EFFICIENTNET
from bench.runs.train import training_log
from bench.runs.worker import declared as declared_by_worker
from bench.runs.worker import describe
from bench.storage.records import read_record
from bench.training.trainer import TrainingLog
from tests.conftest import TINY
from tests.less import measured_less
from tests.made_up import complete_record

ROOT = Path(__file__).parent.parent
RECORDS = sorted(ROOT.glob("results/*/records/*.json"))
FREE = {"versions", "per_attribute", "distance", "memorisation", "levels", "guidance", "probe_seconds_per_step",
        "untrained", "ceiling", "chance", "noisy", "blurred", "look_alike"}  # whose keys are names  # fmt: skip


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parent.parent.name}/{path.stem}")
def test_a_committed_record_is_what_would_be_written_again(path):
    assert read_record(path).to_json() == path.read_text()


def declared(fields, path=()):
    """The path of every declared field that stands in a record, one of each list."""
    if isinstance(fields, list):
        yield from declared(fields[0], (*path, 0)) if fields else ()
    elif isinstance(fields, dict):
        named = bool(path) and path[-1] in FREE
        for key, value in fields.items():
            if not named:
                yield (*path, key)
            yield from declared(value, (*path, key))


def test_every_misspelt_field_is_refused_by_name(config, tmp_path):
    sizes = replace(config.sizes, budgets=(Budget("images", 300),))
    whole = complete_record(replace(config, sizes=sizes, budget_steps=(18,))).to_json()
    paths = list(declared(json.loads(whole)))
    assert len(paths) > 200
    for path in paths:
        fields = json.loads(whole)
        parent = fields
        for key in path[:-1]:
            parent = parent[key]
        parent[f"{path[-1]}_"] = parent.pop(path[-1])
        (tmp_path / "record.json").write_text(json.dumps(fields))
        name = ".".join(map(str, (*path[:-1], f"{path[-1]}_")))
        words = "schema_version None" if path == ("schema_version",) else f"record.json has an unknown field {name}: "
        with pytest.raises(BadInput, match=re.escape(words)):
            read_record(tmp_path / "record.json")


def test_what_is_measured_of_cost_is_declared():
    for mixed_precision in ("no", "bf16"):
        Cost(**account("scratch", Setting(50, 16, TINY, 4, mixed_precision)))
    untraced = account("tests.plug_in:build_curious", Setting(50, 16, TINY, 4))
    assert Cost(**untraced).flops_per_image is None
    PeakMemory(**compare(None, None))


def test_what_is_scored_is_declared(parts, tmp_path):
    judge, asked = AttributeClassifier(parts.train.schema.cardinalities), parts.test
    points = [{"steps": n, "images": 8 * n, "seconds": 1.0, "validation": {"raw": [0.5]}} for n in (1, 2)]
    log = {"images_per_epoch": 8, "points": points}
    with measured_less():
        scorer = Scorer(judge, parts, asked, Extraction({EFFICIENTNET: None}, "cpu", tmp_path))
        found = Measurements(
            **scorer.score(asked.images),
            references=scorer.references(len(asked)),
            guidance=scorer.guidance([(2.0, asked.images)]),
            sampler=scorer.samplers(asked.images, parts.train.images[: len(asked)]),
            curve=curve({2: scorer.brief(asked.images)}, log, {}, None),
        )
    assert found.distance[EFFICIENTNET].generated == len(asked)
    assert (found.exact.macro.value, found.paired.colour.value) == (1, 0)
    assert found.references.real.exact.all_right.value == 1
    assert found.references.retrieval.paired.colour.value > 0
    assert [point.samples for point in found.curve] == [None, len(asked)]
    assert Data(**describe(parts.train, parts)).attributes[0].name == parts.train.schema.names[0]


def test_what_is_noted_of_training_and_of_the_machine_is_declared(config):
    log = TrainingLog(seconds_per_epoch=[1.0], validation=[{"raw": [0.5] * 8}], starts=[start("cpu", "abc", 0)])
    found = Training(**training_log(log, config, 100))
    assert found.main_steps == 3 * (100 // 16)  # no budgets: of all epochs
    assert found.starts[0].commit == "abc"
    assert found.validation[0].averaged is None
    assert Environment(**environment("cpu", None), training_code="abc").threads > 0


def test_a_producers_misspelt_field_is_an_error(config):
    with pytest.raises(ValueError, match="bussy_share"):
        Training(**training_log(TrainingLog(seconds_per_epoch=[1.0]), config, 100), bussy_share=0.5)


def test_a_number_that_a_record_does_not_take_fails_the_run_by_name():
    wrong = {"sampling": {"seconds": float("nan"), "images": 1}}
    with pytest.raises(RunFailed, match=r"its measurements have sampling\.seconds = NaN \(should be a finite number\)"):
        declared_by_worker(wrong)


def test_no_table_reads_a_record_by_string_paths():
    for path in (ROOT / "bench").rglob("*.py"):
        assert not re.search(r"\bat\(\"", path.read_text()), path


PROGRAM = "import sys; {}; assert not {{{}}} & {{*sys.modules}}"


@pytest.mark.parametrize(
    ("does", "without"),
    [
        ("import bench.render.table.table, bench.render.report.report, bench.storage.records", "'torch', 'diffusers'"),
        ("import bench.commands.cli", "'torch', 'pydantic'"),
    ],
)
def test_what_is_light_stays_light(does, without):
    program = [sys.executable, "-c", PROGRAM.format(does, without)]
    assert subprocess.run(program, check=False, cwd=ROOT, timeout=300).returncode == 0


def test_the_schema_names_every_field_of_the_configuration():
    schema = Record.model_json_schema()["$defs"]
    assert set(schema["Sizes"]["properties"]) == set(vars(PRESETS["smoke"]))
