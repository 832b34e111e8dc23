"""The reference columns: known images, scored as samples are."""

from dataclasses import replace

import torch

from bench.quality.references import cached_references, measure_references, retrieved


def test_the_training_image_with_the_nearest_attributes_is_found_and_the_first_of_several(parts):
    train = parts.train
    again = train.subset(torch.tensor([5, 3, 3]))
    assert retrieved(again, train).tolist() == [5, 3, 3]
    twice = replace(train, images=train.images.repeat(2, 1, 1, 1), codes=train.codes.repeat(2, 1))
    assert retrieved(again, twice).tolist() == [5, 3, 3]
    asked = parts.train.subset(torch.tensor([0]))
    others = train.subset(torch.arange(1, len(train)))
    apart = (others.codes != asked.codes).sum(1)
    assert apart[retrieved(asked, others)].item() == apart.min()


def test_the_very_same_metrics_are_taken_of_the_true_pictures_and_of_the_found_ones(parts):
    asked = parts.train.subset(torch.arange(4))
    found = measure_references(asked, parts.train, lambda images: {"images": images})
    assert torch.equal(found["real"]["images"], asked.images)
    assert torch.equal(found["retrieval"]["images"], asked.images)  # they are in training themselves


def test_they_are_measured_once_for_all_that_they_rest_on(parts, tmp_path):
    asked, calls = parts.train.subset(torch.arange(4)), []

    def measure(images):
        calls.append(1)
        return {"mean": images.double().mean().item()}

    first = cached_references(asked, parts.train, measure, tmp_path, ["this"])
    assert cached_references(asked, parts.train, measure, tmp_path, ["this"]) == first
    assert len(calls) == 2
    cached_references(asked, parts.train, measure, tmp_path, ["that"])
    cached_references(asked.subset(torch.arange(3)), parts.train, measure, tmp_path, ["this"])
    assert len(calls) == 6
