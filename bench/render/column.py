"""The columns of the comparison: records that differ in nothing but the seed stand together."""

import json
from dataclasses import dataclass

from bench.config import CONTESTANTS
from bench.record import Record


@dataclass(frozen=True)
class Column:
    """One contestant under one recipe: its records, one a seed."""

    title: str
    records: list[Record]


def place(record: Record) -> int:
    """The source's order of contestants; a user's own come after them."""
    name = record.run.contestant
    return CONTESTANTS.index(name) if name in CONTESTANTS else len(CONTESTANTS)


def columns(records: list[Record]) -> list[Column]:
    """The records that differ in nothing but the seed, together; the source's contestants first."""
    grouped: dict[str, list[Record]] = {}
    for record in sorted(records, key=place):
        own = {key: value for key, value in record.config.items() if key not in ("seed", "memory_format")}
        grouped.setdefault(json.dumps(own, sort_keys=True), []).append(record)
    groups = list(grouped.values())
    told = [read for read in (recipe_of, preset_of) if len({read(group[0]) for group in groups}) > 1]
    titles = []
    for group in groups:
        words = ", ".join(read(group[0]) for read in told)
        titles.append(group[0].run.contestant + (f" ({words})" if words else ""))
    return [
        Column(title if titles.count(title) == 1 else f"{title} #{titles[: i + 1].count(title)}", by_seed(group))
        for i, (title, group) in enumerate(zip(titles, groups, strict=True))
    ]


def recipe_of(record: Record) -> str:
    return record.run.recipe.name


def preset_of(record: Record) -> str:
    return record.run.preset


def by_seed(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.run.seed)
