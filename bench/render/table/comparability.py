"""Which records may stand together: what has to be alike for times, for image quality, and for a classifier's words."""

from dataclasses import fields
from typing import Any

from bench.config import SOURCE, Recipe
from bench.record import Record
from bench.render.table.column import Column, seeds_of
from bench.render.table.row import MISSING, RestsOn
from bench.variants import split_name

SETTINGS = ("data_hash", "preset", "mixed_precision", "processes")
RECIPE = tuple(field.name for field in fields(Recipe) if field.name not in ("name", "optimisation"))
SCORED_ON = ("data_hash", "preset", "sizes.images", "sizes.image_size")  # what decides which images are drawn
MAY_BE_THEIRS = "A difference in its image quality (‡) may come from these settings."
FREE = ("sizes.learning_rate", "sizes.scale")  # named where they differ, but each contestant may have its own
PEAKS_ALIKE = 1.25  # two measured peaks of one machine differ by less
BUSY = 0.5  # load of other work, per core, above which times are said to be measured beside it
MARKS = {"time": "†", "equal_time": "†", "samples": "‡", "classifier": "‡"}


def settings(record: Record) -> dict[str, Any]:
    """What was set before the run and decides over its numbers, by name."""
    config = record.run.as_dict()
    sizes = {f"sizes.{name}": value for name, value in config["sizes"].items()}
    shared = RECIPE if split_name(record.run.recipe.name)[0] == SOURCE.name else (*RECIPE, "optimisation")
    recipe = {f"recipe.{name}": config["recipe"][name] for name in shared}
    return {name: config[name] for name in SETTINGS} | sizes | recipe


def comparable(a: Record, b: Record) -> bool:
    """Whether two records have the same data, sizes, samples and recipe."""
    ours, theirs = settings(a), settings(b)
    free = FREE if a.run.contestant != b.run.contestant else FREE[:1]  # seeds of another scale are another model's
    return all(ours[name] == theirs.get(name) for name in ours if name not in free)


def machine_name(record: Record) -> str:
    """The device with its instruction set; of a CPU it is said where that was not recorded."""
    device, instructions = record.environment.device, record.environment.instruction_set
    if instructions is None and record.run.device == "cpu":
        instructions = "instruction set not recorded"
    told = instructions is None or record.run.device != "cpu" or instructions in device
    return device if told else f"{device}, {instructions}"


def same_machine(a: Record, b: Record) -> bool:
    """Whether times of two records compare: device, instruction set, threads, version of torch, measured peak."""
    return kind_of_machine(a) == kind_of_machine(b) and peaks_alike(a, b)


def kind_of_machine(record: Record) -> tuple[str, int, str | None]:
    """Device with instruction set, threads, and the version of torch."""
    return machine_name(record), record.environment.threads, record.environment.versions.get("torch")


def peaks_alike(a: Record, b: Record) -> bool:
    """Whether two measured peaks may be of one machine; so they may where one of them was not measured."""
    ours, theirs = a.measurements.machine_peak, b.measurements.machine_peak
    if ours is None or theirs is None or ours.precision != theirs.precision:
        return True
    return 1 / PEAKS_ALIKE <= ours.gemm_flop_per_second / theirs.gemm_flop_per_second <= PEAKS_ALIKE


def same_classifier(a: Record, b: Record) -> bool:
    """Whether the classifiers of two records say the same of held-out real images."""
    ours, theirs = a.measurements.judge, b.measurements.judge
    return ours is None or theirs is None or ours == theirs


def alike(rests_on: RestsOn | None, a: Record, b: Record) -> bool:
    """Whether numbers of two records that rest on this may be averaged, or held against each other."""
    if rests_on is None:
        return True
    if rests_on in ("time", "equal_time"):
        a, b = a.timed[0], b.timed[0]
    more = {"time": same_machine, "equal_time": same_machine, "classifier": same_classifier}.get(rests_on)
    return comparable(a, b) and (more is None or more(a, b))


def grouped(rests_on: RestsOn | None, records: list[Record]) -> list[list[Record]]:
    """The records in groups that are alike."""
    groups: list[list[Record]] = []
    for record in records:
        group = next((group for group in groups if alike(rests_on, group[0], record)), None)
        if group is None:
            groups.append([record])
        else:
            group.append(record)
    return groups


def mark(rests_on: RestsOn | None, record: Record, reference: Record | None) -> str:
    """The sign of a number that rests on something else than the reference's."""
    return "" if rests_on is None or reference is None or alike(rests_on, record, reference) else MARKS[rests_on]


def reference_of(columns: list[Column]) -> Record:
    """The record that all others are held against: the first one that is done."""
    return next((column.lead for column in columns if column.lead.status == "done"), columns[0].lead)


def differences_from(reference: Record, record: Record) -> list[str]:
    """`this, not that` for everything in which a record differs from the reference."""
    ours, theirs = named(record), named(reference)
    found = [
        f"{name} {ours.get(name, MISSING)}, not {theirs.get(name, MISSING)}".strip()
        for name in ours | theirs
        if ours.get(name) != theirs.get(name)
    ]
    if not peaks_alike(record.timed[0], reference.timed[0]):
        found.append(f"measured peak {peak(record.timed[0])}, not {peak(reference.timed[0])}")
    if has_quiet_times(record) != has_quiet_times(reference):
        found.append("times of its own training" if has_quiet_times(reference) else "times of runs of their own")
    if not same_classifier(record, reference):
        found.append(f"another classifier (ceiling {ceiling(record)}, not {ceiling(reference)})")
    return found


def has_quiet_times(record: Record) -> bool:
    return record.timed[0] is not record


def named(record: Record) -> dict[str, Any]:
    """What is compared word for word, under the name that the legend gives it."""
    here = record.environment
    settled = {f"`{name}`": value for name, value in settings(record).items()}
    settled["`data_hash`"] = record.run.data_hash[:12]
    machine = {"on": machine_name(record), "threads": here.threads}
    return (
        machine
        | here.versions
        | settled
        | {"commit": here.commit or MISSING, "training code": here.training_code or MISSING}
    )


def peak(record: Record) -> str:
    found = record.measurements.machine_peak
    return MISSING if found is None else f"{found.gemm_flop_per_second / 1e9:,.0f} GFLOP/s"


def ceiling(record: Record) -> str:
    judge = record.measurements.judge
    return MISSING if judge is None or judge.macro.ceiling is None else f"{judge.macro.ceiling:.3f}"


def comparability_notes(columns: list[Column]) -> list[str]:
    """Everything in which records differ from the first column's, and what follows for comparing."""
    reference = reference_of(columns)
    home = next(column for column in columns if reference in column.records)
    return [note for column in columns for note in column_notes(column, home, reference)]


def column_notes(column: Column, home: Column, reference: Record) -> list[str]:
    """A line for every group of a column's seeds that differ alike, and for those measured beside other work."""
    found: dict[tuple[str, ...], list[Record]] = {}
    for record in column.records:
        found.setdefault(tuple(differences_from(reference, record)), []).append(record)
    other = f"{home.title}, seed {reference.run.seed}" if column is home else home.title
    lines = [
        f"**{who(column, records)} differs from {other}:** {'; '.join(what)}.{consequences(records[0], reference)}"
        for what, records in found.items()
        if what
    ]
    for rests_on, words in APART.items():
        if len(grouped(rests_on, column.records)) > 1:
            lines.append(f"**{column.title}'s seeds {words}")
    return [*lines, *busy_note(column)]


APART: dict[RestsOn, str] = {
    "time": "ran on different machines:** their times stand apart, each with its seeds. Image quality is averaged over "
    "them all the same, as there only rounding differs.",
    "classifier": "were scored by different classifiers:** what these say stands apart, each with its seeds.",
}


def busy_note(column: Column) -> list[str]:
    """A warning where the machine was busy with other work when a run started."""
    busy = [record for record in column.records if load(record) > BUSY]
    if not busy:
        return []
    told = ("up to " if len(busy) > 1 else "") + f"{max(map(load, busy)):.1f}"
    return [f"**{who(column, busy)} was measured beside other work (load {told}):** its times may be too long."]


def load(record: Record) -> float:
    """The most other work, per core, beside the runs that a record's times are of."""
    return max(each.environment.load_average or 0.0 for each in record.timed)


def who(column: Column, records: list[Record]) -> str:
    """The column's title, with the seeds where not all are meant."""
    return column.title if len(records) == len(column.records) else f"{column.title}, {seeds_of(records)},"


def consequences(record: Record, reference: Record) -> str:
    """What of a record does not compare with the reference, or may differ by its settings; with the table's signs."""
    lines = []
    if not alike("time", record, reference):
        lines.append(" Its times (†) do not compare.")
    if not comparable(record, reference):
        same_images = all(settings(record)[name] == settings(reference)[name] for name in SCORED_ON)
        lines.append(f" {MAY_BE_THEIRS if same_images else 'Its image quality (‡) does not compare.'}")
    elif not same_classifier(record, reference):
        lines.append(" What the classifier says of it (‡) does not compare.")
    return "".join(lines)
