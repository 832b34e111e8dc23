"""The processes that train one contestant: started, waited for, stopped and cleared away together."""

import os
import signal
import time
from contextlib import suppress
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess
from pathlib import Path

from bench import distributed
from bench.distributed import PEER_LOST, Group
from bench.runs import warm
from bench.runs.job import EXIT_FAILURE_RECORDED, Job, note_failure
from bench.runs.machines import Machines
from bench.stopping import STOPPED, Stopped, run_and_leave
from bench.storage import durable

GRACE = 5.0  # seconds for the rest of a group to end by itself once one of it has failed
UNKNOWN = 255  # how multiprocessing says that the process which workers are forked from is gone; they may live on
LAST = 60.0  # seconds for other machines to say that they are done
LOOK = 0.5  # seconds between two looks at the memory that workers hold


def run_in_processes(job: Job, locked: int, others: Machines | None = None) -> None:
    """Run a job in processes of its own; its record is on disk afterwards, a failed one if any of them died.

    A signal to this process stops the first worker, which saves; a second Ctrl+C ends all of them at once.
    `others` are the machines that do a part of it.
    """
    durable.write_text(job.folder.job, job.to_json())
    before = mark_of(job)
    workers: list[BaseProcess] = []
    try:
        group = others.begin(job) if others else Group.alone(job.run.processes)
        start(job.folder.job, job.run.device, group, locked, workers)
        statuses, held = wait(workers)
        statuses += others.ended(GRACE if any(statuses) else LAST) if others else []
    except (KeyboardInterrupt, SystemExit):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is stopping; only a second Ctrl+C is quicker
        if workers and workers[0].pid is not None:
            workers[0].terminate()
            workers[0].join()
        raise
    finally:
        clear_away(workers)
    note_end(job, statuses, done=mark_of(job) != before, held=held)


def work_with_others(told: Path, device: str, group: Group) -> list[int]:
    """This machine's part of a job that another one leads; the exit statuses of its workers."""
    workers: list[BaseProcess] = []
    try:
        start(told, device, group, 2, workers)
        return wait(workers)[0]
    except (KeyboardInterrupt, SystemExit):  # where all machines are stopped at once, the first one saves with these
        wait_for([worker.sentinel for worker in workers], timeout=GRACE)
        raise
    finally:
        clear_away(workers)


def start(told: Path, device: str, group: Group, locked: int, workers: list[BaseProcess]) -> None:
    """Start this machine's workers of a job, adding each to the list; they inherit the lock, and stop when this process
    is gone.
    """
    context = warm.context(device)
    for place in range(group.here):
        environment = os.environ | group.environment(place)
        inherited = warm.Inherited(locked), warm.Inherited(2)
        with warm.quiet_start():
            worker = context.Process(target=work, args=(told, environment, *inherited))  # type: ignore[attr-defined]
            workers.append(worker)
            worker.start()


def work(told: Path, environment: dict[str, str], locked: int, stderr: int) -> None:
    """What a worker's process does, from its first moment to its last."""
    warm.begin_worker(stderr, environment)

    import torch

    from bench.runs import worker

    if (threads := environment.get("OMP_NUM_THREADS", "")).isdigit():
        torch.set_num_threads(int(threads))  # the environment came too late: torch is loaded already
    run_and_leave(lambda: worker.main(told))


def wait(workers: list[BaseProcess]) -> tuple[list[int], int]:
    """The exit statuses of all, and the most bytes that one of them held.

    Once one has failed, the others have little time left, and then count as hung.
    """
    deadline, held = float("inf"), 0
    while running := [worker for worker in workers if worker.exitcode is None]:
        if deadline == float("inf") and any(worker.exitcode not in (None, 0) for worker in workers):
            deadline = time.monotonic() + GRACE
        if time.monotonic() > deadline:
            clear_away(running)
            return [PEER_LOST if worker in running else worker.exitcode or 0 for worker in workers], held
        wait_for([worker.sentinel for worker in running], timeout=LOOK)
        held = max(held, *(distributed.most_held(worker.pid) for worker in workers))
    return [worker.exitcode or 0 for worker in workers], held


def clear_away(workers: list[BaseProcess]) -> None:
    """End what still runs, at once, and leave no zombie."""
    for worker in workers:
        if worker.pid is None:  # it was not started
            continue
        worker.kill()
        worker.join()
        if worker.exitcode == UNKNOWN:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)


def note_end(job: Job, statuses: list[int], done: bool = True, held: int = 0) -> None:
    """Give the run its row where its workers could not; a worker that was asked to stop stops this process, too.

    `done`: the run wrote its finished.json, which an exit status of 0 does not prove. `held`: a worker's peak memory in
    bytes.
    """
    if {STOPPED, -signal.SIGTERM} & set(statuses):
        raise Stopped
    died = [status for status in statuses if status not in (0, EXIT_FAILURE_RECORDED, PEER_LOST)]
    if EXIT_FAILURE_RECORDED in statuses or (done and not any(statuses)):
        return  # its own row says why, or it is done
    # An abort is blamed last: gloo and NCCL may abort a process, too, whose only fault is that another one died.
    died.sort(key=lambda status: status == -signal.SIGABRT)
    if died:
        note_failure(job, died_of(died[0], held))
    elif any(statuses):
        note_failure(job, "the processes of its group lost each other: one hung, or its network did")
    else:
        note_failure(job, "its process ended by itself before it was done, as by os._exit")


def mark_of(job: Job) -> tuple[int, int] | None:
    """Inode and time of the run's finished.json, or None; they change when it is written again."""
    try:
        found = job.folder.finished.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def died_of(status: int, held: int) -> str:
    """What ended a worker that could not say so itself, with the most memory that it was seen to hold."""
    if status >= 0:
        return f"its process ended with status {status}"
    guess = f" (out of memory? It held up to {held / 2**30:.1f} GiB)" if status == -signal.SIGKILL else ""
    return f"killed by {signal.Signals(-status).name}{guess}"
