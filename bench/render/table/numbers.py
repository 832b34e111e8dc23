"""Small tables behind the plots: the guidance sweep and the confusions, for the page and for Markdown alike."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.render.images.figures import Point
from bench.render.table.column import Column
from bench.render.table.row import MISSING, at, decimals, share, walk


def number(point: Point, write: Callable[[float], str], path: tuple[str, ...]) -> str:
    value = walk(point, path)
    return MISSING if value is None else write(value)


GUIDANCE_COLUMNS: list[tuple[str, tuple[str, ...], Callable[[float], str]]] = [
    ("guidance", ("guidance",), decimals(0)),
    ("accuracy", ("accuracy",), decimals(3)),
    ("Fréchet distance", ("frechet_distance",), decimals(1)),
    ("stray pixels", ("artefacts", "stray_pixels", "value"), share),
    ("ΔE to the colour asked", ("artefacts", "colour_error", "value"), decimals(2)),
    ("out of palette", ("artefacts", "out_of_palette", "value"), share),
    ("edge agreement", ("artefacts", "edge_agreement", "value"), decimals(3)),
    ("brightness", ("artefacts", "brightness", "value"), decimals(2)),
    ("saturation", ("artefacts", "saturation", "value"), decimals(2)),
]


@dataclass(frozen=True)
class Numbers:
    """A small table behind a plot."""

    caption: str
    header: list[str]
    lines: list[list[str]]


def guidance_numbers(columns: list[Column]) -> list[Numbers]:
    """The sweep of the first seed of every contestant, a line a scale."""
    header = [name for name, *_ in GUIDANCE_COLUMNS]
    made = []
    for column in columns:
        points = next((found for r in column.records if (found := at("guidance")(r))), None) or []
        lines = [[number(point, write, path) for _, path, write in GUIDANCE_COLUMNS] for point in points]
        if lines:
            made.append(Numbers(column.title, header, lines))
    return made


def confusion_numbers(columns: list[Column]) -> list[Numbers]:
    """Which variant is taken for which, of the attribute that a contestant shows worst: asked in lines, seen above."""
    made = []
    for column in columns:
        found = next((c for r in column.records if (c := at("attributes", "confusion")(r))), None)
        if found is None:
            continue
        names, counts = found["variants"], found["counts"]
        used = [i for i, name in enumerate(names) if sum(counts[i]) or any(line[i] for line in counts)]
        lines = [[names[i], *(str(counts[i][j] or "·") for j in used)] for i in used]
        made.append(Numbers(f"{column.title}: {found['attribute']}", ["asked", *(names[j] for j in used)], lines))
    return made
