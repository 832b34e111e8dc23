"""Records as files: read whole or refused by name, and written."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bench.config import RunConfig
from bench.errors import BadInput, CannotWrite, printable
from bench.record import SCHEMA_VERSION, Record
from bench.storage import durable
from bench.storage.folder import ResultsFolder

LARGEST_FILE = 16 * 2**20  # bytes; honest records have less than 100 kB
SHOWN, LONGEST_NAME = 60, 200  # characters of a value that is refused, and of its field
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")  # pydantic's words for a field that is not declared
KEY = "[key]"  # … and for the key of a mapping


def read_record(path: Path) -> Record:
    """A record from its file; BadInput if it is damaged, of another version, or holds what no run writes."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it has more than {LARGEST_FILE // 2**20} MiB")
        text = path.read_text()
        version = json.loads(text).get("schema_version")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"record {path.name} cannot be read ({error}): restore it, or delete it and run again"
        ) from error
    if version != SCHEMA_VERSION:
        raise BadInput(f"record {path.name} has schema_version {version}, this code reads {SCHEMA_VERSION}: update it")
    try:
        return Record.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise BadInput(f"record {path.name} has {what_is_wrong(error)}: delete it and run again") from error


def what_is_wrong(error: ValidationError) -> str:
    """The first error, unknown fields before missing ones: `config.seed = null (should be …)`."""
    found = sorted(error.errors(include_url=False), key=lambda each: not is_unknown(each))[0]
    field = cut(".".join(str(key) for key in found["loc"] if key != KEY), LONGEST_NAME)
    if is_unknown(found):
        return f"an unknown field {field}"
    if found["type"] == "missing":
        return f"no field {field}"
    said = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{field} = {cut(json.dumps(found['input'], default=str), SHOWN)} ({said})" if field else said


def is_unknown(found: ErrorDetails) -> bool:
    """Whether it is a field that is not declared, or a name that cannot be one of these names."""
    return found["type"] in UNKNOWN or KEY in found["loc"]


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"


def read_records(out: Path) -> list[Record]:
    """Every record of a results folder, by name; BadInput if there is none, or one that cannot be read."""
    records, refusals = readable_records(out)
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


def readable_records(out: Path) -> tuple[list[Record], list[str]]:
    """The records of a folder that can be read, each run once, and a line for each that is left out.

    BadInput if none can be read.
    """
    found, refusals = [], []
    for path in ResultsFolder(out).record_files():
        try:
            found.append((path.name, read_record(path)))
        except BadInput as refusal:
            why = printable(str(refusal).replace(f"{path.parent}/", ""))  # no path of this machine
            refusals.append(f"{out.resolve().name}: {why}")
    if not found:
        raise BadInput(f"'{out}' holds no record that can be read: {refusals[0]}") if refusals else no_records(out)
    records, repeated = each_once(found)
    refusals += [f"{out.resolve().name}: record {line}" for line in repeated]
    times = ResultsFolder(out).times
    if times.record_files():
        quiet, more = readable_records(times.path)
        records, refusals = with_times_of(quiet, records), refusals + more
    return records, refusals


def with_times_of(quiet: list[Record], records: list[Record]) -> list[Record]:
    """The records, each with its times from those that did the same work on a machine of their own."""
    return [
        record.timed_by(each for each in quiet if each.status == "done" and work(each.run) == work(record.run))
        for record in records
    ]


def work(run: RunConfig) -> tuple[Any, ...]:
    """What decides how long a step, an epoch and a sample take, but for the machine."""
    sizes = run.sizes
    models = run.contestant, sizes.image_size, sizes.scale
    return *models, sizes.batch_size, run.recipe, run.data_hash, run.device, run.mixed_precision, run.processes


def each_once(found: list[tuple[str, Record]]) -> tuple[list[Record], list[str]]:
    """Each run's record once, in order, and a line for each duplicate."""
    kept: dict[RunConfig, tuple[str, Record]] = {}
    repeated = []
    for name, record in sorted(found, key=lambda each: each[0] != f"{each[1].run.name}.json"):  # its own name first
        run = replace(record.run, memory_format="")
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
