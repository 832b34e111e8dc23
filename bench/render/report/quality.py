"""The page on quality, `quality.md`: curves, guidance sweep and confusions, from records alone."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy.stats import permutation_test, rankdata, zscore

from bench.record import CurvePoint, GuidancePoint, Record
from bench.render.images.plots import PLOTS, untimed, write_plots
from bench.render.markdown import markdown
from bench.render.table.column import Column, columns
from bench.render.table.comparability import alike, comparability_notes
from bench.render.table.measures import PRIMARY_MEASURE
from bench.render.table.numbers import chance, confusion_numbers, guidance_numbers
from bench.render.table.row import MISSING
from bench.storage import durable
from bench.storage.folder import ResultsFolder


def write_quality(out: Path, records: list[Record]) -> None:
    """Draw the page of a results folder with its pictures."""
    done = columns([record for record in records if record.status == "done"])
    missing = write_plots(out, done)
    made = [column for column in done if column.records[0].measurements.curve]
    if made:
        durable.write_text(ResultsFolder(out).quality, page(made, missing))


FEWEST_RUNS = 5  # of fewer, no order of ranks would be surprising
FINISHED = "Each is a finished model: its learning rate had fallen to zero."
UNFINISHED = "Ends of epochs within one schedule, made before budgets had finished models: they do not compare."


def finished(curve: list[CurvePoint]) -> bool:
    return all(point.steps is not None for point in curve)


def page(made: list[Column], missing: list[str]) -> str:
    """The page in Markdown."""
    first = made[0].records[0].measurements
    parts = [
        "# Quality",
        "The numbers behind the [table](table.md); what each of them means stands in the README under *How to read the "
        "numbers*. A line of the pictures is a mean over seeds, the band their range; the tables are those of "
        "the first seed alone, which may be a good or a bad one.",
        *(f"- {note}" for note in comparability_notes(made)),
        "## After every budget",
        *plot("curves", missing),
        f"From {few(first.curve)} samples a point. {FINISHED if finished(first.curve) else UNFINISHED}"
        f"{not_timed(made)}",
        "## Attributes",
        *plot("attributes", missing),
        "## Guidance",
        *plot("guidance", missing),
        f"From {few(first.guidance)} samples, so Fréchet distances are higher than the table's: compare them with each "
        "other only.",
        *(part for each in guidance_numbers(made) for part in each.in_markdown()),
        "## Where in the noise",
        *plot("timesteps", missing),
        *loss_and_images(made),
        "## Memory",
        *plot("memory", missing),
        "## Most confused",
        "Asked in rows, seen in columns, of the attribute that a contestant shows worst.",
        *(part for each in confusion_numbers(made) for part in each.in_markdown()),
    ]
    return "\n\n".join(parts) + "\n"


def not_timed(made: list[Column]) -> str:
    """Whose line is not there by minutes, and why."""
    names = ", ".join(column.title for column in untimed(made))
    return f" Not drawn by minutes, as they were timed elsewhere: {names}." if names else ""


def loss_and_images(made: list[Column]) -> list[str]:
    """Whether runs with a lower validation loss draw truer avatars; nothing where too few runs tell both."""
    groups = [(column.title, scored(column.records)) for column in made]
    lines = [[title, *rank_correlation(pairs), str(len(pairs))] for title, pairs in groups if len(pairs) >= FEWEST_RUNS]
    if not lines:
        return []
    if len(made) > 1 and all(alike("samples", made[0].lead, column.lead) for column in made):
        pairs = [pair for _, pairs in groups for pair in pairs]
        rho, _ = rank_correlation(pairs)  # no p: a difference of two contestants' means alone would make it small
        lines.append(["all together", rho, MISSING, str(len(pairs))])
    told = "Whether runs with a lower validation loss have a lower ΔE, too: then ρ is near 1. A run is a seed."
    return ["## Loss and images", told, markdown(["runs of", "Spearman's ρ", "p", "runs"], lines)]


def scored(records: list[Record]) -> list[tuple[float, float]]:
    """The validation loss and the paired ΔE of the model that is scored, of each run that has both."""
    return [
        (fmean(point.validation.averaged or point.validation.raw), paired)
        for record in records
        if (training := record.measurements.training) and (paired := PRIMARY_MEASURE.read(record)) is not None
        for point in training.points
        if point.steps == training.main_steps
    ]


def rank_correlation(pairs: list[tuple[float, float]]) -> list[str]:
    """Spearman's ρ, and its two-sided p by permutations, exact for up to seven runs."""
    losses, errors = zscore(rankdata(np.array(pairs), axis=0), axis=0).T
    found = permutation_test(
        (losses,), lambda x, axis: (x * errors).mean(axis), permutation_type="pairings", n_resamples=9999,
        rng=np.random.default_rng(0), vectorized=True,
    )  # fmt: skip
    return [f"{found.statistic:.2f}", chance(float(found.pvalue))]


def plot(name: str, missing: list[str]) -> list[str]:
    """A plot by its name, or a word that it could not be drawn."""
    found = next(plot for plot in PLOTS if plot.name == name)
    return [f"Not drawn, records lack it: {found.title}." if name in missing else f"![{found.alt}](images/{name}.png)"]


def few(points: Sequence[CurvePoint | GuidancePoint]) -> str:
    """How many samples each point rests on."""
    return MISSING if not points or points[-1].samples is None else str(points[-1].samples)
