"""The files of a user's set, from a folder or an archive that nobody has to trust. Nothing is written to disk.

Imports no torch: the decoding processes start fast.
"""

import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath
from typing import Self

from bench.errors import BadInput, printable

ARCHIVES = (".tgz", ".tar.gz", ".tar")

# What no honest set has: Cartoon Set's largest is 200,000 files of 50 kB.
LARGEST_MEMBER = 16 * 2**20  # bytes
LARGEST_ARCHIVE = 64 * 2**30  # bytes, unpacked
MOST_MEMBERS = 500_000
LONGEST_NAME = 1024  # characters of a path


def is_archive(path: Path) -> bool:
    return path.name.endswith(ARCHIVES)


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
    return name.suffix.lower() in (".png", ".csv", ".json") and not name.name.startswith("._")


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
