"""The confusions of one attribute as a grid of samples: asked in rows, seen in columns."""

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from bench.render.images.gallery import BAND, SHOWN, font, to_pictures

PAPER, INK = "white", "black"
MOST = 10  # variants in a grid
LEFT = 112  # pixels for the names of rows
RIGHT_FRAME, EMPTY = "#1b9e77", "#eeeeee"


def most_confused(counts: list[list[int]]) -> list[int]:
    """The variants that take part in most mistakes, at most ten of them, in the order of the schema."""
    mistakes = [sum(counts[i]) + sum(row[i] for row in counts) - 2 * counts[i][i] for i in range(len(counts))]
    worst = sorted((i for i, number in enumerate(mistakes) if number), key=lambda i: -mistakes[i])
    return sorted(worst[:MOST])


def draw_confusions(
    attribute: str,
    variants: list[str],
    counts: list[list[int]],  # asked in rows, seen in columns
    images: Tensor,  # uint8 (N, 3, H, W)
    asked: Tensor,  # (N,)
    seen: Tensor,  # (N,)
) -> Image.Image:
    """One sample, and the number of them, for each pair of variants that was asked and seen; framed where right."""
    shown = most_confused(counts)
    whole = Image.new("RGB", (LEFT + SHOWN * len(shown), 2 * BAND + SHOWN * len(shown)), PAPER)
    pen = ImageDraw.Draw(whole)
    pen.text((LEFT - 6, BAND / 2), *fitting(attribute, LEFT - 8), anchor="rm")
    pen.text((LEFT - 6, BAND * 3 / 2), "asked ↓ seen →", INK, font(), anchor="rm")
    for place, i in enumerate(shown):
        middle = SHOWN * (place + 0.5)
        pen.text((LEFT + middle, BAND * 3 / 2), *fitting(variants[i], SHOWN), anchor="mm")
        pen.text((LEFT - 6, 2 * BAND + middle), *fitting(variants[i], LEFT - 8), anchor="rm")
        for column, j in enumerate(shown):
            corner = (LEFT + SHOWN * column, 2 * BAND + SHOWN * place)
            found = ((asked == i) & (seen == j)).nonzero().flatten()
            if counts[i][j] and len(found):
                whole.paste(to_pictures(images[found[:1]], SHOWN)[0], corner)
                pen.text((corner[0] + 4, corner[1] + 3), str(counts[i][j]), "white", font(), stroke_width=2,
                         stroke_fill="black")  # fmt: skip
            edges = [corner, (corner[0] + SHOWN - 1, corner[1] + SHOWN - 1)]
            pen.rectangle(edges, outline=RIGHT_FRAME if i == j else EMPTY, width=3 if i == j else 1)
    return whole


def fitting(text: str, width: int) -> tuple[str, str, ImageFont.FreeTypeFont]:
    """A text with its colour and font, smaller or cut short where it would be wider than so many pixels."""
    for size in (12, 11, 10, 9):
        if font(size).getlength(text) <= width - 2:
            return text, INK, font(size)
    return fitting(text.removesuffix("…")[:-1] + "…", width)
