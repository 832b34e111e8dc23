"""Small tables for the page and for Markdown alike: differences by seed, the guidance sweep and the confusions."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from bench.record import GuidancePoint
from bench.record.quality import Artefacts, Estimate
from bench.render.markdown import escape, markdown
from bench.render.table.column import Column
from bench.render.table.differences import Effect, Pair
from bench.render.table.measures import PRIMARY_MEASURE
from bench.render.table.row import MISSING, as_difference, decimals, share

Reader = Callable[[GuidancePoint], float | None]
AT_BUDGETS = "Differences at other budgets: explored, no strength is named for them"
EXPLORED = "Differences by attribute: explored, no strength is named for them"


def artefact(read: Callable[[Artefacts], Estimate | None]) -> Reader:
    """A reader of the value of one artefact at a guidance scale."""

    def value(point: GuidancePoint) -> float | None:
        found = read(point.artefacts)
        return None if found is None else found.value

    return value


class Number(NamedTuple):
    """A column of the table of the guidance sweep."""

    name: str
    read: Reader
    written: Callable[[float], str]

    def write(self, point: GuidancePoint) -> str:
        value = self.read(point)
        return MISSING if value is None else self.written(value)


MAIN_NUMBERS = (
    Number("accuracy", lambda point: point.accuracy, decimals(3)),
    Number("Fréchet distance", lambda point: point.frechet_distance, decimals(1)),
    Number("stray pixels", artefact(lambda a: a.stray_pixels), share),
)
GUIDANCE_COLUMNS = (
    Number("guidance", lambda point: point.guidance, decimals(0)),
    *MAIN_NUMBERS,
    Number("ΔE to the colour asked", artefact(lambda a: a.colour_error), decimals(2)),
    Number("out of palette", artefact(lambda a: a.out_of_palette), share),
    Number("edge agreement", artefact(lambda a: a.edge_agreement), decimals(3)),
    Number("brightness", artefact(lambda a: a.brightness), decimals(2)),
    Number("saturation", artefact(lambda a: a.saturation), decimals(2)),
)


@dataclass(frozen=True)
class Numbers:
    """A small table."""

    caption: str
    header: list[str]
    lines: list[list[str]]

    def in_markdown(self) -> list[str]:
        return [f"**{escape(self.caption)}**", markdown(self.header, self.lines)]


def difference_numbers(effects: list[Effect]) -> list[Numbers]:
    """The differences of every contestant from the first one, a line a measure; of a single seed there are none."""
    made = []
    for pair in {tuple(map(id, each.pair)): each.pair for each in effects if len(each.seeds) > 1}.values():
        first, second = pair
        if first is not effects[0].pair[0]:
            continue
        header = ["measure", first.title, second.title, "difference (95 %)", "p", "p by Holm",
                  f"P({first.title} better)", "seeds"]  # fmt: skip
        lines = [difference_line(each) for each in effects if each.pair is pair]
        title = f"Differences, paired by seed: {first.title} − {second.title}"
        made.append(Numbers(title + sign_flip_note(effects, pair), header, lines))
    return made


def sign_flip_note(effects: list[Effect], pair: Pair) -> str:
    """What a test that supposes no normal distribution says of the primary measure."""
    found = (each for each in effects if each.pair is pair and each.measure is PRIMARY_MEASURE and each.is_tested)
    return "".join(f" (primary measure: p = {chance(each.p_sign_flip)} by a sign-flip test)" for each in found)


def difference_line(effect: Effect) -> list[str]:
    write, found = as_difference(effect.measure.write), effect.found
    between = f" ({write(float(found.low))} to {write(float(found.high))})" if len(effect.seeds) > 1 else ""
    better, low, high = map(share, effect.first_better)
    label = effect.measure.label + (" (primary)" if effect.measure is PRIMARY_MEASURE else "")
    means = [effect.measure.write(effect.mean_of(column)) for column in effect.pair]
    return [
        label, *means, write(float(found.mean)) + between, chance(effect.p), chance(effect.p_holm),
        f"{better} ({low} to {high})", str(len(effect.seeds)),
    ]  # fmt: skip


def chance(p: float) -> str:
    """A p, or a dash where too few seeds were there for a test."""
    return MISSING if math.isnan(p) else "below 0.0001" if p < 0.0001 else f"{p:.4f}"


def guidance_numbers(columns: list[Column]) -> list[Numbers]:
    """The sweep of the first seed of every contestant, a line a scale."""
    header = [column.name for column in GUIDANCE_COLUMNS]
    made = []
    for column in columns:
        points = next((r.measurements.guidance for r in column.records if r.measurements.guidance), [])
        lines = [[number.write(point) for number in GUIDANCE_COLUMNS] for point in points]
        if lines:
            made.append(Numbers(column.title, header, lines))
    return made


def confusion_numbers(columns: list[Column]) -> list[Numbers]:
    """Which variant is taken for which, of the attribute that a contestant shows worst: asked in lines, seen above."""
    made = []
    for column in columns:
        scored = (record.measurements.attributes for record in column.records)
        found = next((each.confusion for each in scored if each and each.confusion), None)
        if found is None:
            continue
        names, counts = found.variants, found.counts
        used = [i for i, name in enumerate(names) if sum(counts[i]) or any(line[i] for line in counts)]
        lines = [[names[i], *(str(counts[i][j] or "·") for j in used)] for i in used]
        made.append(Numbers(f"{column.title}: {found.attribute}", ["asked", *(names[j] for j in used)], lines))
    return made
