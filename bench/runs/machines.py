"""Runs that several machines share, as torchrun starts them: the first machine decides, and the others do their part.

Each machine starts its own workers. What they are told goes through the launcher's store. Checkpoints and results lie
in a folder that all machines see, and each machine has the data in its own cache.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import distributed as dist

from bench.data.library import DataRequest, cache_path, load
from bench.distributed import PATIENCE, PEER_LOST, Group, Launch, free_port
from bench.environment import choose_device, training_code
from bench.errors import BadInput, RunFailed, words_of
from bench.runs.job import Job
from bench.stopping import STOPPED
from bench.storage import durable

BEAT = 5.0  # seconds between two signs of life
POLL = 0.2  # seconds between two looks at the store
SEEN = 10.0  # seconds for what one machine has written to be seen by another
END = "end"


@dataclass
class Machines:
    """The other machines, as the first one sees them."""

    launch: Launch
    numbers: Iterator[int] = field(default_factory=itertools.count)
    number: int = 0  # of the run that is being done

    @property
    def count(self) -> int:
        """With this one."""
        return self.launch.machines

    @property
    def store(self) -> dist.Store:
        return store_of(self.launch)

    def begin(self, job: Job) -> Group:
        """Tell the others of a job; the group of its processes, once all are ready.

        BadInput where one cannot do its part, RunFailed where one is gone.
        """
        self.number, port = next(self.numbers), free_port("")
        say(self.store, f"run {self.number}", json.dumps({"job": job.to_json(), "port": port, "code": code_of(job)}))
        for machine in range(1, self.count):
            self.wait_for(machine, f"ready {self.number} {machine}")
        return group_of(self.launch, port)

    def wait_for(self, machine: int, key: str) -> None:
        """Wait until a machine has said something, as long as it lives."""
        beat, seen = "", time.monotonic()
        while not self.store.check([key]):
            if self.store.check([f"gone {machine}"]):
                raise BadInput(f"machine {machine}: {self.store.get(f'gone {machine}').decode()}")
            now = self.store.get(f"alive {machine}").decode() if self.store.check([f"alive {machine}"]) else ""
            if now != beat:
                beat, seen = now, time.monotonic()
            if time.monotonic() - seen > PATIENCE + BEAT:
                raise RunFailed(f"machine {machine} is gone: start all of them again")
            time.sleep(POLL)

    def ended(self, patience: float) -> list[int]:
        """The exit statuses of all workers of the others; of a machine that does not answer, that it was lost."""
        statuses, deadline = list[int](), time.monotonic() + patience
        for machine in range(1, self.count):
            key = f"ended {self.number} {machine}"
            there = until(partial(self.store.check, [key]), deadline)
            statuses += json.loads(self.store.get(key)) if there else [PEER_LOST]
        return statuses


@contextmanager
def leading(launch: Launch) -> Iterator[Machines | None]:
    """The other machines, if there are any; at the end they are told that nothing more comes."""
    if launch.machines == 1:
        yield None
        return
    others = Machines(launch)
    try:
        yield others
    finally:
        say(others.store, f"run {next(others.numbers)}", END)
        left = [f"left {machine}" for machine in range(1, launch.machines)]
        until(lambda: all(others.store.check([key]) for key in left), time.monotonic() + SEEN)  # the store is kept here


@contextmanager
def following(launch: Launch) -> Iterator[None]:
    """Within it the first machine knows that this one lives; and why not, once it has been left by an error."""
    store, over = store_of(launch), threading.Event()

    def live() -> None:
        for number in itertools.count():
            with suppress(RuntimeError):  # the main thread says that the store is gone
                store.set(f"alive {launch.machine}", str(number))
            if over.wait(BEAT):
                return

    threading.Thread(target=live, daemon=True).start()
    try:
        yield
    except BaseException as error:
        with suppress(RuntimeError):
            store.set(f"gone {launch.machine}", words_of(error) or type(error).__name__)
        raise
    finally:
        over.set()
        with suppress(RuntimeError):
            store.set(f"left {launch.machine}", "")


Workers = Callable[[Path, str, Group], list[int]]  # starts workers with what they are told; their exit statuses


def follow(launch: Launch, here: Callable[[Job], Job], workers: Workers) -> int:
    """Do this machine's part of every run, until the first machine says that it was the last.

    `here` makes of a job of the first machine one of this machine, with its own paths and data.
    """
    store = store_of(launch)
    for number in itertools.count():
        text = waited_for(store, f"run {number}")
        if text == END:
            return 0
        told = json.loads(text)
        job = here(same_job(Job.from_json(told["job"]), told["code"]))
        path = job.folder.job_of(launch.machine)
        durable.write_text(path, job.to_json())
        say(store, f"ready {number} {launch.machine}", "")
        statuses = [STOPPED]
        try:
            statuses = workers(path, job.run.device, group_of(launch, told["port"]))
        finally:
            say(store, f"ended {number} {launch.machine}", json.dumps(statuses))
    return 0


def same_job(job: Job, code: str) -> Job:
    """The job, if this machine can do it as the first one does; else BadInput."""
    choose_device(job.run.device)
    if code_of(job) != code:
        raise BadInput("its code differs from the first machine's: install the same version on all")
    return job


@dataclass(frozen=True)
class Here:
    """Where this machine has its results, its cache and its data."""

    out: Path
    cache: Path
    data: str
    skip_bad: bool

    def __call__(self, job: Job) -> Job:
        """The first machine's job with this machine's paths; BadInput unless the results are shared and data alike."""
        told = job.to_json()
        job = replace(job, out=str(self.out))
        path = job.folder.job
        if not until(lambda: path.exists() and path.read_text() == told, time.monotonic() + SEEN):
            raise BadInput(f"'{self.out}' is not the first machine's: name a folder by --out that all machines share")
        sizes = job.run.sizes
        data = DataRequest(self.data, sizes.images, sizes.image_size, self.skip_bad)
        avatars = cache_path(data, self.cache)
        if load(data, avatars).content_hash != job.run.data_hash:
            raise BadInput(f"--data '{self.data}' differs from the first machine's: give all the same")
        return replace(job, cache=str(self.cache), avatars=str(avatars))


def group_of(launch: Launch, port: int) -> Group:
    """This machine's part of the processes that meet at a port of the first one."""
    return Group(launch.processes, launch.here, launch.machine * launch.here, launch.address, port)


def code_of(job: Job) -> str:
    return training_code(job.run.contestant)


def store_of(launch: Launch) -> dist.Store:
    """That through which several machines talk."""
    assert launch.store is not None
    return launch.store


def say(store: dist.Store, key: str, text: str) -> None:
    """Tell the other machines; RunFailed where the store is gone."""
    try:
        store.set(key, text)
    except RuntimeError as error:
        raise RunFailed(f"the other machines are gone ({error}): start all of them again") from error


def waited_for(store: dist.Store, key: str) -> str:
    """What the first machine has said, however long that takes; RunFailed where the store is gone."""
    try:
        until(partial(store.check, [key]), float("inf"))
        return store.get(key).decode()
    except RuntimeError as error:
        raise RunFailed(f"the other machines are gone ({error}): start all of them again") from error


def until(condition: Callable[[], Any], deadline: float) -> bool:
    """Wait for a condition; whether it came true in time."""
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(POLL)
    return bool(met)
