"""Do the intervals of distances hold what they should hold, about as often as they say? On resampled real pixels.

With 100 trials, 95 % is seen as 88 % to 100 %; an interval half as wide as it should be would be seen at about 67 %.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from bench.quality import extrapolation
from bench.quality.defects import blurred
from bench.quality.distance import Moments, frechet, frechet_distance, frechet_interval, moments
from bench.quality.extrapolation import unlimited_frechet
from bench.quality.kernel_distance import estimate, kernel, kernel_contrast, kernel_distance
from bench.quality.significance import paired_difference

TRIALS = 100
COVERED = pytest.approx(0.95, abs=0.075)


def features(images):
    """Pixels of small pictures, for features (N, 48)."""
    return F.adaptive_avg_pool2d(images.double() / 64, 4).flatten(1)


@pytest.fixture(scope="module")
def pools(avatars):
    """The distributions: real images, and the same blurred and paler."""
    return features(avatars.images), features(blurred(avatars.images, 1.0)) * 0.9


def draws(pool, count, seed):
    """TRIALS sets of so many, drawn with replacement: independent draws from a known distribution."""
    generator = torch.Generator().manual_seed(seed)
    return [pool[torch.randint(len(pool), (count,), generator=generator)] for _ in range(TRIALS)]


def covered(intervals, truth):
    return np.mean([low <= truth <= high for low, high in intervals])


def population(pool):
    """Moments of the distribution itself."""
    return Moments(pool.mean(0), (pool - pool.mean(0)) / len(pool) ** 0.5)


@pytest.mark.parametrize(("other", "counts"), [(0, (200, 200)), (1, (200, 200)), (0, (150, 250)), (1, (150, 250))])
def test_kids_interval_holds_the_true_distance_whether_there_is_one_or_not(pools, other, counts):
    a, b = pools[0], pools[other]
    truth = (kernel(a, a).mean() + kernel(b, b).mean() - 2 * kernel(a, b).mean()).item()
    assert truth == pytest.approx(0, abs=1e-9) if other == 0 else truth > 0.001
    pairs = zip(draws(a, counts[0], 1), draws(b, counts[1], 2), strict=True)
    found = [kernel_distance(*pair) for pair in pairs]
    values = np.array([each["value"] for each in found])
    assert values.mean() == pytest.approx(truth, abs=4 * values.std() / TRIALS**0.5)
    assert covered([each["interval"] for each in found], truth) == COVERED


def test_kid_over_all_images_is_torch_fidelitys(pools):
    real, generated = pools[0][:50], pools[1][:50]
    theirs = kid_features_to_metric(real, generated, kid_subsets=1, kid_subset_size=50, verbose=False)
    assert estimate(real, generated)[0] == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-9)
    assert kernel_distance(real, generated)["value"] == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-9)
    assert kernel_distance(real[:3], generated) is None


def test_a_difference_of_kids_is_exact_and_its_interval_holds_the_true_one(pools):
    real, other = pools
    paler = 0.95 * real  # the pairs: one picture, changed in two ways
    truth = mean_kernel(other, other) - 2 * mean_kernel(real, other)
    truth -= mean_kernel(paler, paler) - 2 * mean_kernel(real, paler)
    generator, intervals = torch.Generator().manual_seed(4), []
    for _ in range(TRIALS):
        drawn = torch.randint(len(real), (200,), generator=generator)
        seen = real[torch.randint(len(real), (2000,), generator=generator)]
        contrast = kernel_contrast(seen, other[drawn], paler[drawn])
        found = paired_difference(contrast.numpy())
        intervals.append((found.low, found.high))
    apart = kernel_distance(seen, other[drawn])["value"] - kernel_distance(seen, paler[drawn])["value"]
    assert contrast.mean().item() == pytest.approx(apart, abs=1e-9)
    assert covered(intervals, truth) == COVERED


def mean_kernel(a, b):
    return kernel(a, b).mean().item()


@pytest.mark.parametrize("count", [90, 40])  # more and fewer than features
@pytest.mark.parametrize("other", [0, 1])
def test_frechets_interval_holds_the_distance_that_is_to_be_expected_of_so_many_images(pools, other, count):
    real = draws(pools[0], count, 3)[0]
    found = [(frechet_distance(real, each), each) for each in draws(pools[other], count, 4)]
    expected = np.mean([value for value, _ in found])
    assert covered([frechet_interval(real, each, value) for value, each in found], expected) == COVERED


@pytest.mark.parametrize("other", [0, 1])
def test_the_extrapolated_distance_is_that_of_the_distributions(pools, other, monkeypatch):
    monkeypatch.setattr(extrapolation, "FEWEST", 2)
    truth = frechet(*(population(pools[i]) for i in (0, other)))
    pairs = list(zip(draws(pools[0], 300, 5), draws(pools[other], 300, 6), strict=True))[:40]
    biased = [frechet_distance(*pair) for pair in pairs]
    found = [unlimited_frechet(*pair, distance) for pair, distance in zip(pairs, biased, strict=True)]
    values = np.array([each["value"] for each in found])
    noise = values.std() / len(values) ** 0.5
    assert values.mean() == pytest.approx(truth, abs=0.2 * (np.mean(biased) - truth) + 3 * noise)
    assert covered([each["interval"] for each in found], truth) >= 0.85


def test_few_images_are_not_extrapolated(pools):
    assert unlimited_frechet(*pools, 1.0) is None
    assert len(extrapolation.halves(pools[0][:5], 0)[1]) == 2
    assert moments(pools[0]).mean.shape == (48,)
