"""Google's Cartoon Set, as a folder (nested or flat) or a .tgz: PNG files with a CSV of attributes beside each.

Imports no torch: the decoding processes start fast.
"""

import csv
import functools
import io
import json
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from bench.data.picture import decode
from bench.data.schema import Attribute, Schema
from bench.errors import BadInput

ARCHIVES = (".tgz", ".tar.gz", ".tar")
SCHEMA_FILE = "schema.json"  # ours, beside exported sets: the names that Cartoon Set's CSV has no place for
LARGEST_MEMBER = 16 * 2**20
MOST_MEMBERS = 1_000_000
CHUNK = 512

Rows = tuple[tuple[str, int, int], ...]  # (attribute, variant, cardinality)
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
        self.problems.append(problem)
        self.bad.add(stem)


def is_archive(path: Path) -> bool:
    return path.name.endswith(ARCHIVES)


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a set as (relative name, content), nothing written to disk; BadInput if there is none."""
    if not path.exists():
        raise BadInput(f"data '{path}' does not exist: name a Cartoon Set folder, a .tgz, or 'avataaars'")
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if wanted(file) and file.is_file():
                yield file.relative_to(path).as_posix(), file.read_bytes()
    elif is_archive(path):
        yield from archive_members(path)
    else:
        raise BadInput(f"data '{path}' is neither a folder nor a .tgz of Cartoon Set")


def wanted(name: PurePath) -> bool:
    """Whether a file belongs to a set; `._name` is macOS' shadow of one."""
    return name.suffix in (".png", ".csv", ".json") and not name.name.startswith("._")


def archive_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """The regular files of an archive; BadInput for anything that could reach outside it or swell."""
    try:
        with tarfile.open(path, "r:*") as archive:
            for count, member in enumerate(archive):
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise BadInput(f"{path.name}: member '{member.name}' points outside the archive; do not use it")
                if member.isdir():
                    continue
                if not member.isfile():
                    raise BadInput(f"{path.name}: member '{member.name}' is a link or device; do not use it")
                if member.size > LARGEST_MEMBER or count >= MOST_MEMBERS:
                    raise BadInput(f"{path.name}: member '{member.name}' is too large or one too many; do not use it")
                if wanted(name):
                    content = archive.extractfile(member)
                    assert content is not None  # a regular file has content
                    yield str(name), content.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise BadInput(f"data '{path}' cannot be read as an archive ({error}): download it again") from error


def parse_rows(text: str, name: str) -> Rows:
    """A CSV's (attribute, variant, cardinality) rows; ValueError names the line that breaks the format."""
    rows: list[tuple[str, int, int]] = []
    for number, cells in enumerate(csv.reader(io.StringIO(text), skipinitialspace=True), start=1):
        where = f"{name} line {number}"
        if not cells:
            continue
        if len(cells) != 3:
            raise ValueError(f'{where}: expected "name", index, cardinality but found {",".join(cells)!r}')
        attribute = cells[0]
        try:
            variant, cardinality = int(cells[1]), int(cells[2])
        except ValueError:
            raise ValueError(f"{where}: {attribute} has index {cells[1]!r} of {cells[2]!r}, not integers") from None
        if not 0 <= variant < cardinality:
            raise ValueError(f"{where}: {attribute} is {variant}, allowed are 0 to {cardinality - 1}")
        if attribute in (row[0] for row in rows):
            raise ValueError(f"{where}: {attribute} stands twice")
        rows.append((attribute, variant, cardinality))
    if not rows:
        raise ValueError(f"{name}: holds no attribute")
    return tuple(rows)


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
    shapes = {stem: tuple((name, cardinality) for name, _, cardinality in rows) for stem, rows in whole.items()}
    if shapes:
        usual = max(set(shapes.values()), key=list(shapes.values()).count)
        for stem in sorted(stem for stem, shape in shapes.items() if shape != usual):
            odd = sorted(set(shapes[stem]) ^ set(usual))
            what = f"attribute {odd[0][0]} (cardinality {odd[0][1]}) is" if odd else "the order of its attributes is"
            found.report(stem, f"{stem}.csv: {what} not as in the other files")


def schema_of(found: Scan, rows: Rows) -> Schema:
    """The set's schema: names from its schema.json where that fits the CSVs, else variants by number."""
    plain = Schema(tuple(Attribute(name, tuple(map(str, range(count)))) for name, _, count in rows))
    if found.schema_text is None:
        return plain
    try:
        named = Schema.from_json(json.loads(found.schema_text))
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{SCHEMA_FILE} cannot be read ({error}): delete it, the CSV files suffice") from error
    return named if (named.names, named.cardinalities) == (plain.names, plain.cardinalities) else plain


def write_csv(schema: Schema, codes: np.ndarray) -> str:
    """One image's codes (A,) in Cartoon Set's format."""
    rows = zip(schema.names, codes.tolist(), schema.cardinalities, strict=True)
    return "".join(f'"{name}", {code}, {cardinality}\n' for name, code, cardinality in rows)
