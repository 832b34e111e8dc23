"""A row of the comparison table, how it reads a record, and how it writes a number."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal, Protocol, TypeVar

from bench.record import Record

MIB = 2**20
MISSING = "–"
RestsOn = Literal["time", "equal_time", "samples", "classifier"]
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


class Section(Enum):
    """Where a row stands: the sections in their order, each with its title."""

    POST = "At a glance"  # the blog post's ten rows
    MEMORY = "Parameters and memory"
    SPEED = "Arithmetic and speed"
    ATTRIBUTES = "What was asked for"
    DISTANCE = "Distance to real images"
    ARTEFACTS = "Background, colour and shape"
    SAMPLING = "Loss, guidance and sampler"
    BUDGET = "At other budgets"

    @property
    def key(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Row:
    """A line of the table: how to read it off a record, how to write it, and what it means."""

    section: Section
    key: str  # by which programs know it: it stays when the label changes
    label: str
    read: Callable[[Record], float | str | None]  # None where it was not measured
    write: Callable[[Any], str] = str
    better: str | None = None  # "lower" or "higher"
    meaning: str = ""
    unit: str | None = None  # of the raw value, as CSV and JSON give it
    interval: Callable[[Record], list[float] | None] | None = None  # reads the 95 % interval over samples
    rests_on: RestsOn | None = None  # what must be alike for its numbers to be averaged and compared
    headline: bool = False  # shown before the rows of its section are unfolded


class Estimated(Protocol):
    """What has a value, and a 95 % interval of it or none."""

    @property
    def value(self) -> float: ...

    @property
    def interval(self) -> list[float] | None: ...


def resting_on(rests_on: RestsOn, rows: list[Row]) -> list[Row]:
    """The same rows, with what their numbers rest on."""
    return [replace(row, rests_on=rests_on) for row in rows]


def within(outer: Callable[[A], B | None], inner: Callable[[B], C | None]) -> Callable[[A], C | None]:
    """A reader of a part of what another reader finds; None where that finds nothing."""

    def read(whole: A) -> C | None:
        part = outer(whole)
        return None if part is None else inner(part)

    return read


def estimate(
    section: Section, key: str, label: str, read: Callable[[Record], Estimated | None], write: Callable[[Any], str],
    better: str | None, meaning: str, rests_on: RestsOn = "samples", headline: bool = False,
) -> Row:  # fmt: skip
    """A row of a value with its interval."""
    value, interval = within(read, lambda found: found.value), within(read, lambda found: found.interval)
    return Row(
        section, key, label, value, write, better, meaning, interval=interval, rests_on=rests_on, headline=headline
    )


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


def precision_name(mixed_precision: str) -> str:
    """What accelerate calls "no" mixed precision is fp32 throughout."""
    return mixed_precision.replace("no", "fp32")


def as_difference(write: Callable[[float], str]) -> Callable[[float], str]:
    """How a difference of what is written so is written: that of two shares in points, which are no share of either."""
    return (lambda part: f"{100 * part:.1f} points") if write is share else write


def both(
    small: Callable[[Record], A | None], full: Callable[[Record], A | None], write: Callable[[A], str]
) -> Callable[[Record], str | None]:
    """A text of the value at the run's scale, and at full scale where that differs."""

    def read(record: Record) -> str | None:
        here, there = small(record), full(record)
        if here is None:
            return None
        if there is None or record.run.sizes.scale == 1:
            return write(here)
        return f"{write(here)} ({write(there)} at full scale)"

    return read
