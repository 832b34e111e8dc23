"""What the user asked of `bench run`, and everything that can be refused before work is done."""

from dataclasses import dataclass
from pathlib import Path

from bench import contestants, durable
from bench.config import Sizes, recipe_for
from bench.environment import choose_device
from bench.errors import BadInput
from bench.quality.features import (
    EFFICIENTNET,
    INCEPTION,
    cached_inception_weights,
    check_inception_weights,
    extractor_named,
)
from bench.record import read_records


@dataclass(frozen=True)
class RunRequest:
    """What the user asked of `bench run`."""

    preset: str
    sizes: Sizes
    contestants: list[str]
    recipe: str
    seeds: list[int]
    data: str
    out: Path
    cache: Path
    device: str
    mixed_precision: str | None  # None: the probe chooses
    inception_weights: Path | None
    extractors: list[str]  # the user's own, as `module:EXTRACTOR`
    skip_bad: bool
    fresh: bool
    command: str


def preflight(request: RunRequest) -> str:
    """Everything that can be refused before work is done; the device to run on."""
    device = choose_device(request.device)
    sizes = request.sizes
    for name in ("samples", "curve_samples", "sweep_samples"):
        if getattr(sizes, name) < 2:
            raise BadInput(f"--{name.replace('_', '-')} 1 cannot be scored: at least 2")
    if sizes.images < 20:
        raise BadInput(f"--images {sizes.images} is too few: at least 20, of which a tenth is held out")
    for name in request.contestants:
        recipe_for(request.recipe, name)
        contestants.check(name, sizes.image_size, sizes.scale)
    if request.mixed_precision == "fp16" and device == "cpu":
        raise BadInput("--mixed-precision fp16 needs a GPU: use bf16 or no")
    if request.inception_weights is not None:
        check_inception_weights(request.inception_weights)
    if extractors(request).get(INCEPTION, "") is None:
        raise BadInput(f"--extractors {INCEPTION} needs its weights: name them by --inception-weights")
    for folder in (request.out, request.cache):
        durable.check_writable(folder)
    if any((request.out / "records").glob("*.json")):
        read_records(request.out)  # a damaged one would spoil the table at the end
    return device


def extractors(request: RunRequest) -> dict[str, str | None]:
    """EfficientNet-Lite0, Inception where its weights are to be had, and the user's own."""
    found: dict[str, str | None] = {EFFICIENTNET: None}
    weights = request.inception_weights or cached_inception_weights()
    if weights is not None:
        found[INCEPTION] = str(weights)
    for text in request.extractors:
        extractor_named(text)  # refuses what is not registered
    return dict.fromkeys(request.extractors) | found
