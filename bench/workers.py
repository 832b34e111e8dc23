"""The processes that train one contestant: started, waited for, stopped and cleared away together."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench import durable
from bench.job import HAS_ITS_ROW, Job, note_failure
from bench.processes import PEER_LOST, free_port, group_environment
from bench.stopping import STOPPED, Stopped

GRACE = 5.0  # seconds for the rest of a group to end by itself once one of it has failed
POLL = 0.05
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR"}  # or torch's profiler warns of memory that was taken before it began


def run_in_processes(job: Job, locked: int) -> None:
    """Run a job in processes of its own; its record is on disk afterwards, a failed one if any of them died.

    A signal to this process stops the first worker, which saves; a second Ctrl+C ends all of them at once.
    """
    path = job.told
    durable.write_text(path, json.dumps(asdict(job)))
    before = mark_of(job)
    workers: list[subprocess.Popen] = []
    try:
        start(path, job.run.processes, locked, workers)
        statuses = wait(workers)
    except (KeyboardInterrupt, SystemExit):
        if workers:
            workers[0].terminate()
            workers[0].wait()
        raise
    finally:
        clear_away(workers)
    note_end(job, statuses, done=mark_of(job) != before)


def start(path: Path, count: int, locked: int, workers: list[subprocess.Popen]) -> None:
    """Start `count` workers, adding each to the list; a worker stops when this process' end of its stdin closes."""
    port = free_port() if count > 1 else 0
    command = [sys.executable, "-m", "bench.worker", str(path)]
    for rank in range(count):
        environment = os.environ | QUIET | group_environment(rank, count, port)
        # Blocked: none is left behind, Ctrl+C stays this process' affair, and SIGTERM waits until it is understood.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            workers.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr, env=environment, pass_fds=(locked,))
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait(workers: list[subprocess.Popen]) -> list[int]:
    """The exit statuses of all; once one has failed, the others have little time left, and then count as hung."""
    deadline = float("inf")
    while running := [worker for worker in workers if worker.poll() is None]:
        if deadline == float("inf") and any(worker.returncode not in (None, 0) for worker in workers):
            deadline = time.monotonic() + GRACE
        if time.monotonic() > deadline:
            clear_away(running)
            return [PEER_LOST if worker in running else worker.returncode for worker in workers]
        time.sleep(POLL)
    return [worker.returncode for worker in workers]


def clear_away(workers: list[subprocess.Popen]) -> None:
    """End what still runs, at once, and leave no zombie."""
    for worker in workers:
        worker.kill()
        worker.wait()


def note_end(job: Job, statuses: list[int], done: bool = True) -> None:
    """Give the run its row where its workers could not; a worker that was asked to stop stops this process, too.

    `done` is whether the run says of itself that it is, which a status of 0 need not mean.
    """
    if {STOPPED, -signal.SIGTERM} & set(statuses):
        raise Stopped
    died = [status for status in statuses if status not in (0, HAS_ITS_ROW, PEER_LOST)]
    if HAS_ITS_ROW in statuses or (done and not any(statuses)):
        return  # its own row says why, or it is done
    # An abort is blamed last: gloo and NCCL may abort a process, too, whose only fault is that another one died.
    died.sort(key=lambda status: status == -signal.SIGABRT)
    if died:
        note_failure(job, died_of(died[0]))
    elif any(statuses):
        note_failure(job, "the processes of its group lost each other: one hung, or its network did")
    else:
        note_failure(job, "its process ended by itself before it was done, as by os._exit")


def mark_of(job: Job) -> tuple[int, int] | None:
    """Which file says that the run is done, if one does: another one after the run has said it anew."""
    try:
        found = (job.folder / "finished.json").stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def died_of(status: int) -> str:
    """What ended a worker that could not say so itself, with the most memory that any worker so far has held."""
    if status >= 0:
        return f"its process ended with status {status}"
    held = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # Linux counts in KiB
    guess = f" (out of memory? It held up to {held:.1f} GiB)" if status == -signal.SIGKILL else ""
    return f"killed by {signal.Signals(-status).name}{guess}"
