"""Google's Cartoon Set, as a folder (nested or flat) or a .tgz: PNG files with a CSV of attributes beside each.

Imports no torch: the decoding processes start fast.
"""

import csv
import functools
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from bench.data.files import members
from bench.data.picture import decode
from bench.data.schema import Attribute, Schema
from bench.errors import BadInput, printable

SCHEMA_FILE = "schema.json"  # ours, beside exported sets: the names that Cartoon Set's CSV has no place for
CHUNK = 512
INTEGER = re.compile("-?[0-9]{1,18}")  # int() would take 1_0 for ten

WIDEST = 10_000  # variants of all attributes, more than any honest set has: Cartoon Set's 18 have 217


class Row(NamedTuple):
    """One line of a CSV."""

    attribute: str
    variant: int
    cardinality: int
    line: int


Rows = tuple[Row, ...]
Shape = tuple[tuple[str, int], ...]  # (attribute, cardinality)
Mapper = Callable[[Callable, list], list]


@dataclass
class Scan:
    """What a set holds, by stem (its path without suffix), and every problem met."""

    images: dict[str, np.ndarray] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # of the picture, or of the CSV where there is none
    problems: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)  # stems with a problem
    schema_text: str | None = None

    def report(self, stem: str, problem: str) -> None:
        self.problems.append(printable(problem))
        self.bad.add(stem)


def parse_rows(text: str, name: str) -> Rows:
    """A CSV's rows; ValueError names the line that breaks the format."""
    rows: dict[str, Row] = {}
    width = 0
    reader = csv.reader(io.StringIO(text), skipinitialspace=True)
    for cells in filter(None, reader):
        try:
            row = parse_row(cells, reader.line_num)
        except ValueError as error:
            raise ValueError(f"{name} line {reader.line_num}: {error}") from None
        width += row.cardinality
        if row.attribute in rows:
            raise ValueError(f"{name} line {row.line}: {row.attribute} stands twice")
        if width > WIDEST:
            raise ValueError(f"{name} line {row.line}: {row.attribute} makes {width} variants, at most are {WIDEST}")
        rows[row.attribute] = row
    if not rows:
        raise ValueError(f"{name}: holds no attribute")
    return tuple(rows.values())


def parse_row(cells: list[str], line: int) -> Row:
    """One line's cells; ValueError says what is wrong with them and what is allowed."""
    if len(cells) != 3:
        raise ValueError(f'expected "name", index, cardinality but found {",".join(cells)!r}')
    attribute, *numbers = cells
    if not attribute:
        raise ValueError("an attribute without a name")
    if not all(INTEGER.fullmatch(number.strip()) for number in numbers):
        raise ValueError(f"{attribute} has index {cells[1]!r} of {cells[2]!r}, not integers")
    variant, cardinality = map(int, numbers)
    if cardinality < 1:
        raise ValueError(f"{attribute} has cardinality {cardinality}, allowed are 1 and more")
    if not 0 <= variant < cardinality:
        raise ValueError(f"{attribute} is {variant}, allowed are 0 to {cardinality - 1}")
    return Row(attribute, variant, cardinality, line)


def try_decode(item: tuple[str, bytes], size: int) -> tuple[str, np.ndarray | str]:
    """(name, PNG) to (name, pixels), or (name, what is wrong with it)."""
    name, png = item
    try:
        return name, decode(png, size)
    except ValueError as error:
        return name, f"{name}: {error}"


def without_suffix(name: str) -> str:
    return name.rpartition(".")[0]


def scan(path: Path, size: int, mapper: Mapper, advance: Callable[[int], None] = lambda _: None) -> Scan:
    """Read a whole set; `mapper` runs the decoding, a chunk at a time, `advance` is told of every image."""
    found = Scan()
    waiting: list[tuple[str, bytes]] = []
    seen: set[str] = set()

    def decode_waiting() -> None:
        for name, result in mapper(functools.partial(try_decode, size=size), waiting):
            if isinstance(result, str):
                found.report(without_suffix(name), result)
            else:
                found.images[without_suffix(name)] = result
        advance(len(waiting))
        waiting.clear()

    for name, content in members(path):
        stem, suffix = without_suffix(name), name.rpartition(".")[2].lower()
        plain = f"{stem}.{suffix}"  # cs1.PNG is a picture like cs1.png, and beside it a second one
        if plain in seen:
            found.report(stem, f"{name}: stands twice")
            continue
        seen.add(plain)
        if suffix == "png":
            waiting.append((name, content))
            found.names[stem] = name
        elif suffix == "csv":
            try:
                found.rows[stem] = parse_rows(content.decode("utf-8-sig"), name)
            except (ValueError, csv.Error) as error:
                found.report(stem, str(error) if name in str(error) else f"{name}: {error}")
            found.names.setdefault(stem, name)
        elif PurePosixPath(name).name == SCHEMA_FILE:
            found.schema_text = content.decode(errors="replace")
        if len(waiting) == CHUNK:
            decode_waiting()
    decode_waiting()
    if not found.images and not found.bad:
        raise BadInput(f"data '{path}' is no Cartoon Set: it holds no PNG with a CSV beside it")
    check_pairs(found)
    return found


def check_pairs(found: Scan) -> None:
    """Report images without a CSV, CSVs without an image, and CSVs whose attributes differ from the rest."""
    whole = {stem: rows for stem, rows in found.rows.items() if stem in found.images}
    for stem in sorted(found.images.keys() - found.rows.keys() - found.bad):
        found.report(stem, f"{found.names[stem]}: has no {stem}.csv beside it")
    for stem in sorted(found.rows.keys() - found.images.keys() - found.bad):
        found.report(stem, f"{found.names[stem]}: has no {stem}.png beside it")
    shapes = {stem: tuple((row.attribute, row.cardinality) for row in rows) for stem, rows in whole.items()}
    for usual, _ in Counter(shapes.values()).most_common(1):
        for stem in sorted(stem for stem, shape in shapes.items() if shape != usual):
            found.report(stem, f"{stem}.csv {difference(whole[stem], usual)}")


def difference(rows: Rows, usual: Shape) -> str:
    """Where a CSV first has other attributes than the other files: its line, and what is allowed."""
    expected = dict(usual)
    for row in rows:
        where = f"line {row.line}: {row.attribute}"
        if row.attribute not in expected:
            return f"{where} is unknown, the other files have {', '.join(expected)}"
        if row.cardinality != expected[row.attribute]:
            return f"{where} has cardinality {row.cardinality}, in the other files {expected[row.attribute]}"
    missing = expected.keys() - {row.attribute for row in rows}
    if missing:
        return f"lacks {', '.join(name for name in expected if name in missing)}, as in the other files"
    row, name = next((row, name) for row, name in zip(rows, expected, strict=True) if row.attribute != name)
    return f"line {row.line}: {row.attribute} stands where {name} does in the other files"


def schema_of(found: Scan, rows: Rows) -> Schema:
    """The set's schema: names from its schema.json where that fits the CSVs, else variants by number."""
    plain = Schema(tuple(Attribute(row.attribute, tuple(map(str, range(row.cardinality)))) for row in rows))
    if found.schema_text is None:
        return plain
    try:
        named = Schema.from_json(json.loads(found.schema_text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(f"{SCHEMA_FILE} cannot be read ({error}): delete it, the CSV files suffice") from error
    return named if (named.names, named.cardinalities) == (plain.names, plain.cardinalities) else plain


def write_csv(schema: Schema, codes: np.ndarray) -> str:
    """One image's codes (A,) in Cartoon Set's format."""
    rows = zip(schema.names, codes.tolist(), schema.cardinalities, strict=True)
    return "".join(f'"{name}", {code}, {cardinality}\n' for name, code, cardinality in rows)
