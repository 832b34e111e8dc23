"""What a record says of quality: distances, attributes and artefacts of samples, each with what it rests on."""

from typing import Self

from pydantic import model_validator

from bench.config import Count, Number
from bench.record.part import Interval, Part

EFFICIENTNET, INCEPTION = "efficientnet-lite0", "inception-v3-compat"  # extractors, as torch-fidelity knows them


class Estimate(Part):
    """A mean or a share over samples."""

    value: Number
    interval: Interval | None  # None: of one sample
    of: Count  # so many samples


class Paired(Part):
    """Samples against the true pictures of their conditions."""

    colour: Estimate | None  # difference, ΔE
    structure: Estimate | None  # similarity, SSIM


class AgainstReal(Estimate):
    """A mean difference to the real images of the same conditions."""

    real_mean: Number
    real_sd: Number
    wasserstein: Number  # between the two distributions


class Artefacts(Part):
    """The blog post's words, measured; None where no sample shows what is measured."""

    background_level: Estimate | None
    stray_pixels: Estimate | None
    colour_error: Estimate | None = None  # no attribute is a colour
    out_of_palette: Estimate | None
    edge_agreement: Estimate | None
    brightness: AgainstReal | None
    saturation: AgainstReal | None


class Extractor(Part):
    """What a distance rests on."""

    extractor: str
    title: str  # of its distance
    weights_sha256: str
    resize: str
    library: str


class KernelDistance(Part):
    """KID over all images; of older records, a mean over subsets."""

    value: Number
    interval: Interval | None = None  # over both sides
    sd: Number | None = None  # over subsets
    subsets: Count | None = None
    subset_size: Count | None = None


class Extrapolated(Part):
    """What endless many images would have, with the interval over both sides."""

    value: Number
    interval: Interval


class PrecisionRecall(Part):
    neighbours: Count
    precision: Estimate
    recall: Estimate


class Distance(Extractor):
    """From samples to held-out real images."""

    frechet_distance: Number
    interval: Interval
    floor: Number | None  # of as many real training images; None where the conditions are the very ones asked
    floor_interval: Interval | None = None  # over those training images
    ratio_to_floor: Number | None
    unlimited: Extrapolated | None = None  # the distance, extrapolated; None: of too few images, or of an older record
    kid: KernelDistance | None
    precision_recall: PrecisionRecall | None
    real: Count
    generated: Count
    split: str
    rank_deficient: bool  # fewer images than features


class Memorisation(Part):
    """How near the nearest training image is, beside the same for held-out real images."""

    median_ratio: Number | None
    closer: Estimate
    expected: Number
    flagged: bool | None  # None: too few images to say
    train: Count
    held_out: Count


class Brief(Extractor):
    """What a few samples scored."""

    samples: Count
    paired: Paired | None = None
    all_right: Estimate | None = None  # by the exact judge: the share of which every attribute is right
    exact: Estimate | None = None  # its macro accuracy
    accuracy: Number | None
    accuracy_interval: Interval | None
    frechet_distance: Number
    real: Count


class GuidancePoint(Brief):
    guidance: Number
    artefacts: Artefacts


class Samplers(Part):
    """The recipe's fast sampler beside the schedule's full one."""

    fast: Brief
    full: Brief
    accuracy_difference: Number
    accuracy_interval: Interval
    frechet_relative: Number
    frechet_interval: Interval
    agree: bool | None  # None: too few samples to say


class MeanLosses(Part):
    """Over the timesteps of validation."""

    raw: Number
    averaged: Number | None = None


class CurvePoint(Part):
    """A finished model, at a budget; in older records an unfinished one, after an epoch."""

    epoch: Number  # passes over the training images
    steps: Count | None = None  # None: unfinished
    budgets: list[str] = []  # that it keeps, as `images=32000`
    images: Count
    seconds: Number  # of training alone
    training_flop: Number | None
    validation_loss: MeanLosses
    samples: Count | None = None
    paired: Paired | None = None
    all_right: Estimate | None = None
    exact: Estimate | None = None
    accuracy: Number | None = None
    accuracy_interval: Interval | None = None
    frechet_distance: Number | None = None
    real: Count | None = None
    extractor: str | None = None
    title: str | None = None
    weights_sha256: str | None = None
    resize: str | None = None
    library: str | None = None


class Accuracy(Part):
    """How often the classifier sees what was asked, beside what it makes of real images."""

    accuracy: Number | None
    interval: Interval | None
    ceiling: Number | None
    chance: Number | None
    normalised: Number | None  # the share of the way from chance to ceiling


class AttributeAccuracy(Accuracy):
    scored: Count  # samples
    left_out: Count | None = None


class ExactAttribute(Estimate):
    """The share of samples that show one attribute as asked."""

    chance: Number  # of a variant named at random
    agreement: Estimate | None = None  # of exact judge and classifier


class LookAlike(Part):
    """Two variants that look the same at this size, and in how many of the pictures judged."""

    variants: list[str]
    pictures: Count


class Exact(Part):
    """How many of the attributes asked for are right, by the exact judge: the nearest drawing of all."""

    samples: Count
    all_right: Estimate  # the share of which every attribute is right
    macro: Estimate
    chance: Number
    shuffled: Number | None  # of real images of other conditions
    per_attribute: dict[str, ExactAttribute]
    agreement: Estimate | None  # of exact judge and classifier
    look_alike: dict[str, list[LookAlike]]


class Kinds(Part):
    colour: Estimate | None
    shape: Estimate | None


class Hairstyle(Part):
    """Effective numbers of hairstyles."""

    attribute: str
    variants: Count
    asked: Number
    shown: Number
    value: Number  # shown over asked
    interval: Interval


class Confusion(Part):
    """What was seen (columns) where what was asked (rows)."""

    attribute: str
    variants: list[str]
    counts: list[list[Count]]

    @model_validator(mode="after")
    def is_square(self) -> Self:
        size = len(self.variants)
        if [len(row) for row in self.counts] != [size] * size:
            raise ValueError(f"counts are not {size} rows of {size}, one a variant")
        return self


class Attributes(Part):
    macro: Accuracy
    per_attribute: dict[str, AttributeAccuracy]
    kinds: Kinds
    hairstyle: Hairstyle | None
    confusion: Confusion | None
    samples: Count


class MacroReadings(Part):
    """What the classifier makes of held-out real images: as they are, by guessing, with light noise or blur."""

    ceiling: Number | None
    chance: Number | None
    noisy: Number | None
    blurred: Number | None


class AttributeReadings(Part):
    """The same by attribute."""

    ceiling: dict[str, Number | None]
    chance: dict[str, Number | None]
    noisy: dict[str, Number | None]
    blurred: dict[str, Number | None]


class Judge(Part):
    """The classifier, on real images."""

    macro: MacroReadings
    per_attribute: AttributeReadings
    noise_sd: Number
    blur_sd_pixels: Number
    untrained: dict[str, list[str]] = {}  # variants that no training image shows
    held_out: Count


class Reference(Part):
    """What known images score on the metrics of the samples."""

    paired: Paired
    exact: Exact | None
    accuracy: Number | None  # by the classifier
    distance: dict[str, Distance]  # by extractor


class References(Part):
    real: Reference  # the true pictures of the conditions asked
    retrieval: Reference  # for every condition, the training image with the nearest attributes
