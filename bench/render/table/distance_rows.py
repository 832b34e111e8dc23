"""The rows of every extractor's distances: those that do not rest on the same never share one."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.record import Record
from bench.record.quality import INCEPTION, Distance, Memorisation, PrecisionRecall
from bench.render.table.asked_rows import RETRIEVED, retrieval
from bench.render.table.row import Row, Section, decimals, resting_on, share, within

FRECHET = "frechet_distance"
NOT_OF_VARIETY = "; says nothing of variety within a condition: the attributes determine the drawing"
Basis = tuple[str, str, int, int, str]  # what a distance rests on: extractor, its weights, numbers of images, split


@dataclass(frozen=True)
class DistanceRows:
    """The rows of one extractor with one number of images, by what each measures."""

    title: str
    rows: dict[str, Row]


def basis(distance: Distance) -> Basis:
    return distance.extractor, distance.weights_sha256, distance.generated, distance.real, distance.split


def distance_rows(records: list[Record]) -> list[Row]:
    """The rows of every extractor with every number of images: no two of them ever share a row."""
    return [row for each in by_basis(records) for row in each.rows.values()]


def by_basis(records: list[Record]) -> list[DistanceRows]:
    """The same, what rests on one basis together; Inception's is there even where nobody measured it."""
    found = {basis(d): d for record in records for d in record.measurements.distance.values()}
    made: list[DistanceRows] = []
    for key, distance in found.items():
        twice = sum(other.title == distance.title for other in found.values()) > 1
        title = distance.title + (f", {key[2]} against {key[3]}, weights {key[1][:8]}" if twice else "")
        name = snake(key[0]) + (f"_{key[2]}_{key[3]}_{key[1][:8]}" if twice else "")
        rows = resting_on("samples", rows_of_distance(title, name, key, headline=not made))
        made.append(DistanceRows(title, {row.key.removesuffix(f"_{name}"): row for row in rows}))
    if not any(distance.extractor == INCEPTION for distance in found.values()):
        made.append(DistanceRows(NOT_MEASURED.label, {FRECHET: NOT_MEASURED}))
    return made


def snake(name: str) -> str:
    """`facialHair` or `efficientnet-lite0` as a part of a key."""
    return re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower()


def features_of(title: str) -> str:
    """`EfficientNet-Lite0, 8 against 8`: the title of a Fréchet distance without what it is called."""
    return re.sub(r"^[^(]*\(([^)]*)\)", r"\1", title)


row = partial(Row, Section.DISTANCE)


def rows_of_distance(title: str, name: str, key: Basis, headline: bool) -> list[Row]:
    """The rows of one extractor, its distance and floor among the first to be shown or not."""

    def distance(record: Record) -> Distance | None:
        """The record's, where it rests on the same."""
        found = record.measurements.distance.get(key[0])
        return found if found is not None and basis(found) == key else None

    def retrieved(record: Record) -> Distance | None:
        found = retrieval(record)
        return None if found is None or distance(record) is None else found.distance.get(key[0])

    def memorised(record: Record) -> Memorisation | None:
        return None if distance(record) is None else record.measurements.memorisation.get(key[0])

    return [
        *rows_of_distances(title, name, distance, retrieved, headline),
        *rows_of_copies(name, memorised),
        *rows_of_neighbours(name, within(distance, lambda d: d.precision_recall)),
    ]


def rows_of_distances(
    title: str,
    name: str,
    distance: Callable[[Record], Distance | None],
    retrieved: Callable[[Record], Distance | None],  # of a look-up
    headline: bool,
) -> list[Row]:
    """KID and Fréchet distance, its floor and its extrapolation."""
    kid, unlimited = within(distance, lambda d: d.kid), within(distance, lambda d: d.unlimited)
    return [
        row(f"kid_{name}", "KID × 1000, " + features_of(title), within(kid, lambda k: k.value), thousandfold,
            "lower", "kernel distance to held-out real images in these features; unbiased, so 0 is as good as real",
            interval=within(kid, lambda k: k.interval), headline=headline),
        row(f"{FRECHET}_{name}", title, within(distance, lambda d: d.frechet_distance), decimals(1), "lower",
            "distance to held-out real images in these features; only Inception's is the usual FID",
            interval=within(distance, lambda d: d.interval), headline=headline),
        row(f"frechet_floor_{name}", "… its floor (real training images)", within(distance, lambda d: d.floor),
            decimals(1), None,
            "as many real training images against the same held-out ones: what other real images get",
            interval=within(distance, lambda d: d.floor_interval), headline=headline),
        row(f"frechet_retrieval_{name}", "… of the nearest training images",
            within(retrieved, lambda d: d.frechet_distance), decimals(1), None, f"{RETRIEVED}; these are real images"),
        row(f"frechet_over_floor_{name}", "… over its floor", within(distance, lambda d: d.ratio_to_floor), decimals(2),
            "lower", "1 is as good as real"),
        row(f"frechet_unlimited_{name}", "… extrapolated to endless many images",
            within(unlimited, lambda u: u.value), decimals(1), "lower",
            "a line in 1/n through the distances of all images and of halves; 0 is as good as real",
            interval=within(unlimited, lambda u: u.interval)),
    ]  # fmt: skip


def rows_of_copies(name: str, memorised: Callable[[Record], Memorisation | None]) -> list[Row]:
    """Whether samples are copies of training images."""
    return [
        row(f"nearest_ratio_{name}", "… nearest training image, ratio to real",
            within(memorised, lambda m: m.median_ratio), decimals(2), None,
            "distance to the nearest training image, over that of held-out real images; far below 1: copies"),
        row(f"nearer_than_real_{name}", "… samples nearer than 5 % of real ones",
            within(memorised, lambda m: m.closer.value), share, None,
            "new images of the kind: about 5 %; far more: copies of training images",
            interval=within(memorised, lambda m: m.closer.interval)),
        row(f"copies_{name}", "… copies of training images?",
            within(memorised, lambda m: None if m.flagged is None else "**yes**" if m.flagged else "no")),
    ]  # fmt: skip


def rows_of_neighbours(name: str, neighbours: Callable[[Record], PrecisionRecall | None]) -> list[Row]:
    return [
        row(f"precision_{name}", "… precision", within(neighbours, lambda n: n.precision.value), decimals(3), "higher",
            f"share of samples that lie among real images{NOT_OF_VARIETY}",
            interval=within(neighbours, lambda n: n.precision.interval)),
        row(f"recall_{name}", "… recall", within(neighbours, lambda n: n.recall.value), decimals(3), "higher",
            f"share of real images that lie among the samples{NOT_OF_VARIETY}",
            interval=within(neighbours, lambda n: n.recall.interval)),
    ]  # fmt: skip


NOT_MEASURED = Row(
    Section.DISTANCE, f"{FRECHET}_{snake(INCEPTION)}", "FID (Inception)", lambda _: None,
    meaning="the usual FID; measured where Inception's weights are to be had",
)  # fmt: skip


def thousandfold(value: float) -> str:
    return f"{1000 * value:.2f}"
