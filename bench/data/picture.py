"""From a picture of a set to the pixels a model sees: black behind, centre crop, resize. As in the blog post."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

CROPPED_SHARE = 360 / 500  # the blog post crops 360 of Cartoon Set's 500 pixels
LARGEST_SIDE = 4096  # pixels; Cartoon Set has 500: a file of kilobytes can claim gigabytes of them
START = b"\x89PNG\r\n\x1a\n"
END = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk: no content, its name, its checksum


def composite(picture: Image.Image) -> Image.Image:
    """A picture with its transparent parts over black, RGB."""
    rgba = eight_bits(picture).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba).convert("RGB")


def eight_bits(picture: Image.Image) -> Image.Image:
    """A picture with 8 bits a channel: Pillow would clip the 16 of a grey one to 255, and keeps half of any other."""
    if not picture.mode.startswith("I"):
        return picture
    values = np.asarray(picture).astype(np.int64)
    grey = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    transparent = picture.info.get("transparency")
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def upright(picture: Image.Image) -> Image.Image:
    """A picture as it is meant to be looked at: a camera notes in EXIF how it was held."""
    return ImageOps.exif_transpose(picture)


def resize(picture: Image.Image, size: int) -> np.ndarray:
    """An RGB picture to uint8 (size, size, 3), with an antialiasing filter."""
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=None))


def centre_crop(picture: Image.Image) -> Image.Image:
    side = round(min(picture.size) * CROPPED_SHARE)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def decode(png: bytes, size: int) -> np.ndarray:
    """The bytes of a PNG to uint8 (size, size, 3); ValueError if it is no whole PNG, or a huge one."""
    check_ends(png)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("error", UserWarning)  # Pillow's word for what it mends silently
            check_chunks(png)
            with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
                return resize(centre_crop(composite(upright(picture))), size)
    except UnidentifiedImageError as error:  # its own words are an object's address
        raise ValueError("cannot be decoded (its header is damaged)") from error
    except MemoryError:  # the machine's fault, not the picture's
        raise
    except Exception as error:  # damage can make a decoder raise anything: it must not end the reading of a set
        raise ValueError(f"cannot be decoded ({error})") from error


def check_ends(png: bytes) -> None:
    """ValueError unless the bytes begin and end as a PNG does: Pillow loads one that lacks its end silently."""
    if not png.startswith(START):
        raise ValueError("is not a PNG")
    if not png.endswith(END):
        raise ValueError("is cut short (no IEND at its end)")


def check_chunks(png: bytes) -> None:
    """Refuse too many pixels before any is decoded, and a wrong checksum: Pillow looks at none while it decodes."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        if max(picture.size) > LARGEST_SIDE:
            size = f"{picture.width}×{picture.height}"
            raise ValueError(f"it has {size} pixels, at most are {LARGEST_SIDE}×{LARGEST_SIDE}")
        picture.verify()
