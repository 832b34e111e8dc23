"""The columns of the comparison: records that differ in nothing but the seed stand together."""

from collections import Counter
from dataclasses import dataclass, replace

from bench.config import BRIDGE, CONTESTANTS, RunConfig
from bench.record import Record

WIDEST = 28  # characters of a contestant's name in a header


@dataclass(frozen=True)
class Column:
    """One contestant under one recipe: its records, one a seed."""

    title: str
    records: list[Record]

    @property
    def lead(self) -> Record:
        """The first seed that is done, or the first one."""
        return next((record for record in self.records if record.status == "done"), self.records[0])

    @property
    def is_shortened(self) -> bool:
        return "…" in self.title


def place(record: Record) -> int:
    """The order of `bench.config.CONTESTANTS`; a user's own come after them."""
    name, ours = record.run.contestant, CONTESTANTS + BRIDGE
    return ours.index(name) if name in ours else len(ours)


def columns(records: list[Record]) -> list[Column]:
    """The records that differ in nothing but the seed, together; ours first.

    A seed that was run twice, as on two machines, gets a column of its own.
    """
    grouped: dict[tuple[RunConfig, int], list[Record]] = {}
    runs: Counter[RunConfig] = Counter()
    for record in sorted(records, key=place):
        run = replace(record.run, memory_format="", budget_steps=main_steps(record.run))
        grouped.setdefault((replace(run, seed=0), runs[run]), []).append(record)
        runs[run] += 1
    groups = list(grouped.values())
    recipes = short_recipes([group[0].run.recipe.name for group in groups])

    def recipe_of(record: Record) -> str:
        return recipes[record.run.recipe.name]

    told = [read for read in (recipe_of, preset_of) if len({read(group[0]) for group in groups}) > 1]
    names = short_names([group[0].run.contestant for group in groups])
    titles = []
    for group in groups:
        words = ", ".join(read(group[0]) for read in told)
        titles.append(names[group[0].run.contestant] + (f" ({words})" if words else ""))
    return [
        Column(title if titles.count(title) == 1 else f"{title} #{titles[: i + 1].count(title)}", by_seed(group))
        for i, (title, group) in enumerate(zip(titles, groups, strict=True))
    ]


def main_steps(run: RunConfig) -> tuple[int, ...]:
    """The steps that tell a run from others: of a first budget of time, which each seed may have timed for itself."""
    budgets = run.sizes.budgets
    return run.budget_steps[:1] if budgets and budgets[0].kind == "seconds" else ()


def short_names(names: list[str]) -> dict[str, str]:
    """A name for the header of each contestant: one that is too long gets the shortest end that is its alone."""
    made = {name: name if len(name) <= WIDEST else shortened(name, names) for name in names}
    unclear = {short for short in made.values() if list(made.values()).count(short) > 1}
    return {name: name if short in unclear else short for name, short in made.items()}


def short_recipes(names: list[str]) -> dict[str, str]:
    """A recipe with many changes by its first one, `cosine+optimizer=adam…`, if that is its alone."""
    made = {}
    for name in names:
        base, _, changes = name.partition("+")
        made[name] = name if len(name) <= WIDEST else f"{base}+{changes.partition('+')[0].rpartition('.')[2]}…"
    return {name: name if [*made.values()].count(short) > 1 else short for name, short in made.items()}


def shortened(name: str, names: list[str]) -> str:
    """`…module:function`, with as many packages as tell it from the others, each cut where it is too long itself."""
    module, _, function = name.rpartition(":")
    parts = module.split(".")
    ends = (f"{'.'.join(parts[-count:])}:{function}" for count in range(1, len(parts) + 1))
    end = next((end for end in ends if sum(other.endswith(end) for other in {*names}) == 1), name)
    return f"…{end}" if len(end) < WIDEST else f"{end[: WIDEST // 2 - 1]}…{end[-WIDEST // 2 :]}"


def preset_of(record: Record) -> str:
    return record.run.preset


def timed(records: list[Record]) -> list[Record]:
    """The records that their times are read from, each once."""
    return list({id(each): each for record in records for each in record.timed}.values())


def seeds_of(records: list[Record]) -> str:
    """`seed 0`, or `seeds 0, 1`."""
    seeds = sorted({record.run.seed for record in records})
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def by_seed(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.run.seed)
