"""The source's words, measured: each measure moves with its own defect and hardly with another's."""

import numpy as np
import pytest
import torch

from bench.data import avataaars
from bench.data.library import DataRequest, render
from bench.data.splits import split
from bench.quality.artefacts import background, first_of, measure_artefacts, planes, reference
from bench.quality.attributes import classifier_bounds
from bench.quality.classifier import ClassifierConfig, train_classifier
from bench.quality.judges import DEFECTS, measures_of, with_one_top
from bench.quality.palette import difference, learn_palette, to_lab

# By how much a measure has to move, away from what it says of real images, to count as moved; and by how little not to.
MOVED = {
    "stray_pixels": 0.3,
    "colour_error": 5.0,
    "out_of_palette": 0.04,
    "edge_agreement": 0.25,
    "hairstyle_variety": 0.3,
    "brightness": 10.0,
    "saturation": 10.0,
}
# The table: what every defect moves. A measure that is not named must stay below half of its step above.
TABLE = {
    "noisy background": {"stray_pixels"},
    "turned hue": {"colour_error", "out_of_palette", "saturation"},
    "wavy outlines": {"edge_agreement"},
    "darker": {"brightness", "colour_error"},
    "paler": {"saturation", "colour_error", "out_of_palette"},
    "one hairstyle": {"hairstyle_variety", "edge_agreement"},
}
# A turned hue changes how light a colour is, darkness how colourful; one hairstyle bares or covers the background, and
# shows skin where hair was asked. These may move or not.
EITHER = {
    "turned hue": {"brightness", "edge_agreement", "hairstyle_variety"},
    "darker": {"saturation", "out_of_palette", "hairstyle_variety"},
    "paler": {"hairstyle_variety"},
    "wavy outlines": {"hairstyle_variety", "brightness"},
    "one hairstyle": {"stray_pixels", "colour_error", "brightness", "saturation"},
    "noisy background": {"hairstyle_variety"},
}


@pytest.fixture(scope="module")
def faces():
    return split(render(DataRequest("avataaars", images=800, image_size=32)))


@pytest.fixture(scope="module")
def palette(faces):
    return learn_palette(faces.train)


@pytest.fixture(scope="module")
def measured(faces, palette):
    """Every measure of held-out real images with every defect."""
    *_, (classifier, _) = train_classifier(faces.train, ClassifierConfig(steps=300), torch.device("cpu"))
    asked, bounds = faces.test, classifier_bounds(classifier, faces)
    real = reference(asked, palette)
    sets = {name: defect(asked.images) for name, defect in DEFECTS.items()} | {"one hairstyle": with_one_top(asked)}
    return {name: measures_of(images, asked, classifier, bounds, real, None) for name, images in sets.items()}


@pytest.mark.slow
@pytest.mark.parametrize("defect", TABLE)
@pytest.mark.parametrize("measure", MOVED)
def test_each_measure_moves_with_its_own_defect(measured, defect, measure):
    moved = abs(measured[defect][measure] - measured["none"][measure])
    if measure in TABLE[defect]:
        assert moved > MOVED[measure]
    elif measure not in EITHER[defect]:
        assert moved < MOVED[measure] / 2


@pytest.mark.slow
def test_real_images_have_no_defect(measured):
    clean = measured["none"]
    assert (clean["stray_pixels"], clean["background_level"], clean["edge_agreement"]) == (0, 0, 1)
    assert (clean["brightness"], clean["saturation"]) == (0, 0)
    assert clean["out_of_palette"] < 0.02
    assert clean["colour_error"] < 1


@pytest.mark.slow
def test_every_defect_moves_the_paired_errors(measured):
    """Paleness and darkness leave the structure nearly as it was."""
    clean = measured["none"]
    assert (clean["paired_colour"], clean["paired_structure"]) == (0, pytest.approx(1))
    for defect in TABLE:
        assert measured[defect]["paired_colour"] > 1
        assert measured[defect]["paired_structure"] < 0.99


@pytest.mark.slow
def test_darkness_and_paleness_have_their_sign(measured):
    assert measured["darker"]["brightness"] < 0
    assert measured["paler"]["saturation"] < 0


def test_the_palette_is_learned_from_the_pixels(faces, palette):
    published = {"hairColor": avataaars.HAIR, "hatColor": avataaars.HAT, "skinColor": avataaars.SKIN}
    for attribute in faces.train.schema.attributes:
        for code, colour in palette.colours.get(attribute.name, {}).items():
            value = published[attribute.name][attribute.variants[code]].removeprefix("#")
            assert difference(to_lab(np.frombuffer(bytes.fromhex(value), dtype=np.uint8)), colour) < 1
    assert {name: len(colours) for name, colours in palette.colours.items()} == {
        name: len(colours) for name, colours in published.items()
    }


def test_the_background_is_black_that_reaches_the_border():
    image = np.full((1, 8, 8, 3), 200, dtype=np.uint8)
    image[0, :, :2] = 0
    image[0, 5, 5] = 0  # a pupil
    found = background(image)
    assert found.sum() == 16
    assert not found[0, 5, 5]


def test_the_first_of_a_reference_measures_as_it_would_alone(faces, palette):
    asked, few = faces.test, faces.test.subset(torch.arange(5))
    images = few.images.roll(1, 0)
    assert measure_artefacts(images, first_of(reference(asked, palette), 5)) == measure_artefacts(
        images, reference(few, palette)
    )


def test_a_data_set_without_colours_or_background_has_dashes_and_no_error(parts):
    from dataclasses import replace

    from bench.data.schema import Attribute, Schema

    count = len(parts.train)
    noise = torch.randint(1, 255, (count, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)) + 1
    plain = replace(
        parts.train, images=noise, codes=parts.train.codes[:, :1], schema=Schema((Attribute("a", ("x", "y") * 20),))
    )
    found = measure_artefacts(noise, reference(plain, learn_palette(plain)))
    assert found["stray_pixels"] is None
    assert "colour_error" not in found
    assert found["brightness"]["value"] == 0
    assert planes(noise).shape == (count, 16, 16, 3)
