"""Several processes that train one contestant together: how many a launcher asks for, and who does which part.

Every process has its share of each batch and of the samples; the first one alone writes.
"""

import os
import socket
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather, pad_across_processes
from torch import Tensor
from torch import distributed as dist

from bench.errors import BadInput, RunFailed

PATIENCE = 45.0  # seconds for another process that hangs; then this one gives up, and the run ends
SLOW_DISK = 50e6  # bytes a second: the others wait while the first process saves
PEER_LOST = 3  # exit status of a process that fails only because another one did
OF_A_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")


def launched(asked: int | None) -> tuple[int, int]:
    """(rank, number of processes) as the user or a launcher asks for them; the launcher is forgotten then.

    The run itself starts what trains, a group for each contestant, so here every rank but the first is done at once.
    """
    said = {name: os.environ.pop(name) for name in OF_A_LAUNCHER if name in os.environ}
    for name in [name for name in os.environ if name.startswith("TORCHELASTIC_")]:
        del os.environ[name]  # or torch would look for the launcher's own meeting place
    world = said.get("WORLD_SIZE", "1")
    if said.get("LOCAL_WORLD_SIZE", world) != world:
        raise BadInput("several machines cannot share a run: launch on one of them")
    number = int(world)
    if number == 1 and "MASTER_PORT" in said and "ACCELERATE_USE_CPU" in os.environ and asked is None:
        raise BadInput("on a CPU accelerate starts one process, whatever it is asked: name their number by --processes")
    for name in [name for name in os.environ if name.startswith("ACCELERATE_")]:
        del os.environ[name]  # the harness decides over device, precision and everything else
    return int(said.get("RANK", 0)), asked or number


def patience(checkpoint_bytes: int) -> timedelta:
    """How long to wait for another process before it counts as hung; it may be saving a checkpoint."""
    return timedelta(seconds=PATIENCE + checkpoint_bytes / SLOW_DISK)


def group_environment(rank: int, count: int, port: int) -> dict[str, str]:
    """What a process needs in its environment to find the others of its group; nothing where it is alone."""
    if count == 1:
        return {}
    ours = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    threads = os.environ.get("OMP_NUM_THREADS") or max(1, (os.cpu_count() or 1) // count)
    return {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": str(threads)} | {k: str(v) for k, v in ours.items()}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def most_held(process: int | None) -> int:
    """The most bytes that a process has held so far; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def expected_rank() -> int:
    """The rank that this process will have when it has met the others."""
    return int(os.environ.get("RANK", 0))


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def is_alone_now(accelerator: Accelerator) -> bool:
    """Wait for all processes and dissolve their group: True in the first one, which goes on alone."""
    first = rank() == 0
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return first


def share(length: int) -> range:
    """Which of `length` things this process does: every `count()`-th, so that all have as many, give or take one."""
    return range(rank(), length, count())


def gathered(images: Tensor, length: int) -> Tensor:
    """The images (n, …) that every process made of its share, together (length, …) and in order.

    RunFailed unless each was made once, by one process.
    """
    if count() == 1:
        return images
    indices = torch.tensor(share(length), device=images.device)
    places = gather(pad_across_processes(indices, pad_index=-1))
    whole = gather(pad_across_processes(images))[places >= 0]
    return in_order(whole, places[places >= 0])


def in_order(images: Tensor, places: Tensor) -> Tensor:
    """Images by their places; RunFailed where a place is missing or taken twice, or images of two are the same."""
    if not torch.equal(places.sort().values, torch.arange(len(places), device=places.device)):
        raise RunFailed(f"the processes made the samples {sorted(places.tolist())}, not each once")
    shares = [images[places % count() == number] for number in range(count())]
    if repeated(images) > sum(map(repeated, shares)):
        raise RunFailed("two processes made the same sample: they share their seeds")
    return images[places.argsort()]


def repeated(images: Tensor) -> int:
    """How many images are, pixel for pixel, the same as an earlier one."""
    return len(images) - len({image.cpu().numpy().tobytes() for image in images})


def lost_peer(error: BaseException) -> bool:
    """Whether a process fails because another one of its group is gone or hangs; gloo has no error class for that."""
    about = ("closed by peer", "reset by peer", "Broken pipe", "Timed out waiting", "Watchdog caught collective")
    return count() > 1 and isinstance(error, RuntimeError) and any(words in str(error) for words in about)
