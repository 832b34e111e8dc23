"""Google's Cartoon Set, as a folder (nested or flat) or a .tgz: PNG files with a CSV of attributes beside each.

Imports no torch: the decoding processes start fast.
"""

import csv
import functools
import io
import json
import lzma
import os
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple, Self

import numpy as np

from bench.data.picture import decode
from bench.data.schema import Attribute, Schema
from bench.errors import BadInput

ARCHIVES = (".tgz", ".tar.gz", ".tar")
SCHEMA_FILE = "schema.json"  # ours, beside exported sets: the names that Cartoon Set's CSV has no place for
CHUNK = 512
INTEGER = re.compile("-?[0-9]{1,18}")  # int() would take 1_0 for ten

# What no honest set has: Cartoon Set's largest is 200,000 files of 50 kB, with 18 attributes of 217 variants in all.
LARGEST_MEMBER = 16 * 2**20  # bytes
LARGEST_ARCHIVE = 64 * 2**30  # bytes, unpacked
MOST_MEMBERS = 500_000
LONGEST_NAME = 1024  # characters of a path
WIDEST = 10_000  # variants of all attributes


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
    problems: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)  # stems with a problem
    schema_text: str | None = None

    def report(self, stem: str, problem: str) -> None:
        self.problems.append(printable(problem))
        self.bad.add(stem)


def is_archive(path: Path) -> bool:
    return path.name.endswith(ARCHIVES)


def printable(text: str) -> str:
    """A stranger's text on one line: what cannot be printed, such as a command to the terminal, is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a set as (relative name, content), nothing written to disk; BadInput if there is none."""
    if not os.path.exists(path):  # Path.exists raises for a name that is too long
        raise BadInput(f"data '{path}' does not exist: name a Cartoon Set folder, a .tgz, or 'avataaars'")
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if wanted(file) and file.is_file():
                yield file.relative_to(path).as_posix(), content_of(file)
    elif is_archive(path):
        yield from archive_members(path)
    else:
        raise BadInput(f"data '{path}' is neither a folder nor a .tgz of Cartoon Set")


def wanted(name: PurePath) -> bool:
    """Whether a file belongs to a set; `._name` is macOS' shadow of one."""
    return name.suffix in (".png", ".csv", ".json") and not name.name.startswith("._")


def content_of(file: Path) -> bytes:
    """A file's bytes; BadInput if it cannot be read, or is larger than any of a set's."""
    try:
        if file.stat().st_size > LARGEST_MEMBER:
            raise BadInput(f"'{printable(str(file))}' is too large for a file of a set: remove it")
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"'{printable(str(file))}' cannot be read ({error.strerror}): mend or remove it") from error


class BoundedHeader(tarfile.TarInfo):
    """A header that claims no more than a set has: tarfile reads a long name into memory whole, however long."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if not 0 <= header.size <= LARGEST_MEMBER:
            raise BadInput(f"an archive's member '{printable(header.name)}' is too large; do not use it")
        return header


def fault_of(member: tarfile.TarInfo, position: int, unpacked: int) -> str | None:
    """What makes a member one that could reach outside its archive or swell; None if nothing does."""
    name = PurePosixPath(member.name)
    if len(member.name) > LONGEST_NAME:
        return f"has a name longer than {LONGEST_NAME} characters"
    if name.is_absolute() or ".." in name.parts:
        return "points outside the archive"
    if not (member.isfile() or member.isdir()):
        return "is a link or device"
    if not 0 <= member.size <= LARGEST_MEMBER or unpacked > LARGEST_ARCHIVE:
        return "is too large, by itself or with those before it"
    return "is one too many" if position >= MOST_MEMBERS else None


def archive_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """The regular files of an archive; BadInput for anything that could reach outside it or swell."""
    unpacked = 0
    try:
        with tarfile.open(path, "r:*", tarinfo=BoundedHeader) as archive:
            for position, member in enumerate(archive):
                unpacked += member.size
                if fault := fault_of(member, position, unpacked):
                    name = printable(member.name[:LONGEST_NAME])
                    raise BadInput(f"{path.name}: member '{name}' {fault}; do not use it")
                if member.isfile() and wanted(PurePosixPath(member.name)):
                    content = archive.extractfile(member)
                    assert content is not None  # a regular file has content
                    yield str(PurePosixPath(member.name)), content.read()
    except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError, zlib.error, lzma.LZMAError) as error:
        why = (str(error) or "it is cut short").splitlines()[0].rstrip(":")  # tarfile lists every way it tried
        raise BadInput(f"data '{path}' cannot be read as an archive ({why}): download it again") from error


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
    """(stem, PNG) to (stem, pixels), or (stem, what is wrong with it)."""
    stem, png = item
    try:
        return stem, decode(png, size)
    except ValueError as error:
        return stem, f"{stem}.png: {error}"


def scan(path: Path, size: int, mapper: Mapper, advance: Callable[[int], None] = lambda _: None) -> Scan:
    """Read a whole set; `mapper` runs the decoding, a chunk at a time, `advance` is told of every image."""
    found = Scan()
    waiting: list[tuple[str, bytes]] = []
    seen: set[str] = set()

    def decode_waiting() -> None:
        for stem, result in mapper(functools.partial(try_decode, size=size), waiting):
            if isinstance(result, str):
                found.report(stem, result)
            else:
                found.images[stem] = result
        advance(len(waiting))
        waiting.clear()

    for name, content in members(path):
        stem, _, suffix = name.rpartition(".")
        if name in seen:  # an archive can hold two files of one name
            found.report(stem, f"{name}: stands twice")
            continue
        seen.add(name)
        if suffix == "png":
            waiting.append((stem, content))
        elif suffix == "csv":
            try:
                found.rows[stem] = parse_rows(content.decode("utf-8-sig"), name)
            except (ValueError, csv.Error) as error:
                found.report(stem, str(error) if name in str(error) else f"{name}: {error}")
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
        found.report(stem, f"{stem}.png: has no {stem}.csv beside it")
    for stem in sorted(found.rows.keys() - found.images.keys() - found.bad):
        found.report(stem, f"{stem}.csv: has no {stem}.png beside it")
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
