"""Pictures beside records, for one page: nothing from outside the results folder, and nothing but pictures."""

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from PIL import Image

LARGEST = 8_000_000  # bytes of one file: more would not fit the page
TYPES = {".png": "image/png", ".gif": "image/gif", ".svg": "image/svg+xml"}
NOT_THERE = "not in the record"


class NotDrawn(Exception):  # noqa: N818 - not an error of the program: the page says why in a few words
    """Why a picture cannot be shown."""


@dataclass(frozen=True)
class Picture:
    """A picture as the page embeds it; `still` stands for an animation where motion is not wanted."""

    uri: str
    alt: str
    width: int
    height: int
    still: str | None = None


class Shelf:
    """The pictures of one results folder, and a note of each that cannot be shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.missing: dict[tuple[str, str], list[str]] = {}  # (what, why) -> whose

    def take(self, path: str | None, what: str, whose: str, alt: str) -> Picture | None:
        """The picture at a record's path, or None and a note of what is missing and why."""
        try:
            return read_picture(locate(self.folder, path), alt)
        except NotDrawn as reason:
            self.lacks(what, whose, str(reason))
            return None

    def lacks(self, what: str, whose: str, why: str) -> None:
        owners = self.missing.setdefault((what, why), [])
        if whose not in owners:
            owners.append(whose)

    def notes(self) -> list[str]:
        """`not drawn: noising of scratch, diffusers-32 (not in the record)`."""
        return [
            f"not drawn: {what}{' of ' if any(owners) else ''}{', '.join(owners)} ({why})"
            for (what, why), owners in self.missing.items()
        ]


def locate(folder: Path, path: str | None) -> Path:
    """The file that a record names below its own folder; NotDrawn if it leads elsewhere, or to no picture."""
    if path is None:
        raise NotDrawn(NOT_THERE)
    named = PurePosixPath(path)
    if named.is_absolute() or ".." in named.parts:
        raise NotDrawn("its path leads out of the results folder")
    try:
        found = (folder / named).resolve(strict=True)
        if not found.is_relative_to(folder):  # a symbolic link
            raise NotDrawn("its path leads out of the results folder")
        if found.suffix not in TYPES or not found.is_file():
            raise NotDrawn("neither .png nor .gif nor .svg")
    except (OSError, ValueError, RuntimeError) as error:
        raise NotDrawn("the file is not there") from error
    return found


def read_picture(path: Path, alt: str) -> Picture:
    """A picture with its size; NotDrawn if the file is cut short, too large, or not what its name says."""
    try:
        if path.stat().st_size > LARGEST:
            raise NotDrawn("the file is too large")
        data = path.read_bytes()
    except OSError as error:
        raise NotDrawn("the file cannot be read") from error
    width, height, still = check_vector(data) if path.suffix == ".svg" else check_raster(data, path.suffix)
    return Picture(data_uri(data, path.suffix), alt, width, height, still)


def check_raster(data: bytes, suffix: str) -> tuple[int, int, str | None]:
    """Width, height, and of an animation its last frame."""
    kind = [suffix[1:].upper()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # PIL warns of pictures that unpack to gigabytes
            with Image.open(io.BytesIO(data), formats=kind) as image:
                size = image.size
                image.verify()
            with Image.open(io.BytesIO(data), formats=kind) as image:
                frames = getattr(image, "n_frames", 1)
                return *size, last_frame(image, frames) if frames > 1 else None
    except (OSError, ValueError, SyntaxError, EOFError, Warning, Image.DecompressionBombError) as error:
        raise NotDrawn("the file is damaged") from error


def last_frame(image: Image.Image, frames: int) -> str:
    image.seek(frames - 1)
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG")
    return data_uri(buffer.getvalue(), ".png")


def check_vector(data: bytes) -> tuple[int, int, None]:
    """Width and height of an SVG's view box."""
    try:
        root = ElementTree.fromstring(data)
        _, _, width, height = (float(number) for number in root.attrib["viewBox"].replace(",", " ").split())
        if root.tag != "{http://www.w3.org/2000/svg}svg" or not (0 < width < 1e5 and 0 < height < 1e5):
            raise NotDrawn("the file is damaged")
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise NotDrawn("the file is damaged") from error
    return round(width), round(height), None


def data_uri(data: bytes, suffix: str) -> str:
    return f"data:{TYPES[suffix]};base64,{base64.b64encode(data).decode()}"
