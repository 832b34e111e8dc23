"""Small real things that many tests use: a rendered set, its split, a configuration of a tiny run."""

import os

# Read when torch is loaded. Tests run beside each other and the processes that they start: threads that wait must not
# spin, and models as tiny as these are faster with one thread than with two that wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

from dataclasses import replace

import pytest

from bench.config import MATCHED, PRESETS, RunConfig
from bench.data.dataset import AvatarSet
from bench.data.library import DataRequest, render
from bench.data.splits import Split, split
from tests.accounts import FOLDER
from tests.invoking import environment_restored, handlers_restored
from tests.shared import all_finished, cache, finished, session_folder  # noqa: F401 - fixtures for all tests

SMALL_COPIES = ("twin-32", "diffusers-16", "twin-16", "diffusers-8", "twin-8")  # of a code path that another one has
TINY = 1 / 32  # the smallest scale: one group of channels

os.environ["HF_HUB_OFFLINE"] = "1"
SLOW_LEFT_OUT = pytest.StashKey[int]()


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count the slow tests that are left out; exhaustive ones are not counted."""
    if not items or "not slow" not in items[0].config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("slow") and not item.get_closest_marker("exhaustive")]
    stash = items[0].config.stash
    stash[SLOW_LEFT_OUT] = stash.get(SLOW_LEFT_OUT, 0) + len(slow)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells the process that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["slow_left_out"] = session.config.stash.get(SLOW_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """Every worker has left out the same tests."""
    node.config.stash[SLOW_LEFT_OUT] = getattr(node, "workeroutput", {}).get("slow_left_out", 0)


def pytest_terminal_summary(terminalreporter) -> None:
    count = terminalreporter.config.stash.get(SLOW_LEFT_OUT, 0)
    if count:
        terminalreporter.write_line(f"{count} slow tests were left out: `pytest -m slow` runs them")


@pytest.fixture(autouse=True)
def signals_are_taken_as_before():
    """Whatever a test has let main() do about Ctrl+C and SIGTERM."""
    with handlers_restored():
        yield


@pytest.fixture(scope="session", autouse=True)
def accounts_are_made_once(session_folder):
    """In all processes of this session: see tests/accounts.py."""
    folder = session_folder / "accounts"
    folder.mkdir(exist_ok=True)
    with environment_restored(**{FOLDER: str(folder)}):
        yield


@pytest.fixture(scope="session")
def avatars() -> AvatarSet:
    return render(DataRequest("avataaars", images=148, image_size=16))


@pytest.fixture(scope="session")
def parts(avatars) -> Split:
    return split(avatars)


@pytest.fixture(scope="session")
def config(avatars) -> RunConfig:
    return tiny_config(avatars)


def tiny_config(avatars: AvatarSet) -> RunConfig:
    sizes = replace(PRESETS["smoke"], image_size=16, scale=TINY, images=148, epochs=3, batch_size=16, samples=8)
    return RunConfig(
        contestant="scratch",
        seed=0,
        preset="smoke",
        recipe=replace(MATCHED, ema_decay=0.995),  # some recipes keep an average
        sizes=sizes,
        data="avataaars",
        data_hash=avatars.content_hash,
        device="cpu",
        mixed_precision="no",
        memory_format="channels_last",
    )
