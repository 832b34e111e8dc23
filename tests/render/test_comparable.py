"""What the table says of records that do not compare: other machines, other data, another classifier."""

import pytest

from bench.render.table.row import Section
from bench.render.table.table import table
from tests.made_up import edited, put
from tests.render.conftest import cells_of

TIMESTEPS = ("measurements", "training", "validation_timesteps")


def test_records_that_do_not_compare_are_said_not_to(record):
    assert table([record(), record("diffusers-8")]).warnings == []
    other = edited(record("diffusers-8"), put("fedcba", "config", "data_hash"))
    made = table([record(), other])
    assert made.warnings == made.legend[:1] == [
        "**diffusers-8 differs from scratch:** `data_hash` fedcba, not 0123456789ab. Its times (†) do not compare. "
        "Its image quality (‡) does not compare."
    ]  # fmt: skip
    for label, sign in (("training time per epoch", "†"), ("background: stray pixels", "‡"), ("weights, here", "")):
        ours, theirs = (cell.text for cell in cells_of(made, label))
        assert theirs == ours + sign


def test_quality_by_other_settings_on_the_same_images_may_differ_by_them(record):
    other = edited(record("diffusers-8"), put(0.008, "config", "recipe", "beta_end"))
    warnings = table([record(), other]).warnings
    assert warnings[0].startswith("**diffusers-8 differs from scratch:** `recipe.beta_end` 0.008, not ")
    assert warnings[0].endswith(" A difference in its image quality (‡) may come from these settings.")


def moved(record, **environment):
    """The record as if it had been made in another environment."""
    return edited(record, lambda fields: fields["environment"].update(environment))


def test_seeds_of_other_machines_are_not_averaged_in_times_but_in_quality(record):
    there = moved(record(seed=1, seconds=(9.0, 7.0, 9.0)), device="a CPU, 2 cores, AVX512", instruction_set="AVX512")
    made = table([record(), there])
    (epoch,) = cells_of(made, "training time per epoch")
    assert (epoch.text, epoch.value, epoch.seeds) == ("5.0 s (seed 0) / 8.0 s† (seed 1)", None, 2)
    assert [c.text for c in cells_of(made, "seconds per sample")] == ["0.500 (seed 0) / 0.500† (seed 1)"]
    stray = cells_of(made, "background: stray pixels")[0]
    assert (stray.text, stray.seeds) == ("10.0 % (9.0 % to 11.0 %)", 2)  # both say the same
    assert made.warnings == [
        "**scratch, seed 1, differs from scratch, seed 0:** on a CPU, 2 cores, AVX512, not a CPU, 2 cores, AVX2. Its "
        "times (†) do not compare.",
        "**scratch's seeds ran on different machines:** their times stand apart, each with its seeds. Image quality is "
        "averaged over them all the same, as there only rounding differs.",
    ]


OTHER = {
    "instruction set": {"instruction_set": "AVX512"},  # of a device that calls itself the same
    "instruction set unknown": {"instruction_set": None},
    "threads": {"threads": 1},
    "torch": {"versions": {"torch": "2.11.0"}},
    "device": {"device": "another CPU, AVX2"},
}


@pytest.mark.parametrize("kind", OTHER)
def test_times_of_another_machine_are_marked_and_nothing_else_is(kind, record):
    made = table([record(), moved(record("diffusers-8"), **OTHER[kind])])
    (warning,) = made.warnings
    assert warning.startswith("**diffusers-8 differs from scratch:** ")
    assert "Its times (†) do not compare." in warning
    assert "quality" not in warning
    marked = {row.label for row in made.rows for cell in made.cells(row) if cell.text.endswith(("†", "‡"))}
    assert marked == {
        "training time per epoch", "images/s in training", "achieved GFLOP/s in training", "seconds per training step",
        "… middle half", "… its parts", "seconds per sample", "time floor per image", "share of peak",
        "… peak of GEMM, GFLOP/s", "… of 3×3 convolution, GFLOP/s", "… of attention, GFLOP/s", "… of memory, GB/s",
        "training time after 200 images",
        *(row.label for row in made.rows if row.label.endswith(" after equal time (9.0 s)")),
    }  # fmt: skip
    after = [row.label.split(" after ")[1] for row in made.rows if row.section is Section.BUDGET]
    assert after == ["200 images"] * 6 + ["equal time (9.0 s)"] * 6  # images are counted, not timed
    assert all(cell.text == "5.0 s" or cell.text == "5.0 s†" for cell in cells_of(made, "training time per epoch"))


def test_a_measured_peak_tells_machines_of_one_name_apart(record):
    peak = ("measurements", "machine_peak", "gemm_flop_per_second")
    other = edited(record("diffusers-8"), put(5e10, *peak))
    made = table([record(), other])
    assert made.warnings == [
        "**diffusers-8 differs from scratch:** measured peak 50 GFLOP/s, not 20 GFLOP/s. Its times (†) do not compare."
    ]
    other = edited(other, put(2.1e10, *peak))  # no two measurements are the same
    assert table([record(), other]).warnings == []


def test_another_classifiers_numbers_are_marked(record):
    judged = put({"ceiling": 0.8, "chance": 0.1, "noisy": 0.7, "blurred": 0.7}, "measurements", "judge", "macro")
    other = edited(record("diffusers-32", accuracy=0.6), judged)
    made = table([record(), other])
    assert made.warnings == [
        "**diffusers-32 differs from scratch:** another classifier (ceiling 0.800, not –). What the classifier says of "
        "it (‡) does not compare."
    ]
    assert cells_of(made, "attribute accuracy, macro")[1].text == "0.600 (0.580 to 0.620)‡"
    assert cells_of(made, "training time per epoch")[1].text == "5.0 s"
    again = edited(record(seed=1), judged)
    (cell,) = cells_of(table([record(), again]), "attribute accuracy, macro")
    assert cell.text == "0.800 (0.780 to 0.820) (seed 0) / 0.800 (0.780 to 0.820)‡ (seed 1)"


def test_what_only_may_matter_is_named_and_nothing_is_marked(record):
    other = moved(record("diffusers-8"), commit="def", versions={"torch": "2.15.0", "einops": "0.8"})
    other = edited(other, put(0.1, "config", "sizes", "learning_rate"))
    made = table([record(), other])
    assert made.warnings == [
        "**diffusers-8 differs from scratch:** einops 0.8, not –; `sizes.learning_rate` 0.1, not 0.002; "
        "commit def, not abc."
    ]
    assert not any(cell.text.endswith(("†", "‡")) for row in made.rows for cell in made.cells(row))


def test_seeds_whose_validation_loss_rose_are_named(record):
    def with_losses(seed, *means):
        losses = [{"raw": [mean - 0.1, mean + 0.1], "averaged": None} for mean in means]
        edits = put(losses, "measurements", "training", "validation"), put([5, 9], *TIMESTEPS)
        return edited(record(seed=seed), *edits)

    seeds = [with_losses(0, 0.5, 0.4, 0.3), with_losses(1, 0.5, 0.3, 0.4), with_losses(2, 0.5, 0.6)]
    (said,) = (line for line in table(seeds).warnings if "rose during training" in line)
    assert said.startswith("**scratch, seeds 1, 2: the validation loss rose")
    for steady in ((0.5,), (0.5, 0.502)):  # so little may be chance
        assert not any("rose" in line for line in table([with_losses(0, *steady)]).warnings)


def test_a_recipe_that_has_changed_since_is_told_with_both_values(record):
    then = edited(record(), put(2.0, "config", "recipe", "guidance"))
    said = [line for line in table([then]).warnings if "has changed since" in line]
    assert said == ["**Recipe matched has changed since this was run:** guidance: 2.0, today 1.0."]
    assert [line for line in table([then, record("diffusers-8")]).warnings if "has changed since" in line] == said
    today = edited(then, put(1.0, "config", "recipe", "guidance"), put(7, "config", "recipe", "sampling_steps"))
    assert not any("has changed" in line for line in table([today]).warnings)  # presets choose the steps


def test_a_busy_machine_is_said_to_be_one(record):
    made = table([moved(record(), load_average=0.5), moved(record("diffusers-8"), load_average=3.1)])
    assert made.warnings == ["**diffusers-8 was measured beside other work (load 3.1):** its times may be too long."]
    assert table([moved(record(), load_average=None)]).warnings == []
    both = [moved(record(seed=seed), load_average=load) for seed, load in ((0, 0.9), (1, 2.0), (2, 0.2))]
    assert table(both).warnings == [
        "**scratch, seeds 0, 1, was measured beside other work (load up to 2.0):** its times may be too long."
    ]


def test_of_two_runs_of_one_name_each_is_warned_of(record):
    """As where two folders stand in one table: the second must not hide what is said of the first."""
    training = ("measurements", "training")
    resumed = edited(record(), put(["torch: 2.14 -> 2.15"], *training, "not_bit_identical"))
    busy = edited(moved(record(), threads=1), put(0.5, *training, "busy_share"), put("x", *training, "taken_from"))
    for both in ([resumed, busy], [busy, resumed]):
        warnings = table(both).warnings
        for words in ("is not bit-identical", "ran on a busy machine", "took the trained model of x"):
            assert sum(words in line for line in warnings) == 1


def test_any_other_setting_of_a_recipe_is_told_and_its_quality_is_marked(record):
    other = edited(record("diffusers-8"), put(0.01, "config", "recipe", "beta_start"))
    (warning,) = (line for line in table([record(), other]).warnings if "`recipe.beta_start` 0.01, not 0.0001" in line)
    assert "(‡)" in warning


def test_each_column_has_its_learning_rate_in_the_legend(record):
    names = put("same-rate", "config", "recipe", "name"), put(0.5, "config", "sizes", "learning_rate")
    made = table([record(), edited(record(), *names)])
    rates = [line.partition("Learning rates: ")[2] for line in made.legend if "Learning rates: " in line]
    assert len(rates) == 1
    assert all(column.title in rates[0] for column in made.columns)
    assert rates[0].count("0.5") == 1


def test_the_instruction_set_stands_beside_the_device(record):
    for environment, words in (
        ({}, "a CPU, 2 cores, AVX2, 2 threads"),
        ({"device": "a CPU"}, "a CPU, AVX2, 2 threads"),
        ({"device": "a CPU", "instruction_set": None}, "a CPU, instruction set not recorded, 2 threads"),
    ):
        assert any(line.startswith(words) for line in table([moved(record(), **environment)]).legend)
    gpu = edited(moved(record(), device="H100", instruction_set=None), put("cuda", "config", "device"))
    assert any(line.startswith("H100, 2 threads") for line in table([gpu]).legend)


def test_a_seed_that_was_run_on_two_machines_has_two_columns(record):
    made = table([record(), record(seed=1), moved(record(), threads=1)])
    assert [(column.title, len(column.records)) for column in made.columns] == [("scratch #1", 2), ("scratch #2", 1)]
    assert made.warnings == ["**scratch #2 differs from scratch #1:** threads 1, not 2. Its times (†) do not compare."]


def test_documents_carry_the_marks_and_the_warnings(record):
    made = table([record(), moved(record("diffusers-8"), threads=1)])
    document = made.to_json()
    assert document["warnings"] == made.warnings != []
    (values,) = [row["values"] for row in document["rows"] if row["measure"] == "training time per epoch"]
    assert [values[name]["mark"] for name in ("scratch", "diffusers-8")] == ["", "†"]
    assert values["diffusers-8"]["value"] == 5
