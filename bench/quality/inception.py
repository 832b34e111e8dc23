"""The file of Inception's weights, from a user or from torch-fidelity's own download: believed by its hash."""

import functools
import hashlib
import http.client
import sys
from pathlib import Path

import torch
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

from bench.errors import BadInput

INCEPTION_SHA256_START = "6726825d"  # stands in the published file's name
DOWNLOADED = Path("auto")  # instead of a file: torch-fidelity's own, fetched where there is a network
INCEPTION_FILE = f"weights-inception-2015-12-05-{INCEPTION_SHA256_START}.pth"


@functools.cache
def sha256_of(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached_inception_weights() -> Path | None:
    """torch-fidelity's own download of Inception's weights, where there is one and it is what was published."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    return path if path.is_file() and sha256_of(str(path)).startswith(INCEPTION_SHA256_START) else None


def download_inception_weights() -> None:
    """Fetch torch-fidelity's own file to where torch.hub keeps such; BadInput where that cannot be had."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    if cached_inception_weights() is not None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            URL_INCEPTION_V3, str(path), hash_prefix=INCEPTION_SHA256_START, progress=sys.stderr.isatty()
        )
    except (OSError, RuntimeError, http.client.HTTPException) as error:  # no network, no room, another file
        raise BadInput(
            f"--inception-weights auto cannot download {INCEPTION_FILE} ({str(error).splitlines()[0][:100]}): "
            "name a copy of the file instead"
        ) from error


def check_inception_weights(path: Path) -> None:
    """BadInput unless the file is torch-fidelity's published weights, as far as eight digits of a hash can tell."""
    if not path.is_file():
        raise BadInput(f"--inception-weights '{path}' is no file: download torch-fidelity's weights-inception-*.pth")
    if not sha256_of(str(path)).startswith(INCEPTION_SHA256_START):
        raise BadInput(f"--inception-weights '{path}' is not torch-fidelity's file ({INCEPTION_SHA256_START}…)")
