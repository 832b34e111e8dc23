"""Pictures of samples as PNG and GIF files: strips, grids with words under them, and moving strips."""

import functools
import io
import math
from pathlib import Path

import torch
from diffusers.utils import export_to_gif, make_image_grid
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from bench.storage import durable

SHOWN = 64  # pixels: smaller images are enlarged, without smoothing, so that a forge shows them
BAND = 18  # pixels of paper for a line of text
PAPER, INK = "black", "white"  # as the pictures: a light band would glare on a dark page
COLOURS = 64  # of a frame that moves: noise in more of them is large, and looks no different


def to_pictures(images: Tensor, enlarged_to: int | None = None) -> list[Image.Image]:
    """uint8 images (N, 3, H, W) to pictures, each pixel repeated until they are `enlarged_to` wide."""
    pictures = [Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()) for image in images]
    factor = max(1, (enlarged_to or 0) // images.shape[-1])
    return [p.resize((p.width * factor, p.height * factor), Image.Resampling.NEAREST) for p in pictures]


@functools.cache
def font(size: int = 12) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, so that pictures are the same everywhere; it has ᾱ."""
    from matplotlib.font_manager import findfont

    return ImageFont.truetype(findfont("DejaVu Sans"), size)


def strip(images: Tensor, columns: int = 16) -> Image.Image:
    """uint8 images (N, 3, H, W), `columns` in a row; the last row is filled up with black."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    missing = images.new_zeros(rows * columns - len(images), *images.shape[1:])
    return make_image_grid(to_pictures(torch.cat([images, missing]), SHOWN), rows, columns)


def captioned(picture: Image.Image, *lines: str) -> Image.Image:
    """A picture with lines of text under it, on paper that is wide enough for both.

    They begin at the left: on a narrow screen a strip is scrolled, and its middle is out of sight.
    """
    width = max(picture.width, *(math.ceil(font().getlength(line)) + 4 for line in lines))
    whole = Image.new("RGB", (width, picture.height + BAND * len(lines)), PAPER)
    whole.paste(picture)
    for number, line in enumerate(lines):
        place = (2, picture.height + BAND * (number + 0.5))
        ImageDraw.Draw(whole).text(place, line, INK, font(), anchor="lm")
    return whole


def write_png(path: Path, picture: Image.Image) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    durable.write_bytes(path, buffer.getvalue())


def write_strip(path: Path, images: Tensor, columns: int = 16) -> None:
    write_png(path, strip(images, columns))


def write_captioned(path: Path, rows: list[tuple[str, Tensor]]) -> None:
    """Strips one below the other, each with what it is under it."""
    strips = [captioned(strip(images), words) for words, images in rows]
    write_png(path, stacked(strips))


def write_row(path: Path, tiles: list[Image.Image]) -> None:
    """Pictures of one size side by side."""
    write_png(path, make_image_grid(tiles, 1, len(tiles)))


def stacked(pictures: list[Image.Image]) -> Image.Image:
    """Pictures one below the other."""
    whole = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), PAPER)
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    return whole


def write_gif(path: Path, frames: list[Image.Image], seconds: float, held: float) -> None:
    """A moving picture: `seconds` for each frame, `held` more for the last one, then again from the first."""
    few = [frame.quantize(COLOURS) for frame in frames]
    buffer = io.BytesIO()
    buffer.name = path.name  # by which its format is known
    export_to_gif(few + few[-1:] * round(held / seconds), buffer, fps=round(1 / seconds))
    durable.write_bytes(path, buffer.getvalue())
