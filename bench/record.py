"""The record of a run: configuration, environment and raw measurements, as versioned JSON."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench import durable
from bench.config import RunConfig
from bench.errors import BadInput, CannotWrite
from bench.text import printable

SCHEMA_VERSION = 2


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


def record_path(out: Path, run: RunConfig) -> Path:
    return out / "records" / f"{run.name}.json"


def read_record(path: Path) -> Record:
    """A record from its file; BadInput if it is cut short or of a version that this code does not know."""
    try:
        fields = json.loads(path.read_text())
        version = fields.get("schema_version")
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(
            f"record {path.name} cannot be read ({error}): restore it, or delete it and run again"
        ) from error
    if version != SCHEMA_VERSION:
        raise BadInput(f"record {path.name} has schema_version {version}, this code reads {SCHEMA_VERSION}: update it")
    try:
        record = Record(**fields)
        record.run  # noqa: B018 - a configuration that does not parse is found here
    except (TypeError, KeyError) as error:
        raise BadInput(f"record {path.name} lacks or misnames a field ({error}): delete it and run again") from error
    return record


def read_records(out: Path) -> list[Record]:
    """Every record of a results folder, by name; BadInput if there is none."""
    paths = sorted((out / "records").glob("*.json"))
    if not paths:
        raise no_records(out)
    return [read_record(path) for path in paths]


def no_records(out: Path) -> BadInput:
    """Says where there are some, or how to make them."""
    if not out.is_dir():
        return BadInput(f"'{out}' holds no records, for there is no such folder")
    below = sorted({str(path.parent.parent) for path in out.glob("*/records/*.json")})
    remedy = f"name {', '.join(below)}" if below else "name a folder that `python -m bench run` wrote"
    return BadInput(f"'{out}' holds no records: {remedy}")


def readable_records(out: Path, read: Callable[[Path], Record] = read_record) -> tuple[list[Record], list[str]]:
    """The records of a folder that can be read, and a line for each that cannot; BadInput if none can."""
    records, refusals = [], []
    for path in sorted((out / "records").glob("*.json")):
        try:
            records.append(read(path))
        except BadInput as refusal:
            why = printable(str(refusal).replace(f"{path.parent}/", ""))  # no path of this machine
            refusals.append(f"{out.resolve().name}: {why}")
    if not records:
        raise BadInput(f"'{out}' holds no record that can be read: {refusals[0]}") if refusals else no_records(out)
    return records, refusals


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
