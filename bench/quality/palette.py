"""The colours of a data set, learned from its training images: what each variant of a colour attribute looks like.

Avataaars' palette is published and Cartoon Set's is not, so both are read off the pixels; the drawings are flat.
"""

from dataclasses import dataclass

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from bench.data.dataset import AvatarSet

LEARNED_FROM = 3000  # training images
SEEN = 3  # pixels of a colour, for an image to count as showing it
TELLING = 0.5  # a variant's colour is in so many more of its images than of the others
SAME = 5.0  # ΔE: the same colour, as a part of a picture shows it
CELL = 5.0  # side of the cells in which colours are counted, in Lab units
COVERED = 0.995  # of all pixels of real images are in palette


def is_colour(attribute: str) -> bool:
    """Attributes of colour are called so, in Avataaars and in Cartoon Set."""
    return attribute.lower().endswith("color")


def to_lab(images: np.ndarray) -> np.ndarray:
    """uint8 (…, 3) to CIE Lab, float (…, 3)."""
    return rgb2lab(images)


@dataclass(frozen=True)
class Palette:
    """Lab colours (3,) by attribute and code, and the cells of Lab space that real images use."""

    colours: dict[str, dict[int, np.ndarray]]
    cells: np.ndarray  # sorted keys of the cells

    def strange(self, lab: np.ndarray) -> np.ndarray:
        """Which colours (…, 3) no real image has, but for a few pixels in a thousand."""
        return ~np.isin(cell(lab), self.cells)


def difference(lab: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """CIEDE2000 of colours (…, 3) to one colour (3,)."""
    return deltaE_ciede2000(lab, np.broadcast_to(colour, lab.shape))


def cell(lab: np.ndarray) -> np.ndarray:
    """The key of the cell that a Lab colour lies in."""
    place = np.floor(lab / CELL).astype(np.int64) + 64
    return (place[..., 0] * 128 + place[..., 1]) * 128 + place[..., 2]


def learn_palette(train: AvatarSet) -> Palette:
    """The palette of a training set."""
    pixels = train.images[:LEARNED_FROM].permute(0, 2, 3, 1).numpy()
    keys, counts = np.unique(cell(to_lab(pixels)), return_counts=True)
    order = counts.argsort()[::-1]
    enough = np.searchsorted(np.cumsum(counts[order]), COVERED * counts.sum()) + 1
    colours = {
        name: learn_colours(pixels, train.codes[:LEARNED_FROM, i].numpy(), train.shown[:LEARNED_FROM, i].numpy())
        for i, name in enumerate(train.schema.names)
        if is_colour(name)
    }
    return Palette(colours, np.sort(keys[order[:enough]]))


def learn_colours(pixels: np.ndarray, codes: np.ndarray, shown: np.ndarray) -> dict[int, np.ndarray]:
    """The Lab colour of each variant: the one most telling of it, where any tells.

    pixels (N, H, W, 3), codes and shown (N,).
    """
    packed = pixels.astype(np.int64) @ np.array([65536, 256, 1])
    images = [np.unique(image, return_counts=True) for image in packed]
    present = [colours[counts >= SEEN] for colours, counts in images]
    names, places = np.unique(np.concatenate(present), return_inverse=True)
    owner = np.repeat(np.arange(len(pixels)), [len(colours) for colours in present])
    found = {}
    for code in np.unique(codes[shown]):
        mine = (codes == code) & shown
        with_it = np.bincount(places[mine[owner]], minlength=len(names)) / mine.sum()
        without = np.bincount(places[~mine[owner]], minlength=len(names)) / max(1, (~mine).sum())
        best = (with_it - without).argmax()
        if with_it[best] - without[best] > TELLING:
            found[int(code)] = to_lab(np.array([names[best] >> shift & 255 for shift in (16, 8, 0)], dtype=np.uint8))
    return found
