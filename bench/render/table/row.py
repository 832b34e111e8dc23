"""A row of the comparison table, how it reads a record, and how it writes a number."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from bench.record import Record

MIB = 2**20
MISSING = "–"
RestsOn = Literal["time", "samples", "classifier"]


@dataclass(frozen=True)
class Row:
    """A line of the table: how to read it off a record, how to write it, and what it means."""

    label: str
    read: Callable[[Record], Any]  # a number, a text, or None where it was not measured
    write: Callable[[Any], str] = str
    better: str | None = None  # "lower" or "higher"
    meaning: str = ""
    unit: str | None = None  # of the raw value, as CSV and JSON give it
    interval: Callable[[Record], list[float] | None] | None = None  # reads the 95 % interval over samples
    rests_on: RestsOn | None = None  # what must be alike for its numbers to be averaged and compared
    headline: bool = False  # shown before the rows of its section are unfolded


def resting_on(rests_on: RestsOn, rows: list[Row]) -> list[Row]:
    """The same rows, with what their numbers rest on."""
    return [replace(row, rests_on=rests_on) for row in rows]


def at(*path: str) -> Callable[[Record], Any]:
    """A reader of `measurements[path…]`; None wherever the path ends early."""

    return lambda record: walk(record.measurements, path)


def walk(value: Any, path: tuple[str, ...]) -> Any:
    """`value[path…]`; None wherever the path ends early."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def estimate(
    label: str, path: tuple[str, ...], write: Callable[[Any], str], better: str | None, meaning: str,
    rests_on: RestsOn = "samples", headline: bool = False,
) -> Row:  # fmt: skip
    """A row of a measurement that is `{"value", "interval"}`."""
    value, interval = at(*path, "value"), at(*path, "interval")
    return Row(label, value, write, better, meaning, interval=interval, rests_on=rests_on, headline=headline)


def millions(count: float) -> str:
    return f"{count / 1e6:.1f}M" if count >= 1e5 else f"{count:,.0f}"


def mib(size: float) -> str:
    return f"{size / MIB:,.2f} MiB"


def decimals(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{digits}f}"


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:.1f} min"


def share(part: float) -> str:
    return f"{100 * part:.1f} %"


def both(small: Callable[[Record], Any], full: Callable[[Record], Any], write: Callable[[Any], str]) -> Callable:
    """A text of the value at the run's scale, and at full scale where that differs."""

    def read(record: Record) -> str | None:
        here, there = small(record), full(record)
        if here is None:
            return None
        alone = there is None or record.run.sizes.scale == 1
        return write(here) if alone else f"{write(here)} ({write(there)} at full scale)"

    return read
