"""What every contestant has drawn, as the page shows it: guidance strips, galleries, and the plots of a folder."""

from dataclasses import dataclass
from typing import Any

from bench.record import Record
from bench.render.images.plots import PLOTS
from bench.render.report.embedded import NOT_THERE, Picture, Shelf
from bench.render.table.column import Column
from bench.render.table.numbers import GUIDANCE_COLUMNS, number
from bench.render.table.row import at, walk
from bench.storage.folder import ResultsFolder

SINGLE = (
    ("samples", "samples above real ones", "Samples, each row above the real avatars of the same conditions",
     "Avatars drawn by {}, above the real avatars of the same conditions in the same order"),
    ("denoising", "denoising", "From noise to avatars, at guidance 7",
     "Animation: noise becomes avatars drawn by {}, step by step"),
    ("guidance_sweep", "guidance sweep", "The same avatars while the guidance scale grows",
     "Animation: the same avatars drawn by {}, at one guidance scale after another"),
    ("noising", "noising", "What training adds: a real avatar under more and more noise, and ᾱ, the share that is left",
     "A real avatar that disappears in noise from left to right, as {} is trained on it"),
    ("confusions", "confusions",
     "What is taken for what, of the attribute shown worst: its ten variants with most mistakes",
     "Grid of samples by {}: variants asked in rows, variants seen in columns, right ones framed"),
)  # fmt: skip
ANIMATIONS = {"denoising", "guidance_sweep"}
CHARTS = {"confusions"}
OF_FIRST_SEED = {"denoising", "guidance_sweep", "noising", "confusions"}  # one seed of a contestant is enough


@dataclass(frozen=True)
class Choice:
    """What a page embeds: less, where it would grow too large."""

    other_seeds: bool = True
    every_epoch: bool = True
    animations: bool = True


@dataclass(frozen=True)
class Exhibit:
    """A picture with its caption, and how it is to be laid out."""

    caption: str
    picture: Picture
    kind: str  # "strip", "chart" or "animation"


@dataclass(frozen=True)
class Gallery:
    """What one run has drawn."""

    title: str
    seed: int
    samples: Exhibit | None
    epochs: list[tuple[int, Picture]]
    others: list[Exhibit]


@dataclass(frozen=True)
class Strip:
    """A contestant's samples at one guidance scale, with the numbers measured there."""

    scale: str
    picture: Picture | None
    numbers: str


@dataclass(frozen=True)
class Sweep:
    """The strips of every contestant at every scale."""

    scales: list[str]
    start: int  # index of the scale of the recipe
    strips: list[tuple[str, list[Strip]]]  # a contestant's title, and a strip a scale


def shown_records(column: Column) -> list[Record]:
    """The records of a column that have pictures to show; the first, which stands for it, has them all if one has."""
    done = [record for record in column.records if record.status == "done"]
    return sorted(done, key=lambda record: not scales_of(record))


def left_out(choice: Choice, columns: list[Column]) -> list[str]:
    """What a reader has to be told that a page of these columns does not embed."""
    shown = [shown_records(column) for column in columns]
    images = [record.images for records in shown for record in records]
    told = (
        (choice.other_seeds, "pictures of every seed but the first", any(len(records) > 1 for records in shown)),
        (
            choice.every_epoch,
            "epochs between the second and the last",
            any(len(i.get("epochs") or []) > 3 for i in images),
        ),
        (choice.animations, "animations", any(ANIMATIONS & i.keys() for i in images)),
    )
    return [what for kept, what, there in told if there and not kept]


def gallery(shelf: Shelf, title: str, record: Record, choice: Choice, is_first: bool) -> Gallery:
    """The pictures of one run; the notes of the shelf say which are missing, of those that its seed is to have."""
    whose = f"{title}, seed {record.run.seed}"
    exhibits = {}
    for key, what, caption, alt in SINGLE:
        if key in ANIMATIONS and not choice.animations:
            continue
        if key in OF_FIRST_SEED and not is_first and key not in record.images:
            continue
        picture = shelf.take(record.images.get(key), what, whose, alt.format(title))
        if picture is not None:
            kind = "animation" if picture.still else "chart" if key in CHARTS else "strip"
            exhibits[key] = Exhibit(caption, picture, kind)
    samples = exhibits.pop("samples", None)
    taken = epochs(shelf, title, whose, record, choice)
    return Gallery(title, record.run.seed, samples, taken, list(exhibits.values()))


def epochs(shelf: Shelf, title: str, whose: str, record: Record, choice: Choice) -> list[tuple[int, Picture]]:
    """The strip of samples after every epoch, or after the first, second and last."""
    paths = record.images.get("epochs")
    if not isinstance(paths, list) or not paths:
        shelf.lacks("samples after every epoch", whose, NOT_THERE)
        return []
    numbered = list(enumerate(paths, 1))
    if not choice.every_epoch:
        numbered = [(epoch, path) for epoch, path in numbered if epoch in (1, 2, len(paths))]
    taken = [
        (
            epoch,
            shelf.take(path, f"samples after epoch {epoch}", whose, f"Avatars drawn by {title} after epoch {epoch}"),
        )
        for epoch, path in numbered
    ]
    return [(epoch, picture) for epoch, picture in taken if picture is not None]


def scales_of(record: Record) -> dict[str, Any]:
    """The paths of the strips by their scale; nothing that is no scale."""
    found = record.images.get("guidance")
    return {scale: path for scale, path in found.items() if is_scale(scale)} if isinstance(found, dict) else {}


def is_scale(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal() and text.isascii()


def sweep(shelf: Shelf, columns: list[Column]) -> Sweep | None:
    """The strips of the first seed of every contestant; None where nobody has one."""
    shown = [(column.title, records[0]) for column in columns if (records := shown_records(column))]
    scales = sorted({scale for _, record in shown for scale in scales_of(record)}, key=float)
    for title, record in shown:
        if not scales_of(record):
            shelf.lacks("guidance strips", f"{title}, seed {record.run.seed}", NOT_THERE)
    strips = [(title, [strip(shelf, title, record, s) for s in scales]) for title, record in shown if scales_of(record)]
    if not any(each.picture for _, line in strips for each in line):
        return None
    recipe = f"{shown[0][1].run.recipe.guidance:g}"
    return Sweep(scales, scales.index(recipe) if recipe in scales else 0, strips)


def strip(shelf: Shelf, title: str, record: Record, scale: str) -> Strip:
    alt = f"The same avatars drawn by {title} at guidance {scale}"
    what = f"the strip at guidance {scale}"
    picture = shelf.take(scales_of(record).get(scale), what, f"{title}, seed {record.run.seed}", alt)
    return Strip(scale, picture, numbers_at(record, float(scale)))


def numbers_at(record: Record, scale: float) -> str:
    """`accuracy 0.846, Fréchet distance 93.6, stray pixels 0.8 %` as measured at that scale."""
    points = [point for point in at("guidance")(record) or [] if point["guidance"] == scale]
    written = [
        f"{name} {number(points[0], write, path)}"
        for name, path, write in GUIDANCE_COLUMNS[1:4]
        if points and walk(points[0], path) is not None
    ]
    return ", ".join(written)


def plots(shelf: Shelf) -> list[Exhibit]:
    """The plots that lie in a results folder: SVG where there is one, else PNG."""
    found = []
    for plot in PLOTS:
        suffix = ".svg" if (ResultsFolder(shelf.folder).images / f"{plot.name}.svg").is_file() else ".png"
        picture = shelf.take(f"images/{plot.name}{suffix}", f"the plot “{plot.title}”", "", plot.alt)
        if picture is not None:
            found.append(Exhibit(plot.title, picture, "chart"))
    return found
