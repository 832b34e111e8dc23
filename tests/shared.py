"""What is made once for all tests and both workers of pytest-xdist: the data cache, and a small finished run."""

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.invoking import TINY, WHOLE, Done, bench

SHARED = [*TINY, "--sampling-steps=2"]
OURS_AND_A_PLUG_IN = "scratch,diffusers-32,tests.plug_in:build"
ALL_AND_A_PLUG_IN = "scratch,diffusers-32,diffusers-16,diffusers-8,tests.plug_in:build"


@dataclass(frozen=True)
class Finished:
    """A results folder that is only read; what the command said that has made it."""

    out: Path
    contestants: list[str]
    sizes: list[str]
    done: Done


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def made_once(folder: Path, make: Callable[[], Done]) -> Done:
    """What `make` has said, in this process or in another one of this session."""
    folder.mkdir(exist_ok=True)
    said = folder / "said.json"
    with alone(folder):
        if not said.exists():
            said.write_text(json.dumps(asdict(make())))
    return Done(**json.loads(said.read_text()))


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def cache(session_folder: Path) -> Path:
    """Data, classifier and features for all runs of these tests in their own process."""
    folder = session_folder / "cache"
    folder.mkdir(exist_ok=True)
    return folder


def finished_run(session_folder: Path, cache: Path, names: str, sizes: list[str]) -> Finished:
    """A run of seed 0, asked for JSON, in a folder where `scratch` had been run with seed 1 before."""
    folder = session_folder / f"finished-{names.count(',')}"

    def make() -> Done:
        where = ["--out", folder / "out", "--cache", cache]
        first = bench("run", *sizes, "--contestants=scratch", "--seeds=1", *where)
        assert first.returncode == 0, first.stderr
        return bench("run", *sizes, "--contestants", names, *where, "--json")

    done = made_once(folder, make)
    return Finished(folder / "out", names.split(","), sizes, done)


@pytest.fixture(scope="session")
def finished(session_folder: Path, cache: Path) -> Finished:
    """Both default contestants and a user's own, run once at the smallest size."""
    return finished_run(session_folder, cache, OURS_AND_A_PLUG_IN, SHARED)


@pytest.fixture(scope="session")
def all_finished(session_folder: Path, cache: Path) -> Finished:
    """All four contestants and a user's own, with samples by the full sampler, too."""
    return finished_run(session_folder, cache, ALL_AND_A_PLUG_IN, WHOLE)
