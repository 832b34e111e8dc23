"""The judges, on images whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data.dataset import split
from bench.data.library import DataRequest, render
from bench.quality import interval
from bench.quality.attributes import (
    accuracies,
    commonest,
    effective_number,
    judge_bounds,
    macro,
    measure_attributes,
    normalised,
)
from bench.quality.classifier import ClassifierConfig, train_classifier
from bench.quality.judge import cached_judge, judge_path

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces():
    return split(render(DataRequest("avataaars", images=600, image_size=32)))


@pytest.fixture(scope="module")
def judged(faces):
    *_, (judge, _) = train_classifier(faces.train, ClassifierConfig(steps=150), CPU)
    return judge


def measured(judge, images, asked, parts):
    return measure_attributes(judge.predict(images), asked, judge_bounds(judge, parts))


def test_the_judge_learns_from_real_images(faces, judged):
    result = measured(judged, faces.held_out.images, faces.held_out, faces)
    assert result["macro"]["accuracy"] == pytest.approx(result["macro"]["ceiling"])
    assert result["macro"]["ceiling"] > result["macro"]["chance"] + 0.3
    assert result["macro"]["normalised"] == pytest.approx(1)
    assert result["per_attribute"]["skinColor"]["accuracy"] > 0.8


def test_noise_and_exchanged_images_are_judged_at_about_chance(faces, judged):
    held_out = faces.held_out
    noise = torch.randint(0, 256, held_out.images.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for images in (noise, held_out.images.roll(7, 0)):
        result = measured(judged, images, held_out, faces)
        assert result["macro"]["accuracy"] < result["macro"]["chance"] + 0.2


def test_a_wrong_colour_is_noticed_by_its_own_attribute(faces, judged):
    swapped = faces.held_out.images[:, [2, 1, 0]]  # red and blue exchanged
    result = measured(judged, swapped, faces.held_out, faces)
    skin = result["per_attribute"]["skinColor"]
    assert skin["accuracy"] < skin["ceiling"] - 0.3
    real = measured(judged, faces.held_out.images, faces.held_out, faces)
    assert result["kinds"]["colour"]["value"] < real["kinds"]["colour"]["value"] - 0.2
    assert (
        sum(map(sum, result["confusion"]["counts"]))
        == result["per_attribute"][result["confusion"]["attribute"]]["scored"]
    )


def test_the_judge_bears_light_noise_and_blur(faces, judged):
    bounds = judge_bounds(judged, faces)["macro"]
    assert bounds["noisy"] > bounds["ceiling"] - 0.15
    assert bounds["blurred"] > bounds["ceiling"] - 0.15


def test_intervals_hold_the_value_and_shrink_with_more_samples():
    few, many = interval.share(8, 10), interval.share(800, 1000)
    for found in (few, many):
        assert found["interval"][0] < found["value"] < found["interval"][1]
    width = [found["interval"][1] - found["interval"][0] for found in (few, many)]
    assert width[1] < width[0] / 5
    assert interval.share(0, 10)["interval"][1] == pytest.approx(0.278, abs=0.001)  # Wilson's, as published
    draws = np.random.default_rng(0).normal(5, 1, 400)
    low, high = interval.mean(draws)["interval"]
    assert high - low == pytest.approx(2 * 1.96 / 400**0.5, rel=0.15)
    assert interval.mean(np.array([np.nan, np.nan])) is None
    assert interval.mean(np.array([1.0, np.nan]))["interval"] is None


def test_normalised_accuracy_and_the_effective_number_of_hairstyles():
    assert normalised(0.6, 0.9, 0.1) == pytest.approx(0.625)
    assert normalised(0.6, 0.1, 0.1) is None
    assert effective_number(np.array([0, 1, 2, 3])) == pytest.approx(4)
    assert effective_number(np.array([2, 2, 2])) == pytest.approx(1)


def test_accuracy_counts_only_what_shows(avatars):
    schema = avatars.schema
    wanted, shown = avatars.codes, avatars.shown
    perfect = accuracies(wanted, wanted, shown, schema)
    assert set(perfect.values()) == {1.0}
    i = schema.names.index("hatColor")
    predicted = wanted.clone()
    predicted[~shown[:, i], i] = 0  # a colour claimed for hats that are not there
    assert accuracies(predicted, wanted, shown, schema) == perfect
    nowhere = torch.zeros_like(shown)
    assert set(accuracies(wanted, wanted, nowhere, schema).values()) == {None}
    assert macro({"a": None, "b": 0.5, "c": 1.0}) == 0.75
    assert macro({"a": None}) is None


def test_an_attribute_with_a_single_variant_is_not_scored(avatars):
    from bench.data.schema import Attribute, Schema

    schema = Schema((Attribute("only", ("x",)), Attribute("two", ("a", "b"))))
    codes = torch.tensor([[0, 1], [0, 0]])
    assert accuracies(codes, codes, torch.ones(2, 2, dtype=torch.bool), schema) == {"only": None, "two": 1.0}


def test_chance_is_the_commonest_variant_of_the_training_images(parts):
    i = parts.train.schema.names.index("facialHair")
    assert commonest(parts.train)[i] == parts.train.codes[:, i].mode().values


def test_the_judge_is_cached_by_the_content_of_its_training_images(parts, tmp_path):
    config = ClassifierConfig(steps=3)
    steps = []
    first = cached_judge(parts, config, CPU, tmp_path, lambda step, loss: steps.append(step))
    again = cached_judge(parts, config, CPU, tmp_path, lambda step, loss: steps.append(step))
    assert steps == [0, 1, 2]
    assert torch.equal(first.heads.weight, again.heads.weight)
    other = split(replace_first_pixel(parts.train))
    assert judge_path(other, config, tmp_path) != judge_path(parts, config, tmp_path)
    path = judge_path(parts, config, tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    cached_judge(parts, config, CPU, tmp_path, lambda step, loss: steps.append(step))
    assert len(steps) == 6


def replace_first_pixel(avatars):
    images = avatars.images.clone()
    images[0, 0, 0, 0] ^= 1
    return replace(avatars, images=images)
