"""The weights of finished models, each in a file of its own: what is drawn with, scored, exported and committed."""

from pathlib import Path

import torch
from torch import Tensor, nn

from bench.errors import RunFailed
from bench.storage import cache

COMMITTED_BYTES = 8 * 2**20  # the most that a file of weights in a repository may take
CONDITIONS = 64  # test conditions that lie beside them, for `bench sample` to begin from
CODES, FORMER_CODES = ".codes", "codes"  # under which they lie there: no tensor of a module can begin with a dot


def keep_weights(path: Path, denoiser: nn.Module) -> None:
    """Store a denoiser's weights as they stand; of tied ones, which a file cannot share, each has its copy."""
    cache.write(path, {name: each.clone() for name, each in denoiser.state_dict().items()})


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights that were stored; RunFailed if they are gone or damaged."""
    found = cache.read(path)
    if found is None:
        raise RunFailed(f"the weights of {path.parent.parent.name} are gone or damaged: start over with --fresh")
    return found[0]


def commit_weights(path: Path, denoiser: nn.Module, codes: Tensor, schema: str) -> bool:
    """Store a denoiser's weights in half precision, with some test conditions and their schema; whether it did.

    Large ones are not for a repository: of them nothing is stored, and none of an earlier run are left.
    """
    half = {name: each.half() if each.is_floating_point() else each for name, each in denoiser.state_dict().items()}
    if sum(each.nbytes for each in half.values()) > COMMITTED_BYTES:
        path.unlink(missing_ok=True)
        return False
    cache.write(path, half | {CODES: codes[:CONDITIONS].to(torch.uint8)}, {"schema": schema})
    return True


def committed_weights(path: Path) -> tuple[dict[str, Tensor], Tensor, str]:
    """Weights that were stored so, in full precision; the conditions' codes int64 (N, A); their schema as JSON."""
    found = cache.read(path)
    if found is None:
        raise RunFailed(f"the weights in {path.name} are gone or damaged: take them from the repository again")
    tensors, about = found
    codes = tensors.pop(CODES if CODES in tensors else FORMER_CODES).long()
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}, codes, about["schema"]
