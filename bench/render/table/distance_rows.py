"""The rows of every extractor's distances: those that do not rest on the same never share one."""

from collections.abc import Callable
from typing import Any

from bench.record import Record
from bench.render.table.row import Row, at, decimals, resting_on, share

FID = "FID (Inception)"
Basis = tuple[str, str, int, int, str]  # what a distance rests on: extractor, its weights, numbers of images, split


def basis(distance: dict[str, Any]) -> Basis:
    return tuple(distance[key] for key in ("extractor", "weights_sha256", "generated", "real", "split"))


def distance_rows(records: list[Record]) -> list[Row]:
    """The rows of every extractor with every number of images: no two of them ever share a row."""
    found = {basis(d): d for record in records for d in (at("distance")(record) or {}).values()}
    rows: list[Row] = []
    for key, distance in found.items():
        twice = sum(other["title"] == distance["title"] for other in found.values()) > 1
        title = distance["title"] + (f", {key[2]} against {key[3]}, weights {key[1][:8]}" if twice else "")
        rows += resting_on("samples", rows_of_distance(title, key, headline=not rows))
    if not any(distance["title"] == FID for distance in found.values()):
        rows.append(Row(FID, lambda _: None, meaning="the usual FID; measured where Inception's weights are to be had"))
    return rows


def on(key: Basis, table: str, *path: str) -> Callable[[Record], Any]:
    """A reader of a distance, or of a table beside it, where the record's rests on the same."""

    def read(record: Record) -> Any:
        distance = at("distance", key[0])(record)
        return at(table, key[0], *path)(record) if distance and basis(distance) == key else None

    return read


def rows_of_distance(title: str, key: Basis, headline: bool) -> list[Row]:
    """The rows of one extractor, its distance and floor among the first to be shown or not."""
    return [
        Row(title, on(key, "distance", "frechet_distance"), decimals(1), "lower",
            "distance to held-out real images in these features; only Inception's is the usual FID",
            interval=on(key, "distance", "interval"), headline=headline),
        Row("… its floor (real training images)", on(key, "distance", "floor"), decimals(1), None,
            "as many real training images against the same held-out ones: what other real images get",
            headline=headline),
        Row("… over its floor", on(key, "distance", "ratio_to_floor"), decimals(2), "lower", "1 is as good as real"),
        Row("… KID × 1000", on(key, "distance", "kid", "value"), thousandfold, "lower",
            "kernel distance of the same features; unbiased, so 0 is as good as real"),
        Row("… its sd over subsets", on(key, "distance", "kid", "sd"), thousandfold, None, "also × 1000"),
        *(Row(f"… {name}", on(key, "distance", "precision_recall", name, "value"), decimals(3), "higher", meaning,
              interval=on(key, "distance", "precision_recall", name, "interval")) for name, meaning in NEIGHBOURHOOD),
        Row("… nearest training image, ratio to real", on(key, "memorisation", "median_ratio"), decimals(2), None,
            "distance to the nearest training image, over that of held-out real images; far below 1: copies"),
        Row("… samples nearer than 5 % of real ones", on(key, "memorisation", "closer", "value"), share, None,
            "new images of the kind: about 5 %; far more: copies of training images",
            interval=on(key, "memorisation", "closer", "interval")),
        Row("… copies of training images?", yes_or_no(on(key, "memorisation", "flagged"), alarming=True)),
    ]  # fmt: skip


NEIGHBOURHOOD = (
    ("precision", "share of samples that lie among real images"),
    ("recall", "share of real images that lie among the samples"),
)


def thousandfold(value: float) -> str:
    return f"{1000 * value:.2f}"


def yes_or_no(read: Callable[[Record], bool | None], alarming: bool) -> Callable[[Record], str | None]:
    """A reader of the same as a word, in bold where it is the alarming one."""

    def word(record: Record) -> str | None:
        value = read(record)
        if value is None:
            return None
        text = "yes" if value else "no"
        return f"**{text}**" if value == alarming else text

    return word
