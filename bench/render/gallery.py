"""Pictures as PNG files: strips of samples, samples above real images, the table's example."""

import io
from pathlib import Path

import torch
from diffusers.utils import make_image_grid
from PIL import Image
from torch import Tensor

from bench import durable

SHOWN_AT_LEAST = 128  # pixels: smaller pictures are enlarged, without smoothing, so that a forge shows them


def to_pictures(images: Tensor, enlarged_to: int | None = None) -> list[Image.Image]:
    """uint8 images (N, 3, H, W) to pictures, each pixel repeated until they are `enlarged_to` wide."""
    pictures = [Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()) for image in images]
    factor = max(1, (enlarged_to or 0) // images.shape[-1])
    return [p.resize((p.width * factor, p.height * factor), Image.Resampling.NEAREST) for p in pictures]


def write_png(path: Path, picture: Image.Image) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    durable.write_bytes(path, buffer.getvalue())


def write_strip(path: Path, images: Tensor, columns: int = 16) -> None:
    """uint8 images (N, 3, H, W), `columns` in a row; the last row is filled up with black."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    missing = images.new_zeros(rows * columns - len(images), *images.shape[1:])
    write_png(path, make_image_grid(to_pictures(torch.cat([images, missing]), 64), rows, columns))


def write_example(path: Path, image: Tensor) -> None:
    """One uint8 image (3, H, W), large enough to be seen in a table."""
    write_png(path, to_pictures(image[None], SHOWN_AT_LEAST)[0])
