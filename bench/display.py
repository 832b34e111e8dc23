"""Live progress on stderr; where that is no terminal, a line a phase, and one every few seconds within a long one."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bench import distributed

SHORT = 0.5  # seconds: a phase that is over by then needs no line
HEARTBEAT = 12.0  # seconds after which a long phase says where it stands, where there is no terminal


class Display:
    """One line of progress that turns from phase to phase, and how long each of them took."""

    def __init__(self, progress: Progress, task: TaskID, title: str) -> None:
        self.progress, self.task, self.title = progress, task, title
        self.plain = progress.disable
        self.started = self.begun = self.last_line = time.perf_counter()
        self.text = ""
        self.said = False  # something of this phase, which then needs no line of its own
        self.seconds_by_phase: dict[str, float] = {}

    def phase(self, text: str, total: int | None = None) -> None:
        """Begin something that takes `total` advances, if that is known; what was before is over."""
        self.end_phase()
        self.text, self.said, self.started = text, False, time.perf_counter()
        self.progress.reset(self.task, description=f"{self.title} {text}", info="")
        self.progress.tasks[self.task].total = total  # to `reset`, None means that the old one stays

    def end_phase(self) -> None:
        """Note how long the phase took, and say so where nothing moves on a screen."""
        if self.text:
            self.seconds_by_phase[self.text] = self.seconds_by_phase.get(self.text, 0.0) + self.seconds()
            if self.plain and not self.said and self.seconds() >= SHORT:
                self.say(f"{self.text}: {self.seconds():.1f} s")
        self.text = ""

    def advance(self, amount: int = 1, info: str | None = None) -> None:
        """Move on; `info` stays as it was unless a new one is given."""
        if info is None:
            self.progress.update(self.task, advance=amount)
        else:
            self.progress.update(self.task, advance=amount, info=info)

    def seconds(self) -> float:
        """Since the phase began."""
        return time.perf_counter() - self.started

    def say(self, text: str) -> None:
        self.said = True
        self.print(text)

    def print(self, text: str) -> None:
        self.last_line = time.perf_counter()
        self.progress.console.print(f"{self.title} {text}", highlight=False, markup=False, soft_wrap=True)

    def say_where_it_stands(self) -> None:
        task = self.progress.tasks[self.task]
        done = f", {task.completed:.0f} of {task.total:.0f}" if task.total else f", {task.completed:.0f} done"
        self.print(" ".join(f"{self.text}: {self.seconds():.0f} s so far{done} {task.fields['info']}".split()))

    def summary(self) -> str:
        """The phases by the time they took, those of one kind together."""
        kinds: dict[str, float] = {}
        for text, seconds in self.seconds_by_phase.items():
            kind = text.partition(",")[0].partition(" after")[0]
            kind = "training" if kind.startswith("epoch ") else kind
            kinds[kind] = kinds.get(kind, 0.0) + seconds
        parts = sorted(kinds.items(), key=lambda item: -item[1])
        whole = time.perf_counter() - self.begun
        return f"took {whole:.1f} s: " + ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in parts)


@contextmanager
def display(title: str) -> Iterator[Display]:
    """Show progress until the block ends."""
    console = Console(file=sys.stderr, quiet=distributed.expected_rank() > 0)  # one of several speaks for all
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[info]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        show = Display(progress, progress.add_task(title, info="", total=None), title)
        with heartbeat(show):
            yield show
        show.end_phase()


@contextmanager
def heartbeat(show: Display) -> Iterator[None]:
    """Where there is no terminal, say every few seconds where a phase stands."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(1.0):
            if show.text and time.perf_counter() - show.last_line >= HEARTBEAT:
                show.say_where_it_stands()

    thread = threading.Thread(target=beat, daemon=True)
    if show.plain:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if show.plain:
            thread.join()
