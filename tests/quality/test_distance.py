"""Distances, precision and recall, and memorisation, where the answer is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data.library import DataRequest, render
from bench.errors import BadInput
from bench.quality import defects, features, inception
from bench.quality.distance import (
    frechet_distance,
    frechet_interval,
    precision_recall,
    reference_frechet_distance,
)
from bench.quality.features import (
    EFFICIENTNET,
    cached_features,
    extract,
    extractor_label,
    extractor_named,
    features_key,
)
from bench.quality.judges import without_most_hairstyles
from bench.quality.kernel_distance import kernel_distance
from bench.quality.measured_distance import measure_distance, measure_memorisation
from bench.record.quality import Distance
from bench.render.table.distance_rows import basis
from tests.plug_in import MEAN_COLOUR

SIDE = 120  # images a side


def gaussian(count, width, shift=0.0, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) + shift


@pytest.fixture(scope="module")
def sets():
    """Disjoint sets of real images: training, held out, others of the same kind, and many more."""
    avatars = render(DataRequest("avataaars", images=8 * SIDE, image_size=32))
    return [avatars.subset(rows) for rows in torch.arange(8 * SIDE).split([SIDE, SIDE, SIDE, 5 * SIDE])]


def seen(images):
    return extract(images, EFFICIENTNET, None, "cpu")


@pytest.fixture(scope="module")
def extracted(sets):
    return [seen(each.images) for each in sets[:3]]


BOTH = pytest.mark.parametrize("distance", [frechet_distance, reference_frechet_distance])


@BOTH
@pytest.mark.parametrize("count", [300, 10])
def test_fault_30_the_distance_of_a_set_to_itself_is_nothing(distance, count):
    a = gaussian(count, 16)
    assert 0 <= distance(a, a) <= 1e-6
    assert 0 <= distance(a, a[torch.randperm(count)]) <= 1e-6


@BOTH
@pytest.mark.parametrize("count", [300, 10])
def test_fault_30_neither_side_nor_order_matters(distance, count):
    a, b = gaussian(300, 16), gaussian(count, 16, shift=1, seed=1)
    found = distance(a, b)
    assert distance(b, a) == pytest.approx(found, rel=1e-6)
    assert distance(a[torch.randperm(300)], b[torch.randperm(count)]) == pytest.approx(found, rel=1e-6)


def test_the_distance_of_two_gaussians_is_that_of_their_means():
    assert frechet_distance(gaussian(300, 16), gaussian(300, 16, 1, seed=1)) == pytest.approx(16, rel=0.2)


@BOTH
def test_fault_30_constant_images_and_a_collapsed_generator_have_a_finite_distance(distance):
    real, same = gaussian(300, 16), torch.ones(300, 16)
    assert distance(real, same) == pytest.approx(32, rel=0.2)  # sixteen means, each one apart, and sixteen variances
    assert distance(same, same) == 0
    assert distance(same, 3 * same) == pytest.approx(64)
    found = measure_distance(real, same, gaussian(300, 16, seed=2))
    json.dumps(found, allow_nan=False)
    assert found["interval"] == pytest.approx([found["frechet_distance"]] * 2)
    json.dumps(measure_distance(same, same, same), allow_nan=False)


def test_fault_30_constant_images_have_features(sets):
    black = torch.zeros(6, 3, 32, 32, dtype=torch.uint8)
    assert frechet_distance(seen(black), seen(black)) == pytest.approx(0, abs=1e-6)
    assert np.isfinite(frechet_distance(seen(sets[0].images[:6]), seen(black)))


@BOTH
def test_fault_29_a_distance_of_fewer_than_two_images_is_refused(distance):
    some = gaussian(5, 4)
    for sides in ((some, some[:1]), (some[:1], some), (some, some[:0])):
        with pytest.raises(BadInput, match="at least 2 images a side, not [01]: take more"):
            distance(*sides)
    with pytest.raises(BadInput, match="at least 2"):
        measure_distance(some, some[:1], None)


@BOTH
def test_fault_29_features_that_are_no_numbers_are_refused_and_not_taken_for_perfect(distance):
    """max(0, NaN) is 0."""
    for strange in (np.nan, np.inf):
        spoilt = gaussian(5, 4)
        spoilt[2, 3] = strange
        with pytest.raises(BadInput, match="not finite"):
            distance(gaussian(5, 4), spoilt)


@pytest.mark.parametrize(
    ("real", "generated", "deficient"), [(2, 2, True), (2, 300, True), (16, 40, True), (17, 40, False)]
)
def test_fault_29_few_images_give_a_real_number_that_is_marked_with_both_counts(real, generated, deficient):
    found = measure_distance(gaussian(real, 16), gaussian(generated, 16, seed=1), None)
    assert isinstance(found["frechet_distance"], float)
    assert found["frechet_distance"] > 0
    assert (found["real"], found["generated"], found["rank_deficient"]) == (real, generated, deficient)
    json.dumps(found, allow_nan=False)


def test_fault_29_distances_of_other_counts_have_another_basis_and_so_never_share_a_row():
    label = extractor_label(EFFICIENTNET, None)
    counts = [(20, 20), (20, 30), (30, 20)]
    found = [
        Distance(**label, **measure_distance(gaussian(real, 4), gaussian(drawn, 4), None)) for real, drawn in counts
    ]
    assert len(set(map(basis, found))) == 3


@pytest.mark.parametrize(("real", "generated"), [(300, 300), (300, 40), (40, 300)])
def test_fault_30_the_frechet_term_is_torch_fidelitys(real, generated):
    """Full rank to 1e-6 relative; below it, torch-fidelity takes roots of eigenvalues that should be zero."""
    width = 32
    a, b = gaussian(real, width), 1.5 * gaussian(generated, width, shift=0.3, seed=1)
    assert frechet_distance(a, b) == pytest.approx(reference_frechet_distance(a, b), rel=1e-6)


@pytest.mark.slow
def test_fault_30_the_frechet_term_is_torch_fidelitys_on_real_features(extracted):
    _, held_out, others = extracted
    assert frechet_distance(held_out, others) == pytest.approx(reference_frechet_distance(held_out, others), rel=1e-6)


def test_the_interval_of_a_distance_is_as_wide_as_its_spread_over_fresh_samples():
    real = gaussian(400, 8)
    fresh = [frechet_distance(real, gaussian(100, 8, shift=0.5, seed=seed)) for seed in range(2, 42)]
    low, high = frechet_interval(real, gaussian(100, 8, shift=0.5, seed=1), around=fresh[0])
    assert low < fresh[0] < high
    assert high - low == pytest.approx(2 * 1.96 * np.std(fresh), rel=0.35)


def test_the_interval_holds_with_fewer_images_than_features():
    real = gaussian(100, 300)
    fresh = [frechet_distance(real, gaussian(60, 300, shift=0.5, seed=seed)) for seed in range(2, 32)]
    low, high = frechet_interval(real, gaussian(60, 300, shift=0.5, seed=1), around=fresh[0])
    assert 0.5 < (high - low) / (2 * 1.96 * np.std(fresh)) < 2


@pytest.mark.slow
def test_the_distance_grows_with_noise(sets, extracted):
    _, held_out, _ = extracted
    found = [frechet_distance(held_out, seen(defects.noisy(sets[2].images, sd))) for sd in (2, 5, 10, 20, 40)]
    assert frechet_distance(held_out, held_out) < 1e-6
    assert [frechet_distance(held_out, extracted[2]), *found] == sorted(
        [frechet_distance(held_out, extracted[2]), *found]
    )
    assert found[-1] > 2 * found[0]


@pytest.mark.slow
def test_kid_is_about_zero_for_the_same_kind_and_grows_with_noise(sets, extracted):
    _, held_out, others = extracted
    same = kernel_distance(held_out, others)
    noisy = kernel_distance(held_out, seen(defects.noisy(sets[2].images, 20)))
    assert same["interval"][0] < 0 < same["interval"][1]
    assert noisy["interval"][0] > same["interval"][1]
    assert kernel_distance(held_out[:3], others[:3]) is None


@pytest.mark.slow
def test_dropping_modes_lowers_recall_and_not_precision(sets, extracted):
    _, held_out, others = extracted
    dropped = seen(without_most_hairstyles(sets[3], SIDE))
    assert len(dropped) == SIDE
    whole, few = precision_recall(held_out, others), precision_recall(held_out, dropped)
    assert few["recall"]["value"] < whole["recall"]["value"] - 0.15
    assert few["precision"]["value"] > whole["precision"]["value"] - 0.1
    assert precision_recall(held_out[:3], others) is None


@pytest.mark.slow
def test_noise_lowers_precision(sets, extracted):
    _, held_out, others = extracted
    noisy = precision_recall(held_out, seen(defects.noisy(sets[2].images, 40)))
    assert noisy["precision"]["value"] < precision_recall(held_out, others)["precision"]["value"] - 0.3


@pytest.mark.slow
def test_a_copy_of_the_training_set_is_flagged_and_new_images_are_not(extracted):
    train, held_out, others = extracted
    assert measure_memorisation(train, held_out, train)["flagged"]
    assert measure_memorisation(train, held_out, train)["closer"]["value"] == 1
    new = measure_memorisation(others, held_out, train)
    assert not new["flagged"]
    assert 0.8 < new["median_ratio"] < 1.2
    half = torch.cat([train[: SIDE // 2], others[SIDE // 2 :]])
    assert measure_memorisation(half, held_out, train)["flagged"]


@pytest.mark.slow
def test_a_slightly_noisy_copy_is_flagged_too(sets, extracted):
    train, held_out, _ = extracted
    assert measure_memorisation(seen(defects.noisy(sets[0].images, 2)), held_out, train)["flagged"]


@pytest.mark.slow
def test_everything_that_a_distance_rests_on_stands_beside_it(extracted):
    train, held_out, others = extracted
    found = measure_distance(held_out, others, train)
    assert found["frechet_distance"] == pytest.approx(frechet_distance(held_out, others), rel=1e-6)
    assert found["interval"][0] < found["frechet_distance"] < found["interval"][1]
    assert found["floor"] == pytest.approx(frechet_distance(held_out, train))
    assert found["ratio_to_floor"] == pytest.approx(1, abs=0.2)
    assert (found["real"], found["generated"], found["rank_deficient"]) == (SIDE, SIDE, True)
    label = extractor_label(EFFICIENTNET, None)
    assert (label["extractor"], label["library"], len(label["weights_sha256"])) == (EFFICIENTNET, "torch-fidelity", 64)


@pytest.mark.slow
def test_fault_30_neither_features_nor_distance_depend_on_the_batch(sets, extracted):
    images = sets[2].images[:24]
    whole, pairs = (extract(images, EFFICIENTNET, None, "cpu", batch_size=size) for size in (24, 5))
    torch.testing.assert_close(whole, pairs, rtol=1e-3, atol=1e-4)
    real = extracted[1]
    assert abs(frechet_distance(real, whole) - frechet_distance(real, pairs)) <= 1e-3


def test_fault_19_the_cache_of_features_is_keyed_by_content_and_checks_itself(sets, tmp_path):
    images = sets[0].images[:6]
    before = cached_features(images, EFFICIENTNET, None, "cpu", tmp_path)
    (path,) = tmp_path.glob("features-*")
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)
    again = cached_features(images, EFFICIENTNET, None, "cpu", tmp_path)
    torch.testing.assert_close(again, before, rtol=1e-4, atol=1e-5)
    cached_features(images.flip(0), EFFICIENTNET, None, "cpu", tmp_path)
    assert len(list(tmp_path.glob("features-*"))) == 2


@pytest.mark.parametrize("share", [0, 0.1, 0.6, 0.99])
def test_fault_19_a_truncated_cache_of_features_is_made_again(share, sets, tmp_path, capsys):
    images, name = sets[0].images[:6], extractor_named("tests.plug_in:MEAN_COLOUR")
    before = cached_features(images, name, None, "cpu", tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert torch.equal(cached_features(images, name, None, "cpu", tmp_path), before)
    assert "is damaged" in capsys.readouterr().err
    assert torch.equal(cached_features(images, name, None, "cpu", tmp_path), before)
    assert capsys.readouterr().err == ""


def other_extractors(monkeypatch):
    """What differs from the extractor of mean colours, a change at a time."""
    for change in ({"weights_sha256": lambda _: "others"}, {"resize": "to 7"}, {"layer": "last"}):
        monkeypatch.setitem(features.EXTRACTORS, MEAN_COLOUR.name, replace(MEAN_COLOUR, **change))
        yield
        monkeypatch.setitem(features.EXTRACTORS, MEAN_COLOUR.name, MEAN_COLOUR)
    monkeypatch.setattr(features, "version", lambda library: "0.0")
    yield


def test_fault_19_other_weights_resizing_layer_libraries_images_or_device_have_keys_of_their_own(sets, monkeypatch):
    images, name = sets[0].images[:6], MEAN_COLOUR.name
    keys = [features_key(images, name, None, "cpu")]
    keys += [features_key(images, name, None, "cuda:1"), features_key(images[:5], name, None, "cpu")]
    keys += [features_key(images.flip(0), name, None, "cpu"), features_key(images, EFFICIENTNET, None, "cpu")]
    keys += [features_key(images.reshape(6, 3, 16, 64), name, None, "cpu")]
    keys += [features_key(images, name, None, "cpu") for _ in other_extractors(monkeypatch)]
    assert len(set(keys)) == len(keys) == 10


def test_fault_19_features_of_something_else_under_this_ones_name_are_not_taken(sets, tmp_path, capsys):
    images, name = sets[0].images[:6], extractor_named("tests.plug_in:MEAN_COLOUR")
    cached_features(images.flip(0), name, None, "cpu", tmp_path)
    (path,) = tmp_path.iterdir()
    path.rename(tmp_path / f"features-{features_key(images, name, None, 'cpu')[:24]}.safetensors")
    found = cached_features(images, name, None, "cpu", tmp_path)
    assert torch.equal(found, extract(images, name, None, "cpu"))
    assert "is of other images or of another extractor" in capsys.readouterr().err


def test_an_extractor_of_ones_own_is_registered_by_name(sets):
    name = extractor_named("tests.plug_in:MEAN_COLOUR")
    found = extract(sets[0].images[:4], name, None, "cpu")
    torch.testing.assert_close(found, sets[0].images[:4].float().mean((2, 3)))
    assert extractor_label(name, None)["title"] == "Fréchet distance (mean colour)"
    with pytest.raises(BadInput, match="not registered"):
        extractor_named("nobody")
    with pytest.raises(BadInput, match="NOTHING"):
        extractor_named("tests.plug_in:NOTHING")


def test_foreign_inception_weights_are_refused_before_they_are_unpickled(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="is no file"):
        inception.check_inception_weights(tmp_path / "gone.pth")
    (tmp_path / "other.pth").write_bytes(b"not the weights")
    with pytest.raises(BadInput, match="is not torch-fidelity's"):
        inception.check_inception_weights(tmp_path / "other.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert inception.cached_inception_weights() is None
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / inception.INCEPTION_FILE).write_bytes(b"planted under the right name")
    assert inception.cached_inception_weights() is None
