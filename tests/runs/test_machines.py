"""What several machines tell each other, with threads for machines and a store in memory."""

import threading
from dataclasses import replace

import pytest
from torch import distributed as dist

from bench.distributed import PEER_LOST, Launch
from bench.errors import BadInput, RunFailed
from bench.runs import machines
from bench.runs.job import Job
from bench.runs.machines import Here, Machines, code_of, follow, following, leading, same_job


@pytest.fixture
def launches():
    """Two machines of two processes each, which are both here."""
    first = Launch(4, machines=2, store=dist.HashStore())
    return first, replace(first, machine=1)


@pytest.fixture
def job(config, tmp_path):
    return Job(config.as_dict(), "c", None, str(tmp_path), "", "", "", {}, {}, {})


def beside(work):
    """Something that goes on at the same time, and what it comes to."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    return thread, found


def test_the_second_machine_does_its_part_until_the_first_says_that_it_was_the_last(launches, job, tmp_path):
    first, second = launches
    job.folder.path.mkdir(parents=True)
    asked = []

    def work(told, device, group):
        asked.append((told.read_text(), group.first, group.here, group.count))
        return [0, PEER_LOST]

    thread, status = beside(lambda: follow(second, lambda told: replace(told, cache="mine"), work))
    with following(second), leading(first) as others:
        group = others.begin(job)
        assert others.ended(30) == [0, PEER_LOST]
        assert (group.first, group.here, group.count) == (0, 2, 4)
        others.begin(job)
        assert others.ended(30) == [0, PEER_LOST]
        first.store.set("left 1", "")
    thread.join(30)
    assert status == [0]
    assert asked == [(replace(job, cache="mine").to_json(), 2, 2, 4)] * 2


def test_why_a_machine_cannot_do_its_part_is_said_on_the_first_one(launches):
    first, second = launches
    with pytest.raises(BadInput, match="no such data"), following(second):
        raise BadInput("no such data")
    with pytest.raises(BadInput, match="machine 1: no such data"):
        Machines(first).wait_for(1, "ready 0 1")


def test_a_machine_that_gives_no_sign_of_life_is_gone(launches, monkeypatch):
    first, _ = launches
    monkeypatch.setattr(machines, "PATIENCE", 0.2)
    monkeypatch.setattr(machines, "BEAT", 0.1)
    with pytest.raises(RunFailed, match="machine 1 is gone: start all of them again"):
        Machines(first).wait_for(1, "ready 0 1")
    assert Machines(first).ended(0.1) == [PEER_LOST]


def test_a_living_machine_is_waited_for(launches, monkeypatch):
    first, second = launches
    monkeypatch.setattr(machines, "PATIENCE", 0.3)
    monkeypatch.setattr(machines, "BEAT", 0.05)
    with following(second):
        thread, _ = beside(lambda: Machines(first).wait_for(1, "ready 0 1"))
        thread.join(1.5)
        assert thread.is_alive()
        first.store.set("ready 0 1", "")
        thread.join(10)
        assert not thread.is_alive()


def test_another_folder_and_other_code_are_refused(job, tmp_path, monkeypatch):
    monkeypatch.setattr(machines, "SEEN", 0.1)
    with pytest.raises(BadInput, match="is not the first machine's: name a folder by --out that all machines share"):
        Here(tmp_path / "another", tmp_path, "avataaars", False)(job)
    assert same_job(job, code_of(job)) == job
    with pytest.raises(BadInput, match="its code differs from the first machine's"):
        same_job(job, "other")
