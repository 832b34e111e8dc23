"""The table: a golden one, and what has to be said when records do not compare."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench.cost.terms import PARTS
from bench.errors import BadInput
from bench.record import SCHEMA_VERSION, Record, read_record, read_records, record_path
from bench.render.table import columns, table, write_table
from bench.render.verdict import strength, weakness

GOLDEN = Path(__file__).parent / "golden_table.md"


@pytest.fixture
def record(config):
    """A made-up but complete record: the renderer is tested here, not the measurements."""

    def make(contestant="scratch", seed=0, accuracy=0.8, seconds=(9.0, 4.0, 6.0), tokens=32, **more):
        cost = {
            "parameters": {"total": 1_500_000, "unet": 1_000_000, "tau": 500_000},
            "weights_bytes": 6_000_000,
            "adam_bytes": 12_000_000,
            "gradients_bytes": 6_000_000,
            "ema_bytes": 6_000_000,
            "batch_size": 16,
            "activations": {"saved_bytes": 50_000_000},
            "predicted_peak": {"bytes": 80_000_000},
            "attention": [{"heads": 4, "head_width": 8, "query_tokens": 64, "context_tokens": tokens, "kind": "cross"}],
            "flops_per_image": {"forward": 123_456_789, "training": 370_370_367},
        }
        judged = {
            name: {"accuracy": value, "ceiling": 0.9, "chance": 0.1}
            for name, value in (("top", accuracy), ("eyes", 0.1), ("mouth", 0.5))
        }
        measurements = {
            "blocks": "resnet blocks",
            "cost": cost,
            "full_cost": cost,
            "machine_peak": {"gemm_flop_per_second": 2e10, "convolution_flop_per_second": 1e10},
            "peak_memory": {"measured_bytes": 81_000_000, "prediction_error": 80 / 81 - 1},
            "step": {"seconds": {"total": [1.0, 1.1, 1.2, 1.3]} | {part: [0.1, 0.2, 0.3, 0.4] for part in PARTS}},
            "training": {"seconds_per_epoch": list(seconds), "images_per_epoch": 100, "loss_per_epoch": [0.5, 0.25]},
            "sampling": {"seconds": 8.0, "images": 16},
            "distance": {"efficientnet-lite0": {"frechet_distance": 100 * accuracy, "real": 8, "generated": 8}},
            "attributes": {
                "macro": {"accuracy": accuracy, "ceiling": 0.9, "chance": 0.1},
                "per_attribute": judged,
            },
        }
        run = replace(config, contestant=contestant, seed=seed, data_hash="0123456789abcdef")
        fields = {
            "config": run.as_dict(),
            "environment": {"device": "a CPU", "threads": 2, "versions": {"torch": "2.15.0"}, "commit": "abc"},
            "command": "python -m bench run",
            "status": "done",
            "data": {"images": 120, "held_out": 12, "leaked": 0, "schema": [{"name": n} for n in judged]},
            "measurements": measurements,
            "images": {"example": f"images/{run.name}/example.png"},
        }
        return Record(**(fields | more))

    return make


def test_the_golden_table(record):
    """Change the golden file on purpose only: it is what people see."""
    made = table([record(), record("diffusers-32", accuracy=0.6, seconds=(700.0, 1234.0, 1300.0))]).to_markdown()
    assert made == GOLDEN.read_text()


def test_the_sources_ten_rows_come_first_in_its_order_and_words(record):
    assert [row.label for row in table([record()]).rows][:10] == [
        "number of parameters", "denoising model", "Unet basic blocks", "number of attention heads",
        "training time per epoch", "optimizer", "learning rate schedule", "strength", "weakness", "example",
    ]  # fmt: skip


def cells_of(made, label):
    return next(made.cells(row) for row in made.rows if row.label == label)


def test_one_seed_shows_no_spread_and_several_do(record):
    (one,) = cells_of(table([record()]), "attribute accuracy, macro")
    assert (one.text, one.sd) == ("0.800", None)
    made = table([record(seed=0, accuracy=0.8), record(seed=1, accuracy=0.6)])
    (two,) = cells_of(made, "attribute accuracy, macro")
    assert two.text == "0.700 ± 0.141"
    assert two.seeds == 2
    assert cells_of(made, "all parameters, here")[0].text == "1,500,000"


def test_speed_and_share_of_the_peak_stand_together(record):
    made = table([record()])
    assert cells_of(made, "images/s in training")[0].value == 20
    assert cells_of(made, "achieved GFLOP/s in training")[0].value == pytest.approx(20 * 0.370370367)
    assert cells_of(made, "share of peak")[0].value == pytest.approx(20 * 0.370370367 / 20)
    assert cells_of(made, "seconds per training step")[0].value == pytest.approx(1.15)
    assert cells_of(made, "… its parts")[0].text.startswith("data 16.7 % (125.0 to 375.0 ms); forward 16.7 %")
    assert cells_of(made, "heads × width, here")[0].text == "4×8 (cross 64 → 32 tokens)"


def test_a_single_context_token_is_warned_of(record):
    assert not any("one context token" in line for line in table([record()]).legend)
    assert any("scratch attends to one context token" in line for line in table([record(tokens=1)]).legend)


def test_the_warm_up_epoch_counts_only_where_there_is_no_other(record):
    assert cells_of(table([record(seconds=(100.0, 4.0, 6.0))]), "training time per epoch")[0].value == 5
    assert cells_of(table([record(seconds=(100.0,))]), "training time per epoch")[0].value == 100


def test_what_was_not_measured_is_a_dash_and_a_failure_says_why(record):
    bare = record(measurements={}, images={}, data={})
    failed = record("diffusers-32", measurements={}, images={}, status="failed", error="out of memory")
    made = table([bare, failed])
    assert [c.text for c in cells_of(made, "training time per epoch")] == ["–", "failed: out of memory"]
    assert [c.value for c in cells_of(made, "all parameters, here")] == [None, None]
    json.dumps(made.to_json(), allow_nan=False)


def test_a_seed_that_failed_is_counted(record):
    lost = record(seed=2, measurements={}, images={}, status="failed", error="out of memory")
    made = table([record(seed=0, accuracy=0.8), record(seed=1, accuracy=0.6), lost])
    assert cells_of(made, "attribute accuracy, macro")[0].text == "0.700 ± 0.141 (1 of 3 seeds failed)"


def test_epochs_that_warm_up_after_a_resume_do_not_count(record):
    resumed = record(seconds=(100.0, 4.0, 90.0, 6.0))
    resumed.measurements["training"]["resumed_at_epochs"] = [2]
    assert cells_of(table([resumed]), "training time per epoch")[0].value == 5


def test_presets_never_share_a_column(record):
    other = record()
    other.config["preset"] = "laptop"
    assert [column.title for column in columns([record(), other])] == ["scratch (smoke)", "scratch (laptop)"]
    other = record()
    other.config["data_hash"] = "fedcba"
    assert [column.title for column in columns([record(), other])] == ["scratch #1", "scratch #2"]


def test_records_that_do_not_compare_are_said_not_to(record):
    assert not any("Not comparable" in line for line in table([record(), record("diffusers-8")]).legend)
    other = record("diffusers-8")
    other.config["data_hash"] = "fedcba"
    assert any("differ in `data_hash`" in line for line in table([record(), other]).legend)


def test_recipes_get_columns_of_their_own(record):
    other = record()
    other.config["recipe"] = other.config["recipe"] | {"name": "source"}
    assert [column.title for column in columns([record(), other])] == ["scratch (matched)", "scratch (source)"]


def test_strength_and_weakness_are_drawn_from_the_measurements(record):
    assert strength(record().measurements) == "top (88%), mouth (50%)"
    assert weakness(record().measurements) == "eyes (0%), mouth (50%)"
    assert strength({}) is None


def test_records_round_trip_and_strange_ones_are_refused(record, tmp_path):
    path = record_path(tmp_path, record().run)
    path.parent.mkdir()
    path.write_text(record().to_json())
    assert asdict(read_record(path)) == json.loads(record().to_json())
    assert read_records(tmp_path) == [read_record(path)]
    write_table(tmp_path, read_records(tmp_path))
    assert (tmp_path / "table.md").read_text().startswith("|")
    for content, word in (
        (record().to_json()[:100], "cannot be read"),
        (json.dumps(asdict(record()) | {"schema_version": SCHEMA_VERSION + 1}), "schema_version 2"),
        (json.dumps(asdict(record()) | {"surprise": 1}), "surprise"),
        ("[]", "cannot be read"),
    ):
        path.write_text(content)
        with pytest.raises(BadInput, match=word):
            read_record(path)
