"""What every metric says of real images with a known defect, and how good the classifier is."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.config import Sizes
from bench.data import avataaars
from bench.data.dataset import AvatarSet
from bench.data.library import DataRequest, cache_path, load
from bench.data.splits import Split, split
from bench.data.variants import can_be_drawn, label_of
from bench.display import display
from bench.quality import defects
from bench.quality.artefacts import edges_of, measure_artefacts, planes, reference
from bench.quality.attributes import classifier_bounds, hairstyle_of, measure_attributes
from bench.quality.classifier import AttributeClassifier, ClassifierConfig, cached_classifier
from bench.quality.distance import frechet_distance, precision_recall
from bench.quality.exact import ExactJudge
from bench.quality.features import EFFICIENTNET
from bench.quality.kernel_distance import kernel_distance
from bench.quality.measured_distance import measure_memorisation
from bench.quality.paired import measure_paired
from bench.quality.palette import learn_palette, to_lab
from bench.quality.score import TRAIN_REFERENCE, Extraction

SCHEMA_VERSION = 1
Pictures = dict[str, list[tuple[str, Tensor]]]  # by measure: rows of uint8 images (n, 3, H, W), each with its title
NOISES = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0)  # standard deviations, of 255
MAGENTA = torch.tensor([255, 0, 255], dtype=torch.uint8)[:, None, None]
KEPT_HAIRSTYLES = 0.25  # of them, where the others are dropped
FEW_HAIRSTYLES = "a quarter of the hairstyles"
ONE_TOP = "shortFlat"

DEFECTS: dict[str, defects.Defect] = {
    "none": lambda images: images,
    "noisy background": defects.noisy_background,
    "turned hue": defects.turned_hue,
    "wavy outlines": defects.wavy,
    "darker": defects.darker,
    "paler": defects.paler,
    "light noise everywhere": partial(defects.noisy, sd=10.0),
    "blur": partial(defects.blurred, sd=0.7),
}


def with_one_top(asked: AvatarSet) -> Tensor:
    """The same Avataaars, all with one hairstyle: uint8 (N, 3, H, W)."""
    drawn = []
    for row in asked.codes.tolist():
        label = label_of(row, asked.schema)
        hidden = label["hairColor"] == avataaars.HIDDEN
        changed = label | {"top": ONE_TOP} | ({"hairColor": "brown"} if hidden else {})
        drawn.append(avataaars.render(changed, asked.image_size))
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).contiguous()


def without_most_hairstyles(pool: AvatarSet, count: int) -> Tensor:
    """The first `count` of the real images that have one of a quarter of the hairstyles; none twice.

    Where hairstyle is no attribute, the first attribute stands for it.
    """
    codes = pool.codes[:, pool.schema.names.index(hairstyle_of(pool.schema) or pool.schema.names[0])]
    kept = codes.unique()[: max(1, round(KEPT_HAIRSTYLES * len(codes.unique())))]
    return pool.images[torch.isin(codes, kept)][:count]


def measures_of(
    images: Tensor, asked: AvatarSet, classifier: AttributeClassifier, bounds: dict, real: Any, exact: ExactJudge | None
) -> dict[str, Any]:
    """Every measure against the true picture and of the blog post's words, as plain numbers."""
    attributes = measure_attributes(classifier.predict(images), asked, bounds)
    found = {name: each and each["value"] for name, each in measure_artefacts(images, real).items()}
    paired = {f"paired_{name}": each["value"] for name, each in measure_paired(images, asked.images).items()}
    judged = {} if exact is None else {name: each and each["value"] for name, each in exact.brief(images).items()}
    return (
        found
        | paired
        | judged
        | {
            "hairstyle_variety": attributes["hairstyle"] and attributes["hairstyle"]["value"],
            "shape_accuracy": (attributes["kinds"]["shape"] or {}).get("value"),
            "colour_accuracy": (attributes["kinds"]["colour"] or {}).get("value"),
            "accuracy": attributes["macro"]["accuracy"],
        }
    )


def defect_table(
    classifier: AttributeClassifier, parts: Split, asked: AvatarSet, cache: Path
) -> dict[str, dict[str, Any]]:
    """The measures of held-out real images with each known defect; the exact judge's drawings lie in the cache."""
    bounds, real = classifier_bounds(classifier, parts), reference(asked, learn_palette(parts.train))
    exact = ExactJudge(asked, cache) if can_be_drawn(asked) else None
    known: dict[str, Callable[[], Tensor]] = {name: partial(defect, asked.images) for name, defect in DEFECTS.items()}
    if asked.source == "avataaars":
        known["one hairstyle"] = partial(with_one_top, asked)
    return {name: measures_of(make(), asked, classifier, bounds, real, exact) for name, make in known.items()}


def distances_of(images: Tensor, extraction: Extraction, held_out: Tensor, train: Tensor) -> dict[str, Any]:
    """Distances of images to as many held-out real ones, both by their features (N, D), and memorisation."""
    features = extraction.drawn(images, EFFICIENTNET)
    near = precision_recall(held_out, features)
    return {
        "frechet_distance": frechet_distance(held_out, features),
        "kid": kernel_distance(held_out, features),
        "precision": near and near["precision"]["value"],
        "recall": near and near["recall"]["value"],
        "memorised": measure_memorisation(features, held_out, train),
    }


def noise_name(sd: float) -> str:
    return f"noise, sd {sd:g} of 255"


def distance_table(parts: Split, count: int, extraction: Extraction) -> dict[str, Any]:
    """What the distances say of real images: noisier and noisier, with hairstyles dropped, copied from training.

    Half of the held-out images stand for the real side, the other half for what was generated.
    """
    rows = torch.arange(len(parts.test))[: 2 * count]
    real, asked = parts.test.subset(rows[::2]), parts.test.subset(rows[1::2])
    held_out = extraction.real(real.images, EFFICIENTNET)
    train = extraction.real(parts.train.images[:TRAIN_REFERENCE], EFFICIENTNET)
    sets = {noise_name(sd): defects.noisy(asked.images, sd) if sd else asked.images for sd in NOISES}
    sets[FEW_HAIRSTYLES] = without_most_hairstyles(parts.train, len(asked))
    sets["copies of training images"] = parts.train.images[: len(asked)]
    found = {name: distances_of(images, extraction, held_out, train) for name, images in sets.items()}
    found[FEW_HAIRSTYLES]["memorised"] = None  # so many of so few hairstyles are found among the training images only
    return found


def metrics_on_defects(
    sizes: Sizes, source: str, count: int, device: str, folder: Path
) -> tuple[dict[str, Any], Pictures]:
    """How far the metrics can be trusted on a data set, from `count` images of it; and pictures of that."""
    request = DataRequest(source, sizes.images, sizes.image_size)
    parts = split(load(request, cache_path(request, folder)))
    config = ClassifierConfig(sizes.judge_steps)
    with display("judges") as show:
        show.phase("training on real images", config.steps)
        started, steps = time.perf_counter(), []

        def on_step(step: int, loss: float) -> None:
            steps.append(step)
            show.advance(info=f"loss {loss:.2f}")

        classifier = cached_classifier(parts, config, torch.device(device), folder, on_step)
        seconds = time.perf_counter() - started if steps else None  # None: it lay in the cache
        asked = parts.test.subset(torch.arange(min(count, len(parts.test))))
        show.phase("known defects", None)
        known = defect_table(classifier, parts, asked, folder)
        show.phase("features", len(parts.test) // 2 + len(parts.train) + 8 * min(count, len(parts.test) // 2))
        extraction = Extraction({EFFICIENTNET: None}, device, folder, show.advance)
        document = {
            "schema_version": SCHEMA_VERSION,
            "data": parts.train.source,
            "data_hash": parts.train.content_hash,
            "image_size": parts.train.image_size,
            "train": len(parts.train),
            "judge_steps": config.steps,
            "judge_training_seconds": seconds,
            "classifier": classifier_bounds(classifier, parts),
            "images": len(asked),
            "defects": known,
            "distances": distance_table(parts, min(count, len(parts.test) // 2), extraction),
        }
    return document, pictures(parts, asked)


def pictures(parts: Split, asked: AvatarSet, count: int = 10) -> Pictures:
    """Real images beside themselves with the defect that a measure is there for, and what the measure looks at."""
    few = asked.subset(torch.arange(min(count, len(asked))))
    real, images = reference(few, learn_palette(parts.train)), few.images
    defect = {name: make(images) for name, make in DEFECTS.items()}
    only = with_one_top(few) if few.source == "avataaars" else without_most_hairstyles(parts.train, len(few))
    return {
        "distance": [(noise_name(sd), defects.noisy(images, sd)) for sd in NOISES],
        "background": [("none", images), ("where it is looked for", marked(images, real.empty)),
                       ("noisy background", defect["noisy background"])],
        "colour": [("none", images), *((f"the part that shows {name}", marked(images, part)) for name, part in
                   real.parts.items()), ("turned hue", defect["turned hue"])],
        "shape": [("none", images), ("its edges", marked(torch.zeros_like(images), real.edges)),
                  ("wavy outlines", defect["wavy outlines"]), ("their edges", edge_picture(defect["wavy outlines"]))],
        "hairstyle": [("none", images), ("one hairstyle", only)],
        "brightness": [("none", images), ("darker", defect["darker"]), ("paler", defect["paler"])],
        "attributes": [("none", images), ("light noise everywhere", defect["light noise everywhere"]),
                       ("blur", defect["blur"])],
    }  # fmt: skip


def marked(images: Tensor, where: np.ndarray) -> Tensor:
    """uint8 images (N, 3, H, W) with a mask (N, H, W) painted over, in a colour that no avatar has."""
    return torch.where(torch.from_numpy(where)[:, None], MAGENTA, images)


def edge_picture(images: Tensor) -> Tensor:
    return marked(torch.zeros_like(images), edges_of(to_lab(planes(images))))
