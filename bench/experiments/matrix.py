"""The runs of an experiment: those that are missing are done, one after another, and the answer so far is drawn."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.config import recipe_for
from bench.errors import BadContestant, BadInput, NoRoom
from bench.experiments.effects import document_of, measures_of
from bench.experiments.experiment import Cell, Experiment
from bench.record import Images, Record
from bench.render.experiment import read_answer, write_experiment
from bench.render.report.embedded import NotDrawn, locate
from bench.render.results import write_results
from bench.runs.only_missing import refuse_other, refuse_unscored
from bench.runs.request import RunRequest, preflight
from bench.runs.runner import forget, run
from bench.storage import durable
from bench.storage.folder import ResultsFolder
from bench.storage.lock import lock
from bench.storage.records import read_record, read_records

Runner = Callable[[RunRequest], list[str]]


@dataclass(frozen=True)
class Matrix:
    """An experiment, and how its runs are to be done: `request` says all but what the experiment does."""

    experiment: Experiment
    request: RunRequest

    def request_of(self, cell: Cell) -> RunRequest:
        """What `bench run` is asked for one cell."""
        arm = self.experiment.arms[cell.arm]
        return replace(
            self.request,
            preset=self.experiment.preset,
            sizes=self.experiment.sizes_of(arm),
            contestants=[arm.contestant_name],
            recipe=arm.recipe_name,
            seeds=[cell.seed],
            learning_rates={},
        )

    def is_done(self, cell: Cell) -> bool:
        """Whether a cell's record stands; BadInput for one that other code or another configuration has made."""
        return not self.request.fresh and self.record_in(self.request.out, cell) is not None

    def record_in(self, folder: Path, cell: Cell) -> Record | None:
        """The record of a cell that lies in a results folder and is done; refused as by `is_done`."""
        path = ResultsFolder(folder).record(self.experiment.run_name(cell))
        if not path.exists() or (record := read_record(path)).status != "done":
            return None
        asked = self.request_of(cell)
        recipe = asked.sizes.applied_to(recipe_for(asked.recipe, asked.contestants[0]))
        draft = replace(
            record.run, contestant=asked.contestants[0], seed=cell.seed, recipe=recipe, sizes=asked.sizes,
            preset=asked.preset, data=asked.data, processes=asked.processes,
        )  # fmt: skip
        refuse_other(draft, record, asked.mixed_precision, "--fresh")
        refuse_unscored(asked, record, "--fresh")
        return record

    def missing(self, shard: tuple[int, int] = (1, 1)) -> list[Cell]:
        """The cells that are to be done, of the share that this machine takes: number `i` of `n`."""
        return [cell for cell in self.share(shard) if not self.is_done(cell)]

    def share(self, shard: tuple[int, int]) -> list[Cell]:
        """The runs of whole seeds, so that what is compared ran on one machine; or single runs for more machines."""
        cells, seeds, (number, shares) = self.experiment.cells, self.experiment.seeds, shard
        whole = len(cells) // len(seeds) if shares <= len(seeds) else 1
        first, end = (whole * ((each * len(cells) // whole) // shares) for each in (number - 1, number))
        return cells[first:end]

    def with_precision(self) -> "Matrix":
        """The same, in the precision of the runs that are there, if none was asked for: all arms have one."""
        folder = ResultsFolder(self.request.out)
        done = (record for path in folder.record_files() if (record := read_record(path)).status == "done")
        known = self.request.mixed_precision or next((record.run.mixed_precision for record in done), None)
        return Matrix(self.experiment, replace(self.request, mixed_precision=known))

    def begun_anew(self, shard: tuple[int, int]) -> "Matrix":
        """Without what was asked to be done afresh; its records are kept beside what runs resume from."""
        if not self.request.fresh:
            return self
        folder = ResultsFolder(self.request.out)
        for cell in self.share(shard):
            forget(self.request_of(cell))
            name = self.experiment.run_name(cell)
            when = f"begun anew at {time.time()}\n"  # so that nodes of a cluster begin anew, too
            durable.write_text(folder.replaced / f"{name}.txt", when)
            if (path := folder.record(name)).exists():
                durable.write_bytes(folder.replaced / f"{name}.{time.time_ns()}.json", path.read_bytes())
                path.unlink()
        return Matrix(self.experiment, replace(self.request, fresh=False))


Engine = Callable[[Matrix, list[Cell]], Iterator[dict[Cell, str]]]  # does cells; after each, why it is lost, if it is


def check(matrix: Matrix) -> None:
    """BadInput with all that can be refused before anything is run, for all arms."""
    measures_of(matrix.experiment)
    for name in matrix.experiment.arms:
        try:
            preflight(matrix.request_of(Cell(name, matrix.experiment.seeds[0])))
        except BadInput as error:
            raise BadInput(f"arm '{name}' of experiment '{matrix.experiment.name}': {error}") from error


def one_after_another(matrix: Matrix, cells: list[Cell], runner: Runner = run) -> Iterator[dict[Cell, str]]:
    """Do cells in this process; after each, why it could not begin, if it could not."""
    for number, cell in enumerate(cells, 1):
        matrix = matrix.with_precision()
        print(f"{matrix.experiment.name}: run {number} of {len(cells)}: {cell.arm}, seed {cell.seed}", file=sys.stderr)
        yield run_cell(matrix, cell, runner)


def run_matrix(
    matrix: Matrix, shard: tuple[int, int] = (1, 1), reused: Path | None = None, engine: Engine = one_after_another
) -> list[str]:
    """Do what is missing; the names of the runs that are not done. Whatever stops one cell, the others go on."""
    check(matrix)
    with lock(matrix.request.out):  # refused at once if another process works here; each run takes it for itself
        matrix = matrix.begun_anew(shard)
        reuse(matrix, reused)
    cells, lost = matrix.missing(shard), dict[Cell, str]()
    for found in engine(matrix, cells):
        lost |= found
        write_answer(matrix.experiment, matrix.request.out, lost)
    if not cells:
        write_answer(matrix.experiment, matrix.request.out)
    return [f"{cell.arm}, seed {cell.seed}" for cell in matrix.missing(shard)]


def reuse(matrix: Matrix, folder: Path | None) -> None:
    """Take the records of another folder that are of the very runs that are missing; of their pictures, the samples."""
    if folder is None:
        return
    if not ResultsFolder(folder).record_files():
        raise BadInput(f"--reuse '{folder}' has no records: name a results folder")
    for cell in matrix.missing():
        if (record := same_run(matrix, folder, cell)) is not None:
            here = ResultsFolder(matrix.request.out).record(record.run.name)
            images = taken_samples(record.images.samples, folder, matrix.request.out)
            durable.write_text(here, record.model_copy(update={"images": images}).to_json())
            print(f"{cell.arm}, seed {cell.seed}: its record is taken from '{folder.name}'", file=sys.stderr)


def taken_samples(path: str | None, folder: Path, out: Path) -> Images:
    """The picture of a run's samples, copied from one results folder to another if it is there."""
    try:
        found = locate(folder.resolve(), path)
    except NotDrawn:
        return Images()
    durable.write_bytes(out / str(path), found.read_bytes())
    return Images(samples=path)


def same_run(matrix: Matrix, folder: Path, cell: Cell) -> Record | None:
    """The record of a cell's run in another folder; None where it is of another configuration or other code."""
    try:
        return matrix.record_in(folder, cell)
    except BadInput:
        return None


def run_cell(matrix: Matrix, cell: Cell, runner: Runner) -> dict[Cell, str]:
    """Run one cell; why it could not begin, if it could not: a run that began has its own row."""
    try:
        runner(matrix.request_of(cell))
    except (NoRoom, BadContestant) as error:  # of this arm; what is wrong with all of them ends the command
        print(f"{cell.arm}, seed {cell.seed}: {error}", file=sys.stderr)
        return {cell: str(error)}
    return {}


def estimated_before(folder: ResultsFolder) -> dict[str, dict[str, Any]]:
    """The time of each arm that an earlier answer has estimated."""
    try:
        arms = read_answer(folder.experiment)["arms"]
    except (OSError, ValueError):
        return {}
    return {arm["name"]: arm["time"] for arm in arms if "time" in arm and not arm["time"]["measured"]}


def write_answer(
    experiment: Experiment,
    out: Path,
    lost: dict[Cell, str] | None = None,
    estimated: dict[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The document of what is there, after it is written with its page, and with the table of all runs."""
    folder = ResultsFolder(out)
    records = read_records(out) if folder.record_files() else []
    document = document_of(experiment, records, lost or {}, estimated or estimated_before(folder))
    write_experiment(folder, document)
    if records:
        write_results(out, records)
    return document
