"""What can be asked of a run's samples: its attributes and their values. Imports no torch: `--list` is quick."""

import json
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from bench.config import run_name
from bench.data.schema import Schema
from bench.errors import BadInput
from bench.storage.folder import ResultsFolder
from bench.storage.records import read_record


def schema_of(out: Path, contestant: str | None, recipe: str) -> Schema:
    """The schema of a run's data: of its own files, as `bench sample` reads it, or else of its record.

    BadInput if there is neither, or if no contestant is named and the runs have different data.
    """
    name = "*" if contestant is None else run_name(contestant, recipe, "*")
    found = list(begun_schemas(out, name)) or list(recorded_schemas(out, name))
    if not found:
        whose = "" if contestant is None else f" of {contestant} ({recipe})"
        raise BadInput(f"'{out}' holds neither a record nor a begun run{whose}: name a folder that `bench run` wrote")
    try:
        schemas = {Schema.from_json(rows) for rows in found}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"the attributes of a run in '{out}' cannot be read ({error}): run again") from error
    if len(schemas) > 1:
        raise BadInput(f"'{out}' holds runs on different data: name one by --contestant, or --recipe")
    return schemas.pop()


def begun_schemas(out: Path, name: str) -> Iterator[list[dict[str, Any]]]:
    for run in ResultsFolder(out).run_folders(name):
        path = run.test
        if not path.exists():  # it has not begun to train
            continue
        try:
            with safe_open(path, "numpy") as file:
                yield json.loads((file.metadata() or {})["schema"])
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise BadInput(f"'{path.parent.name}/{path.name}' cannot be read ({error}): run again") from error


def recorded_schemas(out: Path, name: str) -> Iterator[list[dict[str, Any]]]:
    for path in ResultsFolder(out).record_files(name):
        found = read_record(path).data.attributes
        if found:  # a failed run may have none
            yield [attribute.model_dump() for attribute in found]


def attribute_lines(schema: Schema) -> list[str]:
    """A line for each attribute, with its values wrapped to the terminal's width."""
    width, margin = shutil.get_terminal_size((100, 24)).columns, max(map(len, schema.names)) + 2
    return [
        textwrap.fill(
            ", ".join(attribute.variants),
            max(width, 2 * margin),
            initial_indent=attribute.name.ljust(margin),
            subsequent_indent=" " * margin,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for attribute in schema.attributes
    ]
