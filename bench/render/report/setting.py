"""What the report says around its tables: the setting, how to read the curves, what stands in a record."""

from bench.record import Measurements, Record
from bench.render.report.quality import few
from bench.render.table.column import Column
from bench.render.table.comparability import machine_name
from bench.render.table.legend import precision_of, training_length
from bench.render.table.row import MISSING

RECORD_KEYS = (
    ("config", "everything that decides the result: contestant, seed, recipe, sizes, data, device, precision"),
    ("environment", "versions, device with its instruction set, threads, load of other work, commit"),
    ("command", "what was typed to make it"),
    ("status, error", "done, or failed and why"),
    ("data", "how many images, how many held out, and the attributes with their variants"),
    ("measurements", f"raw and unrounded, the unit in the name: {', '.join(sorted(Measurements.model_fields))}"),
    ("images", "paths of pictures below the results folder"),
    ("schema_version", "of this layout: a reader refuses one that it does not know"),
)  # fmt: skip


def summary(records: list[Record], refusals: list[str]) -> str:
    """`4 runs of 2 contestants, all finished; 1 record left out`."""
    failed = sum(record.status == "failed" for record in records)
    names = {record.run.contestant for record in records}
    ended = f"{failed} failed" if failed else "all finished" if len(records) > 1 else "finished"
    lost = f"; {plural(len(refusals), 'record')} left out" if refusals else ""
    return f"{plural(len(records), 'run')} of {plural(len(names), 'contestant')}, {ended}{lost}"


def plural(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")


def facts(records: list[Record]) -> list[tuple[str, str]]:
    """The setting of the first finished run, in words; the notes say where others differ."""
    first = next((record for record in records if record.status == "done"), records[0])
    run, sizes, images = first.run, first.run.sizes, first.data.images
    seeds = ", ".join(str(seed) for seed in sorted({record.run.seed for record in records}))
    return [
        ("Preset and recipe", f"{run.preset}, {run.recipe.name}, seed {seeds}"),
        ("Images", f"{MISSING if images is None else images} of {run.data}, {sizes.image_size}×{sizes.image_size}"),
        ("Training", f"{training_length(first)}, in batches of {sizes.batch_size}, {sizes.scale:g} of the published "
                     "channels"),
        ("Scored on", f"{sizes.samples} samples, {run.recipe.sampler.upper()} in {run.recipe.sampling_steps} steps, "
                      f"guidance {run.recipe.guidance:g}"),
        ("Machine", f"{machine_name(first)}, {precision_of(first)}"),
        ("Made by", f"`{first.command}`"),
    ]  # fmt: skip


def quality_notes(columns: list[Column]) -> list[str]:
    """How to read the curves and the sweep."""
    done = [column.records[0].measurements for column in columns if column.records[0].measurements.curve]
    if not done:
        return []
    curve, guidance = few(done[0].curve), few(done[0].guidance)
    return [
        f"Curves are drawn from {curve} samples of a finished model at every budget, the guidance sweep from "
        f"{guidance} at every scale: its Fréchet distances are higher than the comparison's and compare with each "
        "other only.",
        "A line of a plot is a mean over seeds, the band their range; tables of guidance and of confusions are the "
        "first seed's.",
    ]
