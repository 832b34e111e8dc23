"""The judges, on images whose answer is known."""

from dataclasses import replace

import pytest
import torch

from bench.data.dataset import split
from bench.data.library import DataRequest, render
from bench.errors import BadInput
from bench.quality import features
from bench.quality.attributes import accuracies, cached_judge, commonest, judge_path, macro, measure_attributes
from bench.quality.classifier import ClassifierConfig, train_classifier
from bench.quality.distance import cached_features, frechet_distance, measure_distance
from bench.quality.features import EFFICIENTNET, extract

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces():
    return split(render(DataRequest("avataaars", images=600, image_size=32)))


@pytest.fixture(scope="module")
def judged(faces):
    *_, (judge, _) = train_classifier(faces.train, ClassifierConfig(steps=150), CPU)
    return judge


def test_the_judge_learns_from_real_images(faces, judged):
    result = measure_attributes(judged, faces.held_out.images, faces.held_out, faces)
    assert result["macro"]["ceiling"] > result["macro"]["chance"] + 0.3
    assert result["per_attribute"]["skinColor"]["accuracy"] > 0.8


def test_noise_and_exchanged_images_are_judged_at_about_chance(faces, judged):
    held_out = faces.held_out
    noise = torch.randint(0, 256, held_out.images.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for images in (noise, held_out.images.roll(7, 0)):
        result = measure_attributes(judged, images, held_out, faces)
        assert result["macro"]["accuracy"] < result["macro"]["chance"] + 0.2


def test_a_wrong_colour_is_noticed_by_its_own_attribute(faces, judged):
    swapped = faces.held_out.images[:, [2, 1, 0]]  # red and blue exchanged
    result = measure_attributes(judged, swapped, faces.held_out, faces)["per_attribute"]
    assert result["skinColor"]["accuracy"] < result["skinColor"]["ceiling"] - 0.3


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


def test_the_distance_of_a_set_to_itself_is_nothing_and_order_does_not_matter():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(300, 16, generator=generator) + shift for shift in (0, 1))
    assert frechet_distance(a, a) < 1e-6
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(a[torch.randperm(300)], b), rel=1e-6)
    assert frechet_distance(a, b) == pytest.approx(16, rel=0.2)  # sixteen means, each one apart
    assert frechet_distance(a, torch.zeros(300, 16)) == pytest.approx(16, rel=0.2)  # a collapsed generator is finite
    with pytest.raises(ValueError, match="at least 2"):
        frechet_distance(a, b[:1])


@pytest.mark.slow
def test_the_extractor_sees_more_noise_as_further_away(faces):
    real, other = faces.train.images[:96], faces.train.images[96:192]
    grain = torch.randn(other.shape, generator=torch.Generator().manual_seed(0))
    reference = extract(real, EFFICIENTNET, None, "cpu")
    assert reference.shape == (96, 1280)
    distances = [
        frechet_distance(reference, extract((other + sigma * grain).clamp(0, 255).byte(), EFFICIENTNET, None, "cpu"))
        for sigma in (0, 5, 20)
    ]
    assert distances == sorted(distances)
    assert distances[2] > 1.5 * distances[0]


@pytest.mark.slow
def test_the_extractor_does_not_depend_on_the_batch(faces):
    images = faces.held_out.images[:5]
    whole = extract(images, EFFICIENTNET, None, "cpu", batch_size=5)
    torch.testing.assert_close(whole, extract(images, EFFICIENTNET, None, "cpu", batch_size=2), rtol=1e-3, atol=1e-4)


def test_a_distance_carries_what_it_rests_on_and_its_cache_checks_itself(faces, tmp_path):
    images = faces.held_out.images[:6]
    result = measure_distance(images, images.flip(0), EFFICIENTNET, None, "cpu", tmp_path)
    assert result["frechet_distance"] < 1e-2
    assert (result["real"], result["generated"], result["rank_deficient"]) == (6, 6, True)
    assert (result["extractor"], result["library"]) == (EFFICIENTNET, "torch-fidelity")
    assert len(result["weights_sha256"]) == 64
    (path,) = tmp_path.glob("features-*")
    before = cached_features(images, EFFICIENTNET, None, "cpu", tmp_path)
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)
    again = cached_features(images, EFFICIENTNET, None, "cpu", tmp_path)
    torch.testing.assert_close(again, before, rtol=1e-4, atol=1e-5)


def test_foreign_inception_weights_are_refused_before_they_are_unpickled(tmp_path):
    with pytest.raises(BadInput, match="is no file"):
        features.check_inception_weights(tmp_path / "gone.pth")
    (tmp_path / "other.pth").write_bytes(b"not the weights")
    with pytest.raises(BadInput, match="is not torch-fidelity's"):
        features.check_inception_weights(tmp_path / "other.pth")
