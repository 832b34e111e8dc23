"""The judges, on images whose answer is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data.dataset import AvatarSet
from bench.data.library import DataRequest, render
from bench.data.schema import Attribute, Schema
from bench.data.splits import Split, split
from bench.quality import interval
from bench.quality.attributes import (
    accuracies,
    cached_bounds,
    classifier_bounds,
    commonest,
    effective_number,
    macro,
    measure_attributes,
    normalised,
    untrained,
)
from bench.quality.classifier import (
    AttributeClassifier,
    ClassifierConfig,
    cached_classifier,
    classifier_path,
    train_classifier,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces():
    return split(render(DataRequest("avataaars", images=600, image_size=32)))


@pytest.fixture(scope="module")
def judged(faces):
    *_, (classifier, _) = train_classifier(faces.train, ClassifierConfig(steps=150), CPU)
    return classifier


def measured(classifier, images, asked, parts):
    return measure_attributes(classifier.predict(images), asked, classifier_bounds(classifier, parts))


@pytest.mark.slow
def test_the_judge_learns_from_real_images(faces, judged):
    result = measured(judged, faces.test.images, faces.test, faces)
    assert result["macro"]["accuracy"] == pytest.approx(result["macro"]["ceiling"])
    assert result["macro"]["ceiling"] > result["macro"]["chance"] + 0.3
    assert result["macro"]["normalised"] == pytest.approx(1)
    assert result["per_attribute"]["skinColor"]["accuracy"] > 0.8


@pytest.mark.slow
def test_noise_and_exchanged_images_are_judged_at_about_chance(faces, judged):
    held_out = faces.test
    noise = torch.randint(0, 256, held_out.images.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for images in (noise, held_out.images.roll(7, 0)):
        result = measured(judged, images, held_out, faces)
        assert result["macro"]["accuracy"] < result["macro"]["chance"] + 0.2


@pytest.mark.slow
def test_a_wrong_colour_is_noticed_by_its_own_attribute(faces, judged):
    swapped = faces.test.images[:, [2, 1, 0]]  # red and blue exchanged
    result = measured(judged, swapped, faces.test, faces)
    skin = result["per_attribute"]["skinColor"]
    assert skin["accuracy"] < skin["ceiling"] - 0.3
    real = measured(judged, faces.test.images, faces.test, faces)
    assert result["kinds"]["colour"]["value"] < real["kinds"]["colour"]["value"] - 0.2
    assert (
        sum(map(sum, result["confusion"]["counts"]))
        == result["per_attribute"][result["confusion"]["attribute"]]["scored"]
    )


@pytest.mark.slow
def test_the_judge_bears_light_noise_and_blur(faces, judged):
    bounds = classifier_bounds(judged, faces)["macro"]
    assert bounds["noisy"] > bounds["ceiling"] - 0.15
    assert bounds["blurred"] > bounds["ceiling"] - 0.15


def test_the_bounds_of_a_classifier_are_measured_once_and_those_of_another_anew(parts, tmp_path):
    torch.manual_seed(0)
    one, other = (AttributeClassifier(parts.train.schema.cardinalities) for _ in range(2))
    first = cached_bounds(one, parts, "cpu", tmp_path)
    assert first == classifier_bounds(one, parts)
    asked = []
    one.register_forward_pre_hook(lambda *_: asked.append(1))
    assert cached_bounds(one, parts, "cpu", tmp_path) == first
    assert asked == []
    assert cached_bounds(other, parts, "cpu", tmp_path) == classifier_bounds(other, parts) != first
    fewer = replace(parts, test=parts.test.subset(torch.arange(5)))
    assert cached_bounds(one, fewer, "cpu", tmp_path)["held_out"] == 5
    others = replace(parts, train=parts.train.subset(torch.arange(5)))
    assert cached_bounds(one, others, "cpu", tmp_path)["per_attribute"]["chance"] != first["per_attribute"]["chance"]


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


def labelled(codes, *attributes):
    """Noise with codes (N, A): the first twelve of them for the test, the others to train on."""
    codes = torch.tensor(codes)
    images = torch.randint(
        0, 256, (len(codes), 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    whole = AvatarSet(images, codes, Schema(attributes), "noise")
    first = whole.subset(torch.arange(12))
    return Split(train=whole.subset(torch.arange(12, len(codes))), validation=first, test=first)


def scored_as_asked(few):
    """What is measured of samples that show just what was asked, by a judge of three steps."""
    *_, (classifier, _) = train_classifier(few.train, ClassifierConfig(steps=3, batch_size=8), CPU)
    assert all(torch.isfinite(weight).all() for weight in classifier.state_dict().values())
    return measure_attributes(few.test.codes, few.test, classifier_bounds(classifier, few))


def test_fault_24_an_attribute_with_a_single_variant_has_no_accuracy_and_no_part_in_the_mean():
    only, two = Attribute("only", ("x",)), Attribute("two", ("a", "b"))
    found = scored_as_asked(labelled([[0, i % 2] for i in range(28)], only, two))
    row = found["per_attribute"]["only"]
    assert (row["accuracy"], row["interval"], row["ceiling"], row["scored"]) == (None, None, None, 0)
    assert (found["per_attribute"]["two"]["accuracy"], found["per_attribute"]["two"]["scored"]) == (1, 12)
    assert found["macro"]["accuracy"] == 1
    json.dumps(found, allow_nan=False)


def test_fault_24_where_nothing_leaves_a_choice_there_is_no_number_at_all():
    found = scored_as_asked(labelled([[0, 0]] * 28, Attribute("only", ("x",)), Attribute("hair", ("y",))))
    assert found["macro"] == dict.fromkeys(("accuracy", "interval", "ceiling", "chance", "normalised"))
    assert (found["kinds"], found["confusion"]) == ({"colour": None, "shape": None}, None)
    assert found["hairstyle"]["value"] == 1
    json.dumps(found, allow_nan=False)


def test_fault_24_a_variant_that_training_lacks_is_left_out_and_counted():
    """Three of the held-out images ask for it: right or wrong, they are no part of the accuracy."""
    few = labelled([[i % 2] for i in range(9)] + [[2]] * 3 + [[i % 2] for i in range(16)], Attribute("a", tuple("xyz")))
    assert untrained(few.train) == {"a": ["z"]}
    found = scored_as_asked(few)
    row = found["per_attribute"]["a"]
    assert (row["accuracy"], row["scored"], row["left_out"]) == (1, 9, 3)
    assert row["chance"] == pytest.approx(5 / 9)
    assert found["kinds"]["shape"]["value"] == 1
    assert sum(map(sum, (found["confusion"] or {"counts": [[9]]})["counts"])) == 9
    json.dumps(found, allow_nan=False)


def test_fault_24_an_attribute_of_which_training_has_none_of_the_variants_asked_has_no_accuracy():
    few = labelled([[1, i % 2] for i in range(12)] + [[0, i % 2] for i in range(16)], *binary("a", "b"))
    found = scored_as_asked(few)
    row = found["per_attribute"]["a"]
    assert (row["accuracy"], row["ceiling"], row["chance"], row["scored"], row["left_out"]) == (None, None, None, 0, 12)
    assert (found["macro"]["accuracy"], found["per_attribute"]["b"]["left_out"]) == (1, 0)
    json.dumps(found, allow_nan=False)


def test_fault_24_an_attribute_that_hardly_ever_shows_has_a_finite_interval():
    """Of twelve samples one shows it: most resamples have none that does."""
    seldom = Attribute("hat", ("a", "b", "no hat"), hidden="no hat")
    for count in (1, 2):
        codes = [[0]] * count + [[2]] * (12 - count) + [[i % 3] for i in range(16)]
        found = scored_as_asked(labelled(codes, seldom))
        assert found["macro"]["accuracy"] == 1
        assert found["macro"]["interval"] == (None if count == 1 else [1, 1])
        assert found["per_attribute"]["hat"]["scored"] == count
        json.dumps(found, allow_nan=False)


def binary(*names):
    return [Attribute(name, ("x", "y")) for name in names]


def test_attributes_without_a_choice_are_not_scored():
    schema = Schema((Attribute("only", ("x",)), Attribute("two", ("a", "b"))))
    codes = torch.tensor([[0, 1], [0, 0]])
    assert accuracies(codes, codes, torch.ones(2, 2, dtype=torch.bool), schema) == {"only": None, "two": 1.0}


def test_chance_is_the_commonest_variant_of_the_training_images(parts):
    i = parts.train.schema.names.index("facialHair")
    assert commonest(parts.train)[i] == parts.train.codes[:, i].mode().values


def test_the_judge_is_cached_by_the_content_of_its_training_images(parts, tmp_path):
    config = ClassifierConfig(steps=3)
    steps = []
    first = cached_classifier(parts, config, CPU, tmp_path, lambda step, loss: steps.append(step))
    again = cached_classifier(parts, config, CPU, tmp_path, lambda step, loss: steps.append(step))
    assert steps == [0, 1, 2]
    assert torch.equal(first.heads.weight, again.heads.weight)
    other = split(replace_first_pixel(parts.train))
    assert classifier_path(other, config, tmp_path) != classifier_path(parts, config, tmp_path)
    path = classifier_path(parts, config, tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    cached_classifier(parts, config, CPU, tmp_path, lambda step, loss: steps.append(step))
    assert len(steps) == 6


def replace_first_pixel(avatars):
    images = avatars.images.clone()
    images[0, 0, 0, 0] ^= 1
    return replace(avatars, images=images)
