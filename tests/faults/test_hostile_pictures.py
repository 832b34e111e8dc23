"""Damaged and hostile pictures of a data set, case 18: listed, refused, and skipped only on demand."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from bench.data import files as data_files
from bench.data.picture import END, START, decode
from bench.data.tools import verify
from tests.faults.spoilt import (  # noqa: F401 - folder is a fixture
    COUNT,
    WHOLE,
    assert_listed_refused_and_skipped,
    assert_refused,
    folder,
    picture,
    request,
)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bomb(side):
    """A PNG of a few bytes that claims side × side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    return START + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + END


def jpeg():
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40)).save(buffer, "JPEG")
    return buffer.getvalue()


def flipped(content, at, bit=0):
    spoilt = bytearray(content)
    spoilt[at] ^= 1 << bit
    return bytes(spoilt)


PICTURES = {
    "cut at 10 %": (WHOLE[: len(WHOLE) // 10], "is cut short"),
    "cut at 60 %": (WHOLE[: len(WHOLE) * 6 // 10], "is cut short"),
    "cut at 99 %": (WHOLE[: len(WHOLE) * 99 // 100], "is cut short"),
    "no IEND": (WHOLE[:-12], "is cut short"),
    "half of IEND": (WHOLE[:-6], "is cut short"),
    "flip in IDAT": (flipped(WHOLE, len(WHOLE) // 2), "cannot be decoded"),
    "flip in the header": (flipped(WHOLE, 17), "cannot be decoded (its header is damaged)"),
    "no IDAT": (WHOLE[:33] + END, "cannot be decoded"),
    "empty": (b"", "is not a PNG"),
    "zeros": (bytes(len(WHOLE)), "is not a PNG"),
    "text": (b"hello", "is not a PNG"),
    "JPEG": (jpeg(), "is not a PNG"),
    "too many pixels": (bomb(5000), "cannot be decoded (it has 5000×5000 pixels, at most are 4096×4096"),
    "Pillow would warn": (bomb(12_000), "cannot be decoded"),
    "Pillow would refuse": (bomb(60_000), "cannot be decoded"),
    "no pixels": (bomb(0), "cannot be decoded"),
    "half animated": (WHOLE[:33] + chunk(b"acTL", bytes(8)) + WHOLE[33:], "cannot be decoded"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_fault_18_damaged_pictures_are_listed_refused_and_skipped_only_on_demand(kind, folder):
    content, words = PICTURES[kind]
    (folder / "cs3.png").write_bytes(content)
    assert_listed_refused_and_skipped(folder, f"cs3.png: {words}")


def png_of(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_a_grey_picture_of_16_bits_is_scaled_and_not_clipped():
    grey = np.linspace(0, 65535, 40 * 40).reshape(40, 40).astype(np.uint16)
    assert Image.open(io.BytesIO(png_of(grey))).mode.startswith("I")
    deep, plain = decode(png_of(grey), 16), decode(png_of((grey / 257).round().astype(np.uint8)), 16)
    assert np.abs(deep.astype(int) - plain).max() <= 1
    assert (deep.min(), deep.max()) > (30, 200)
    assert (deep[..., 0] == deep[..., 2]).all()


def test_what_is_transparent_in_a_grey_picture_of_16_bits_is_black():
    content = png_of(np.full((40, 40), 40_000, dtype=np.uint16))
    assert (decode(content, 8) == 156).all()
    marked = content[:33] + chunk(b"tRNS", (40_000).to_bytes(2, "big")) + content[33:]
    assert (decode(marked, 8) == 0).all()


@pytest.mark.parametrize("late", [False, True])  # the chunk stands before the pixels, or after them
@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, -1), (8, 1)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_rotated_picture_is_turned_upright(orientation, turns, late, kind):
    pixels = np.zeros((40, 40), dtype=kind)
    pixels[:20, :30] = np.iinfo(kind).max
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = png_of(pixels) if late else png_of(pixels, exif=exif)
    if late:
        content = content[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + END
    assert (decode(content, 8) == decode(png_of(np.rot90(pixels, turns).copy()), 8)).all()


def test_damaged_exif_is_refused(folder):
    content = WHOLE[:-12] + chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff") + END
    (folder / "cs3.png").write_bytes(content)
    assert_listed_refused_and_skipped(folder, "cs3.png: cannot be decoded")


def test_fault_18_every_flipped_bit_and_every_cut_is_noticed():
    """Pillow's decoder takes one flip in eight for other pixels: the checksums notice all."""
    content = picture(0, side=12)
    decode(content, 16)
    for at in range(len(content)):
        for spoilt in [content[:at], *(flipped(content, at, bit) for bit in range(8))]:
            with pytest.raises(ValueError, match=r"is not a PNG|is cut short|cannot be decoded"):
                decode(spoilt, 16)


def test_fault_18_the_path_is_listed_with_its_folder_and_all_problems_are(folder):
    (folder / "3").mkdir()
    for suffix in ("png", "csv"):
        (folder / f"cs3.{suffix}").rename(folder / "3" / f"cs3.{suffix}")
    (folder / "3" / "cs3.png").write_bytes(b"hello")
    (folder / "cs1.png").write_bytes(b"hello")
    problems, good = verify(folder)
    assert sorted(problems) == ["3/cs3.png: is not a PNG", "cs1.png: is not a PNG"]
    assert good == COUNT - 2
    assert_refused(folder, r"\(and 1 more\)")


def test_fault_18_no_file_of_a_folder_is_too_large_or_unreadable(folder, monkeypatch):
    monkeypatch.setattr(data_files, "LARGEST_MEMBER", len(WHOLE) + 200)
    (folder / "cs3.png").write_bytes(bytes(len(WHOLE) + 201))
    assert_refused(folder, "cs3.png' is too large")

    def fail(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert_refused(folder, r"cs0.csv' cannot be read \(Input/output error\)")
