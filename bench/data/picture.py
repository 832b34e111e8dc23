"""From a picture of a set to the pixels a model sees: black behind, centre crop, resize. As in the source."""

import io

import numpy as np
from PIL import Image

CROPPED_SHARE = 360 / 500  # the source crops 360 of Cartoon Set's 500 pixels


def composite(picture: Image.Image) -> Image.Image:
    """A picture with its transparent parts over black, RGB."""
    rgba = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba).convert("RGB")


def resize(picture: Image.Image, size: int) -> np.ndarray:
    """An RGB picture to uint8 (size, size, 3), with an antialiasing filter."""
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=None))


def centre_crop(picture: Image.Image) -> Image.Image:
    side = round(min(picture.size) * CROPPED_SHARE)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def decode(png: bytes, size: int) -> np.ndarray:
    """The bytes of a PNG to uint8 (size, size, 3); ValueError if it is no whole PNG."""
    check_whole(png)
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            return resize(centre_crop(composite(picture)), size)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot be decoded ({error})") from error


def check_whole(png: bytes) -> None:
    """ValueError unless the bytes begin and end as a PNG does: Pillow loads one that lacks its end silently."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("is not a PNG")
    if b"IEND" not in png[-12:]:
        raise ValueError("is cut short (no IEND at its end)")
