"""Several processes that train one contestant together: how many a launcher asks for, and who does which part.

Every process has its share of each batch and of the samples; the first one alone writes.
"""

import itertools
import os
import socket
from dataclasses import dataclass, replace
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
LOOPBACK = "127.0.0.1"
ARRIVAL = timedelta(minutes=5)  # for all machines to be there
OF_A_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """What a launcher has started: how many processes share each run, over how many machines, and which is this."""

    processes: int  # of all machines together
    machines: int = 1
    machine: int = 0  # the number of this one
    first_here: bool = True  # the first process of its machine: it starts whatever is needed, and the others are done
    address: str = LOOPBACK  # of the first machine
    store: dist.Store | None = None  # through which the first processes of several machines talk

    @property
    def here(self) -> int:
        """How many of the processes are this machine's."""
        return self.processes // self.machines


def launched(asked: int | None) -> Launch:
    """What the user or a launcher asks for; the launcher is forgotten then.

    The run itself starts what trains, a group for each contestant, so a launcher's own processes do nothing but that.
    """
    said = {name: os.environ[name] for name in OF_A_LAUNCHER if name in os.environ}
    world, local = int(said.get("WORLD_SIZE", "1")), int(said.get("LOCAL_WORLD_SIZE", said.get("WORLD_SIZE", "1")))
    launch = Launch(
        processes=asked or world,
        machines=world // local,
        machine=int(said.get("RANK", 0)) // local,
        first_here=int(said.get("RANK", 0)) % local == 0,
        address=said.get("MASTER_ADDR", LOOPBACK),
    )
    if world > local and (asked or world % local):
        raise BadInput(
            "several machines have the same number of processes: give it to the launcher, not by --processes"
        )
    if launch.machines > 1 and launch.first_here:
        launch = replace(launch, store=meeting_place(launch))
    for name in [*said, *(name for name in os.environ if name.startswith("TORCHELASTIC_"))]:
        del os.environ[name]  # or torch would look for the launcher's own meeting place
    if world == 1 and "MASTER_PORT" in said and "ACCELERATE_USE_CPU" in os.environ and asked is None:
        raise BadInput("on a CPU accelerate starts one process, whatever it is asked: name their number by --processes")
    for name in [name for name in os.environ if name.startswith("ACCELERATE_")]:
        del os.environ[name]  # the harness decides over device, precision and everything else
    return launch


def meeting_place(launch: Launch) -> dist.Store:
    """The launcher's store, or one that the first machine keeps at the launcher's address."""
    try:
        store, *_ = next(dist.rendezvous("env://", launch.machine, launch.machines, timeout=ARRIVAL))
    except RuntimeError as error:
        raise RunFailed(f"machine {launch.machine} did not meet the others at {launch.address}: {error}") from error
    return dist.PrefixStore("bench", store)


@dataclass(frozen=True)
class Group:
    """The processes that do one run together, and which of them are this machine's."""

    count: int
    here: int
    first: int = 0  # the rank of this machine's first
    address: str = LOOPBACK
    port: int = 0

    @classmethod
    def alone(cls, count: int) -> "Group":
        """All on this machine."""
        return cls(count, count, port=free_port() if count > 1 else 0)

    def environment(self, place: int) -> dict[str, str]:
        """What a process of this machine needs to find the others; nothing where it is alone."""
        if self.count == 1:
            return {}
        threads = os.environ.get("OMP_NUM_THREADS") or max(1, (os.cpu_count() or 1) // self.here)
        ours: dict[str, object] = {"RANK": self.first + place, "WORLD_SIZE": self.count, "LOCAL_RANK": place}
        ours |= {"LOCAL_WORLD_SIZE": self.here}
        ours |= {"MASTER_PORT": self.port, "OMP_NUM_THREADS": threads}
        return {"MASTER_ADDR": self.address} | {name: str(value) for name, value in ours.items()}


def patience(checkpoint_bytes: int) -> timedelta:
    """How long to wait for another process before it counts as hung; it may be saving a checkpoint."""
    return timedelta(seconds=PATIENCE + checkpoint_bytes / SLOW_DISK)


def free_port(address: str = LOOPBACK) -> int:
    with socket.socket() as found:
        found.bind((address, 0))
        return found.getsockname()[1]


def most_held(process: int | None) -> int:
    """The most bytes that a process has held so far; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def machines() -> int:
    """Over how many machines this process and the others of its group are spread."""
    return int(os.environ.get("WORLD_SIZE", 1)) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))


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


def refuse_unless_same(position: tuple[int, ...], device: torch.device) -> None:
    """RunFailed unless all processes have come to the same place, as from the same checkpoint."""
    if count() == 1:
        return
    places = gather(torch.tensor([position], device=device))
    if len(places.unique(dim=0)) > 1:
        raise RunFailed(
            f"the processes go on from different checkpoints ({places.tolist()}): their folder is not shared"
        )


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
    if any(alike(one, other) for one, other in itertools.combinations(shares, 2)):
        raise RunFailed("two processes made the same samples: they share their seeds")
    return images[places.argsort()]


def alike(one: Tensor, other: Tensor) -> bool:
    """Whether two shares hold the same images in the same order, and not one image alone, as a collapsed model's do."""
    length = min(len(one), len(other))
    return torch.equal(one[:length], other[:length]) and repeated(one[:length]) < length - 1


def repeated(images: Tensor) -> int:
    """How many images are, pixel for pixel, the same as an earlier one."""
    return len(images) - len({image.cpu().numpy().tobytes() for image in images})


def lost_peer(error: BaseException) -> bool:
    """Whether a process fails because another one of its group is gone or hangs; gloo has no error class for that."""
    about = ("closed by peer", "reset by peer", "Broken pipe", "Timed out waiting", "Watchdog caught collective",
             "waiting for clients", "socket has timed out")  # fmt: skip
    return (
        int(os.environ.get("WORLD_SIZE", 1)) > 1
        and isinstance(error, RuntimeError)
        and any(words in str(error) for words in about)
    )
