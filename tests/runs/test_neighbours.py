"""Torch's threads yield while others want the cores, and only then."""

import subprocess
import sys
import time

import psutil
import pytest

from bench.runs.neighbours import QUIET_LOOKS, Neighbours, cores_of_others, reading

BUSY = "import time\nend = time.time() + 60\nwhile time.time() < end: pass"


@pytest.fixture
def busy_neighbours():
    """As many processes that use a core each as there are cores."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(psutil.cpu_count())]
    yield started
    for process in started:
        process.kill()
        process.wait()


def wait_until(holds, seconds=30):
    deadline = time.time() + seconds
    while not holds():
        assert time.time() < deadline
        time.sleep(0.05)


def test_others_are_seen_and_we_are_not(busy_neighbours):
    time.sleep(0.5)
    before = reading()
    end = time.time() + 1
    while time.time() < end:  # one core is ours, as far as we get it
        pass
    assert cores_of_others(before, reading()) > 0.4 * psutil.cpu_count()


def test_our_threads_yield_while_others_want_the_cores(busy_neighbours):
    with Neighbours(interval=0.2) as neighbours:
        wait_until(lambda: neighbours.yielding is not None)
        held = neighbours.yielding.thread
        assert held.is_alive()
        assert neighbours.busy_share() > 0
    assert not held.is_alive()


def test_they_spin_again_after_some_quiet_looks_in_a_row():
    neighbours = Neighbours()
    neighbours.look(psutil.cpu_count(), 1.0)
    assert neighbours.yielding is not None
    for _ in range(QUIET_LOOKS - 1):
        neighbours.look(0.0, 1.0)
    neighbours.look(psutil.cpu_count(), 1.0)
    for _ in range(QUIET_LOOKS):
        assert neighbours.yielding is not None
        neighbours.look(0.0, 1.0)
    assert neighbours.yielding is None
    assert neighbours.busy_share() == 2 / (QUIET_LOOKS * 2 + 1)
