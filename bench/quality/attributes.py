"""Do the samples show what was asked? Accuracy of every attribute, where it can be seen, with its uncertainty."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from scipy.stats import entropy
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from bench.data.dataset import AvatarSet
from bench.data.schema import Schema
from bench.data.splits import Split
from bench.quality import interval
from bench.quality.classifier import AttributeClassifier
from bench.quality.defects import blurred, noisy
from bench.quality.palette import is_colour
from bench.storage import cache

FORMAT = 1  # of the cached bounds; raise when they are measured otherwise
HAIRSTYLE = ("top", "hair")  # what Avataaars and Cartoon Set call it
LIGHT_NOISE, LIGHT_BLUR = 10.0, 0.5  # of 255, and in pixels at 32×32
Judged = tuple[Tensor, Tensor]  # right or not (N, A), and whether it can be seen (N, A)


def scored(schema: Schema) -> list[int]:
    """The attributes that leave a choice."""
    return [i for i, attribute in enumerate(schema.attributes) if len(attribute.variants) > 1]


def untrained(train: AvatarSet) -> dict[str, list[str]]:
    """The variants that no training image shows, of the attributes that have such: none can be learnt or judged."""
    found = {}
    for i, attribute in enumerate(train.schema.attributes):
        there = set(train.codes[:, i].tolist())
        absent = [v for code, v in enumerate(attribute.variants) if code not in there and v != attribute.hidden]
        if absent:
            found[attribute.name] = absent
    return found


def scorable(asked: AvatarSet, absent: dict[str, list[str]]) -> Tensor:
    """Which attribute of which image can be scored: it shows, and its variant is not `absent`; bool (N, A)."""
    found = asked.shown.clone()
    for i, attribute in enumerate(asked.schema.attributes):
        codes = [attribute.variants.index(variant) for variant in absent.get(attribute.name, [])]
        found[:, i] &= ~torch.isin(asked.codes[:, i], torch.tensor(codes, dtype=torch.int64))
    return found


def accuracies(predicted: Tensor, wanted: Tensor, shown: Tensor, schema: Schema) -> dict[str, float | None]:
    """Share of images that show the attribute wanted, over those where it can be seen; None where none can.

    All three are (N, A).
    """
    right, found = predicted == wanted, dict.fromkeys(schema.names)
    for i in scored(schema):
        if shown[:, i].any():
            found[schema.names[i]] = right[shown[:, i], i].double().mean().item()
    return found


def macro(values: dict[str, float | None]) -> float | None:
    """Mean over the attributes that have a value."""
    known = [value for value in values.values() if value is not None]
    return fmean(known) if known else None


def macro_of(right: np.ndarray, shown: np.ndarray) -> float:
    """Mean over attributes of the share that is right where it can be seen; both (N, A)."""
    seen = shown.sum(0)
    return float(((right * shown).sum(0)[seen > 0] / seen[seen > 0]).mean())


def macro_interval(right: np.ndarray, shown: np.ndarray) -> list[float] | None:
    """95 % interval of the macro accuracy over the samples that show anything; None below two of them."""
    some = shown.any(1)  # of the others a resample may be all, and its mean over no attribute no number
    if some.sum() < 2:
        return None
    right, shown = right[some], shown[some]
    return interval.resampled(len(right), lambda rows: macro_of(right[rows], shown[rows]))


def commonest(train: AvatarSet) -> Tensor:
    """The variant seen most often in training for every attribute, where the attribute shows: codes (A,)."""
    columns = zip(train.codes.T, train.shown.T, strict=True)
    return torch.stack([column[rows].mode().values if rows.any() else column[0] for column, rows in columns])


def normalised(accuracy: float | None, ceiling: float | None, chance: float | None) -> float | None:
    """The share of the way from chance to the classifier's ceiling: (accuracy − chance) / (ceiling − chance)."""
    if accuracy is None or ceiling is None or chance is None or ceiling <= chance:
        return None
    return (accuracy - chance) / (ceiling - chance)


def classifier_bounds(classifier: AttributeClassifier, split: Split) -> dict[str, Any]:
    """The classifier's accuracy on held-out real images as they are, noisy and blurred; and the chance level.

    The ceiling is over all held-out images; chance always answers the commonest variant. A variant that no training
    image shows is named, and not scored.
    """
    held_out, schema, absent = split.test, split.train.schema, untrained(split.train)
    seen = scorable(held_out, absent)

    def on(images: Tensor) -> dict[str, float | None]:
        return accuracies(classifier.predict(images), held_out.codes, seen, schema)

    guess = commonest(split.train).expand(len(held_out), -1)
    noise, blur = LIGHT_NOISE, LIGHT_BLUR * held_out.image_size / 32
    tables = {
        "ceiling": on(held_out.images),
        "chance": accuracies(guess, held_out.codes, seen, schema),
        "noisy": on(noisy(held_out.images, noise)),
        "blurred": on(blurred(held_out.images, blur)),
    }
    return {
        "per_attribute": tables,
        "macro": {name: macro(values) for name, values in tables.items()},
        "noise_sd": noise,
        "blur_sd_pixels": blur,
        "untrained": absent,
        "held_out": len(held_out),
    }


def cached_bounds(classifier: AttributeClassifier, split: Split, device: str, folder: Path) -> dict[str, Any]:
    """The same, measured once for each classifier and the images that it is tried on."""
    images, kind = [split.train.content_hash, split.test.content_hash], torch.device(device).type
    key = [FORMAT, LIGHT_NOISE, LIGHT_BLUR, *images, classifier.digest(), kind, version("torch")]
    return cache.made_once(folder, "bounds", key, lambda: classifier_bounds(classifier, split))


def measure_attributes(predicted: Tensor, asked: AvatarSet, bounds: dict[str, Any]) -> dict[str, Any]:
    """Accuracy of the classifier's reading (N, A) of samples for the conditions `asked`, its ceiling and chance."""
    schema = asked.schema
    right, shown, chosen = predicted == asked.codes, scorable(asked, bounds["untrained"]), scored(schema)
    left_out = (asked.shown & ~shown).sum(0).tolist()
    rows = {
        name: attribute_row(right[shown[:, i], i] if i in chosen else right[:0, i], bounds, name)
        | {"left_out": left_out[i]}
        for i, name in enumerate(schema.names)
    }
    accuracy = macro({name: row["accuracy"] for name, row in rows.items()})
    limits = {name: bounds["macro"][name] for name in ("ceiling", "chance")}
    return {
        "macro": {
            "accuracy": accuracy,
            "interval": None
            if accuracy is None
            else macro_interval(right[:, chosen].numpy(), shown[:, chosen].numpy()),
            **limits,
            "normalised": normalised(accuracy, limits["ceiling"], limits["chance"]),
        },
        "per_attribute": rows,
        "kinds": kinds(right.numpy(), shown.numpy(), schema),
        "hairstyle": hairstyle(predicted, asked),
        "confusion": confusion(predicted, asked, shown, rows),
        "samples": len(predicted),
    }


def attribute_row(right: Tensor, bounds: dict[str, Any], name: str) -> dict[str, Any]:
    """One attribute over the samples where it can be scored: bool (n,); no number where there are none."""
    found = interval.share(int(right.sum()), len(right)) if len(right) else {"value": None, "interval": None}
    limits = {table: bounds["per_attribute"][table][name] for table in ("ceiling", "chance")}
    return {
        "accuracy": found["value"],
        "interval": found["interval"],
        **limits,
        "normalised": normalised(found["value"], limits["ceiling"], limits["chance"]),
        "scored": len(right),
    }


def kinds(right: np.ndarray, shown: np.ndarray, schema: Schema) -> dict[str, Any]:
    """Macro accuracy of the attributes of colour and of those of shape, each with its interval; both (N, A)."""
    choice: dict[str, Callable[[str], bool]] = {"colour": is_colour, "shape": lambda name: not is_colour(name)}
    found: dict[str, Any] = {}
    for kind, belongs in choice.items():
        columns = [i for i in scored(schema) if belongs(schema.names[i]) and shown[:, i].any()]
        found[kind] = None
        if columns:
            part = right[:, columns], shown[:, columns]
            found[kind] = {"value": macro_of(*part), "interval": macro_interval(*part), "of": len(right)}
    return found


def hairstyle_of(schema: Schema) -> str | None:
    """The attribute that is the hairstyle, if there is one."""
    return next((name for name in HAIRSTYLE if name in schema.names), None)


def hairstyle(predicted: Tensor, asked: AvatarSet) -> dict[str, Any] | None:
    """How many hairstyles the samples show, as the effective number exp(entropy), beside how many were asked."""
    name = hairstyle_of(asked.schema)
    if name is None:
        return None
    i = asked.schema.names.index(name)
    size, wanted = asked.schema.cardinalities[i], effective_number(asked.codes[:, i].numpy())

    def ratio(rows: np.ndarray) -> float:
        return effective_number(predicted[rows, i].numpy()) / wanted

    value = ratio(np.arange(len(predicted)))
    return {
        "attribute": name,
        "variants": size,
        "asked": wanted,
        "shown": value * wanted,
        "value": value,
        "interval": interval.resampled(len(predicted), ratio, around=value),
    }


def effective_number(codes: np.ndarray) -> float:
    """exp(entropy) of how often each code occurs: 1 if all are the same, their number if all are as frequent."""
    return float(np.exp(entropy(np.bincount(codes))))


def confusion(predicted: Tensor, asked: AvatarSet, shown: Tensor, rows: dict[str, Any]) -> dict[str, Any] | None:
    """What was seen (columns) where what was asked (rows), for the attribute furthest from its ceiling."""
    known = {name: row["normalised"] for name, row in rows.items() if row["normalised"] is not None}
    if not known:
        return None
    worst = min(known, key=known.__getitem__)
    i = asked.schema.names.index(worst)
    variants, seen = asked.schema.attributes[i].variants, shown[:, i]
    counts = multiclass_confusion_matrix(predicted[seen, i], asked.codes[seen, i], num_classes=len(variants))
    return {"attribute": worst, "variants": list(variants), "counts": counts.tolist()}
