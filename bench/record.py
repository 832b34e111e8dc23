"""The record of a run: configuration, environment and raw measurements, as versioned JSON."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from bench.config import RunConfig
from bench.errors import BadInput, CannotWrite, printable
from bench.storage import durable
from bench.storage.folder import ResultsFolder

SCHEMA_VERSION = 2

# What no run writes; the largest honest record has 60 kB, 7 levels, and numbers of FLOPs up to 1e20.
LARGEST_FILE = 16 * 2**20  # bytes
LARGEST_NUMBER = 1e30
LONGEST_TEXT = 10_000  # characters
DEEPEST = 20  # levels

WORDS = {int: "a whole number", float: "a number", str: "a text", dict[str, Any]: "an object"}  # of a field's kind


@dataclass(frozen=True)
class Record:
    """One contestant with one seed. Numbers are raw and unrounded, with their unit in the name."""

    config: dict[str, Any]
    environment: dict[str, Any]
    command: str
    status: Literal["done", "failed"]
    error: str | None = None  # why it failed, in a few words
    data: dict[str, Any] = field(default_factory=dict)
    measurements: dict[str, Any] = field(default_factory=dict)
    images: dict[str, Any] = field(default_factory=dict)  # paths below the results folder
    schema_version: int = SCHEMA_VERSION

    @property
    def run(self) -> RunConfig:
        return RunConfig.from_dict(self.config)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_record(path: Path) -> Record:
    """A record from its file; BadInput if it is damaged, of another version, or holds what no run writes."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it has more than {LARGEST_FILE // 2**20} MiB")
        fields = json.loads(path.read_text())
        version = fields.get("schema_version")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"record {path.name} cannot be read ({error}): restore it, or delete it and run again"
        ) from error
    if version != SCHEMA_VERSION:
        raise BadInput(f"record {path.name} has schema_version {version}, this code reads {SCHEMA_VERSION}: update it")
    try:
        record = Record(**fields)
        wrong = next(strange_values(fields), None) or next(strange_fields(record), None)
    except (TypeError, KeyError) as error:
        raise BadInput(f"record {path.name} lacks or misnames a field ({error}): delete it and run again") from error
    if wrong:
        raise BadInput(f"record {path.name} has {wrong}: delete it and run again")
    return record


def strange_values(fields: dict[str, Any]) -> Iterator[str]:
    """Every value, under its name, that no run writes: not finite, of enormous size, or nested too deeply."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), fields)]
    while waiting:
        path, value = waiting.pop()
        name = ".".join(path)
        if len(path) > DEEPEST:
            yield f"{name[:60]} … nested deeper than {DEEPEST} levels"
        elif isinstance(value, (dict, list)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [((*path, str(key)), item) for key, item in items]
        elif isinstance(value, (int, float)) and not abs(value) <= LARGEST_NUMBER:  # NaN is not
            yield f"{name} = {value:.3g}" if isinstance(value, float) else f"{name} = a number of enormous size"
        elif isinstance(value, str) and len(value) > LONGEST_TEXT:
            yield f"{name} of {len(value)} characters, at most are {LONGEST_TEXT}"


def strange_fields(record: Record) -> Iterator[str]:
    """Every field, with its value, that is not of its type: a null where a number belongs, say."""
    yield from mistyped(record, "")
    recipe = record.config["recipe"]
    for name, value in (
        ("recipe", recipe),
        ("sizes", record.config["sizes"]),
        ("recipe.optimisation", recipe and recipe["optimisation"]),
    ):
        if not isinstance(value, dict):
            yield f"config.{name} = {json.dumps(value)[:60]} where an object belongs"
    run = record.run  # raises where a field of the configuration lacks or is unknown
    for part, prefix in (
        (run, "config."),
        (run.sizes, "config.sizes."),
        (run.recipe, "config.recipe."),
        (run.recipe.optimisation, "config.recipe.optimisation."),
    ):
        yield from mistyped(part, prefix)
    for name, number in (("seed", run.seed), ("processes", run.processes)):
        if not 0 <= number < 2**63:
            yield f"config.{name} = {number}"


def mistyped(part: Any, prefix: str) -> Iterator[str]:
    """Every field of a dataclass whose value is not of the kind that it declares."""
    for name, kind in get_type_hints(type(part)).items():
        value = getattr(part, name)
        if not is_of(value, kind):
            belongs = " or ".join(get_args(kind)) if get_origin(kind) is Literal else WORDS.get(kind, str(kind))
            yield f"{prefix}{name} = {json.dumps(value)[:60]} where {belongs} belongs"


def is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of the kind of an annotation; an int will do for a float, a bool for neither."""
    origin = get_origin(kind)
    if origin is Literal:
        return value in get_args(kind)
    if origin is UnionType:
        return any(is_of(value, each) for each in get_args(kind))
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else origin or kind)


def read_records(out: Path, read: Callable[[Path], Record] = read_record) -> list[Record]:
    """Every record of a results folder, by name; BadInput if there is none, or one that cannot be read."""
    records, refusals = readable_records(out, read)
    if refusals:
        raise BadInput(refusals[0])
    return records


def no_records(out: Path) -> BadInput:
    """Says where there are some, or how to make them."""
    if not out.is_dir():
        return BadInput(f"'{out}' holds no records, for there is no such folder")
    below = sorted({str(path.parent.parent) for path in out.glob("*/records/*.json")})
    remedy = f"name {', '.join(below)}" if below else "name a folder that `python -m bench run` wrote"
    return BadInput(f"'{out}' holds no records: {remedy}")


def readable_records(out: Path, read: Callable[[Path], Record] = read_record) -> tuple[list[Record], list[str]]:
    """The records of a folder that can be read, each run once, and a line for each that is left out.

    BadInput if none can be read.
    """
    found, refusals = [], []
    for path in ResultsFolder(out).record_files():
        try:
            found.append((path.name, read(path)))
        except BadInput as refusal:
            why = printable(str(refusal).replace(f"{path.parent}/", ""))  # no path of this machine
            refusals.append(f"{out.resolve().name}: {why}")
    if not found:
        raise BadInput(f"'{out}' holds no record that can be read: {refusals[0]}") if refusals else no_records(out)
    records, repeated = each_once(found)
    return records, refusals + [f"{out.resolve().name}: record {line}" for line in repeated]


def each_once(found: list[tuple[str, Record]]) -> tuple[list[Record], list[str]]:
    """The records of different runs, in their order, and a line for each that is a run's second: not a second seed."""
    kept: dict[str, tuple[str, Record]] = {}
    repeated = []
    for name, record in sorted(found, key=lambda each: each[0] != f"{each[1].run.name}.json"):  # its own name first
        run = json.dumps({key: value for key, value in record.config.items() if key != "memory_format"}, sort_keys=True)
        first, _ = kept.setdefault(run, (name, record))
        if first != name or kept[run][1] is not record:
            again = f"{printable(name)} is of the same run as {printable(first)}, which counts once"
            repeated.append(f"{again}: delete the one that is not wanted")
    return [record for _, record in found if any(record is one for _, one in kept.values())], repeated


def refused(refusals: list[str]) -> int:
    """Name the records that had to be left out; the exit status."""
    for refusal in refusals:
        print(f"bench: {refusal}", file=sys.stderr)
    return 1 if refusals else 0


def write_unless_measured(path: Path, record: Record) -> None:
    """A failure gets its row, but never the place of something that was measured."""
    try:
        measured = read_record(path).status == "done"
    except BadInput:
        measured = False
    if not measured:
        try:
            durable.write_text(path, record.to_json())
        except CannotWrite as error:  # it was said on stderr why the run failed: this must not hide it
            print(f"its row is lost: {error}", file=sys.stderr)
