"""Live progress on stderr; where that is no terminal, a plain line an epoch."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bench import processes


class Display:
    """One line of progress that turns from phase to phase."""

    def __init__(self, progress: Progress, task: TaskID, title: str) -> None:
        self.progress, self.task, self.title = progress, task, title
        self.started = time.perf_counter()

    def phase(self, text: str, total: int) -> None:
        """Begin something that takes `total` advances."""
        self.started = time.perf_counter()
        self.progress.reset(self.task, total=total, description=f"{self.title} {text}", info="")

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
        self.progress.console.print(f"{self.title} {text}", highlight=False, markup=False)


@contextmanager
def display(title: str) -> Iterator[Display]:
    """Show progress until the block ends."""
    console = Console(file=sys.stderr, quiet=processes.expected_rank() > 0)  # one of several speaks for all
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[info]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Display(progress, progress.add_task(title, info=""), title)
