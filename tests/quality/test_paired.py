"""The paired errors, where the answer is known."""

import numpy as np
import pytest
import torch
from skimage.color import deltaE_cie76, rgb2lab

from bench.quality import defects
from bench.quality.paired import colour_difference, lab_from_srgb, measure_paired, structural_similarity


def flat(*rgb):
    return torch.tensor(rgb, dtype=torch.uint8)[None, :, None, None].expand(1, 3, 16, 16).contiguous()


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((128, 128, 128), (53.59, 0, 0)),
        ((3, 3, 3), (0.82, 0, 0)),
    ],
)
def test_known_colours_in_cielab(rgb, lab):
    assert lab_from_srgb(flat(*rgb))[0, :, 0, 0].tolist() == pytest.approx(lab, abs=0.02)


def test_it_is_what_scikit_image_says_of_any_colour():
    a, b = (torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(i))
            for i in (0, 1))  # fmt: skip
    theirs = deltaE_cie76(*(rgb2lab(each.permute(0, 2, 3, 1).numpy()) for each in (a, b))).mean((1, 2))
    assert colour_difference(a, b).numpy() == pytest.approx(theirs, abs=0.02)


def test_black_to_white_is_a_hundred_apart():
    assert colour_difference(flat(0, 0, 0), flat(255, 255, 255)).item() == pytest.approx(100, abs=1e-3)


def test_true_pictures_have_no_error_and_others_have_the_more_the_worse_they_are(parts):
    images = parts.train.images
    same = measure_paired(images, images)
    assert same["colour"]["value"] == 0
    assert same["structure"]["value"] == pytest.approx(1)
    assert same["colour"]["of"] == len(images)
    worse = [measure_paired(defects.noisy(images, sd), images) for sd in (2, 10, 40)]
    others = measure_paired(images.roll(1, 0), images)
    colours = [each["colour"]["value"] for each in (same, *worse)]
    assert colours == sorted(colours)
    assert others["colour"]["interval"][0] > 2
    assert others["structure"]["interval"][1] < 0.9
    assert worse[2]["structure"]["value"] < worse[0]["structure"]["value"] < 1


def test_one_sample_has_no_interval(parts):
    found = measure_paired(parts.train.images[:1], parts.train.images[1:2])
    assert (found["colour"]["of"], found["colour"]["interval"]) == (1, None)


def test_the_similarity_of_an_image_does_not_depend_on_those_beside_it(parts):
    a, b = parts.train.images[:8], parts.train.images[8:16]
    alone = [structural_similarity(x[None], y[None]).item() for x, y in zip(a, b, strict=True)]
    assert structural_similarity(a, b).numpy() == pytest.approx(np.array(alone), abs=1e-5)
