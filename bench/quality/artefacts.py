"""The blog post's words as numbers: background, colour, shape and brightness of samples.

Each sample is held against the real held-out image of the same condition, pixel by pixel where that makes sense:
the attributes determine these drawings, so the place of every part is known.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, binary_propagation
from scipy.stats import wasserstein_distance
from skimage.feature import canny
from torch import Tensor

from bench.data.dataset import AvatarSet
from bench.quality import interval
from bench.quality.palette import SAME, Palette, difference, to_lab

BLACK = 2  # of 255: the empty background of a real image
STRAY = 16  # of 255: a pixel that should be black and can be seen
AROUND = np.ones((1, 3, 3), bool)  # a pixel and its neighbours, in a stack of images
LEAST = 4  # pixels that a part must have to be judged


@dataclass(frozen=True)
class Reference:
    """Real images of the conditions asked: Lab (N, H, W, 3), and where they are empty, drawn and edged (N, H, W)."""

    lab: np.ndarray
    empty: np.ndarray
    drawn: np.ndarray
    edges: np.ndarray
    parts: dict[str, np.ndarray]  # per colour attribute: where the colour asked for shows
    targets: dict[str, np.ndarray]  # per colour attribute: that colour in Lab (N, 3), NaN where none is known
    palette: Palette


def planes(images: Tensor) -> np.ndarray:
    """uint8 (N, 3, H, W) to (N, H, W, 3)."""
    return images.permute(0, 2, 3, 1).numpy()


def edges_of(lab: np.ndarray) -> np.ndarray:
    """Canny edges of the lightness, bool (N, H, W)."""
    return np.stack([canny(image[..., 0] / 100, sigma=1.0) for image in lab])


def background(pixels: np.ndarray) -> np.ndarray:
    """Where black reaches in from the border, bool (N, H, W)."""
    black = pixels.max(-1) <= BLACK
    border = np.zeros_like(black)
    border[:, [0, -1], :] = border[:, :, [0, -1]] = True
    flat = np.zeros((3, 3, 3), bool)  # neighbours in the same image only
    flat[1] = True
    return binary_propagation(border & black, structure=flat, mask=black)


def reference(asked: AvatarSet, palette: Palette) -> Reference:
    """What the samples of these conditions are held against."""
    pixels = planes(asked.images)
    lab, empty = to_lab(pixels), background(pixels)
    parts, targets = {}, {}
    for i, name in enumerate(asked.schema.names):
        if name in palette.colours:
            known, nothing = palette.colours[name], np.full(3, np.nan)
            codes, shown = asked.codes[:, i].tolist(), asked.shown[:, i].tolist()
            colours = [known.get(code, nothing) if s else nothing for code, s in zip(codes, shown, strict=True)]
            targets[name] = np.stack(colours)
            apart = difference(lab, targets[name][:, None, None, :])
            parts[name] = np.nan_to_num(apart, nan=np.inf) < SAME
    return Reference(
        lab=lab,
        empty=binary_erosion(empty, AROUND, border_value=1),
        drawn=binary_erosion(~empty, AROUND),
        edges=edges_of(lab) & binary_dilation(~empty, AROUND),
        parts=parts,
        targets=targets,
        palette=palette,
    )


def per_image(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean (N,) of values (N, H, W) over a mask; NaN where it has too few pixels."""
    count = where.sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count >= LEAST, (values * where).sum((1, 2)) / count, np.nan)


def background_noise(pixels: np.ndarray, real: Reference) -> dict[str, np.ndarray]:
    """Where the real image is empty: root mean square of the pixels (of 255), and the share that can be seen."""
    energy = per_image((pixels.astype(float) ** 2).mean(-1), real.empty)
    return {"background_level": energy**0.5, "stray_pixels": per_image(pixels.max(-1) > STRAY, real.empty)}


def colour_corruption(lab: np.ndarray, real: Reference) -> dict[str, np.ndarray]:
    """ΔE to the colour asked for, on the part that shows it; and the share of pixels with colours no real image has."""
    by_attribute = []
    for name, target in real.targets.items():
        apart = difference(lab, target[:, None, None, :])
        inside = np.where(real.parts[name], apart, np.nan)
        enough = real.parts[name].sum((1, 2)) >= LEAST
        medians = np.full(len(lab), np.nan)
        if enough.any():
            medians[enough] = np.nanmedian(inside[enough], axis=(1, 2))
        by_attribute.append(medians)
    found = {"out_of_palette": per_image(real.palette.strange(lab), real.drawn)}
    if by_attribute:
        found["colour_error"] = mean_of_known(np.stack(by_attribute))
    return found


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; NaN where all are."""
    known = np.isfinite(values).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known > 0, np.nansum(values, axis=0) / known, np.nan)


def edge_agreement(lab: np.ndarray, real: Reference) -> np.ndarray:
    """F1 (N,) of the edges in and at the drawn part against those of the real image, as `nearby` lets them differ."""
    region = binary_dilation(real.drawn, AROUND, iterations=2)
    ours = edges_of(lab) & region
    hit, found = (ours & nearby(real.edges)).sum((1, 2)), (real.edges & nearby(ours)).sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = hit / ours.sum((1, 2)), found / real.edges.sum((1, 2))
        return np.where(hit + found > 0, 2 * precision * recall / (precision + recall), 0.0)


def nearby(edges: np.ndarray) -> np.ndarray:
    """Edges (N, H, W) as wide as a 64th of the image on either side: at 32×32 their own pixels alone."""
    reach = edges.shape[-1] // 64
    return binary_dilation(edges, AROUND, iterations=reach) if reach else edges


def lightness_and_chroma(lab: np.ndarray, real: Reference) -> dict[str, np.ndarray]:
    """Mean lightness and mean chroma (N,) of the drawn part."""
    return {
        "brightness": per_image(lab[..., 0], real.drawn),
        "saturation": per_image(np.hypot(lab[..., 1], lab[..., 2]), real.drawn),
    }


def measure_artefacts(generated: Tensor, real: Reference) -> dict[str, Any]:
    """Every measure of generated uint8 images (N, 3, H, W), a mean over samples with its interval."""
    pixels = planes(generated)
    lab = to_lab(pixels)
    values = {
        **background_noise(pixels, real),
        **colour_corruption(lab, real),
        "edge_agreement": edge_agreement(lab, real),
    }
    found: dict[str, Any] = {name: interval.mean(each) for name, each in values.items()}
    ours, theirs = lightness_and_chroma(lab, real), lightness_and_chroma(real.lab, real)
    for name in ours:
        found[name] = against_real(ours[name], theirs[name])
    return found


def against_real(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any] | None:
    """Mean difference to the real image of the same condition, and the distance between the two distributions."""
    both = np.isfinite(ours) & np.isfinite(theirs)
    difference_to_real = interval.mean((ours - theirs)[both])
    if difference_to_real is None:
        return None
    return difference_to_real | {
        "real_mean": float(theirs[both].mean()),
        "real_sd": float(theirs[both].std()),
        "wasserstein": float(wasserstein_distance(ours[both], theirs[both])),
    }


def first_of(real: Reference, count: int) -> Reference:
    """The reference of the first `count` conditions."""
    return Reference(
        lab=real.lab[:count],
        empty=real.empty[:count],
        drawn=real.drawn[:count],
        edges=real.edges[:count],
        parts={name: mask[:count] for name, mask in real.parts.items()},
        targets={name: target[:count] for name, target in real.targets.items()},
        palette=real.palette,
    )
