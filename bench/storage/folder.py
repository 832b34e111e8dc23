"""Where everything lies in a results folder: the one owner of its paths.

OUT/records/RUN.json      what was measured: committed
OUT/images/RUN/*.png      its pictures; the plots of all runs lie above them
OUT/weights/RUN.safetensors  its weights, if they are small
OUT/table.md, quality.md, report.html
OUT/experiment.json, experiment.md  the answer of an experiment, if the runs are of one
OUT/times/                results of short runs on a quiet machine, if the runs of OUT shared theirs
OUT/.work/RUN/            what a run resumes from: ignored by git
OUT/.work/lock, probe.json, logs/
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WORK = ".work"


@dataclass(frozen=True)
class ResultsFolder:
    """A folder of results, whether it is there or not."""

    path: Path

    @property
    def records(self) -> Path:
        return self.path / "records"

    @property
    def images(self) -> Path:
        return self.path / "images"

    def committed_weights(self, run: str = "*") -> list[Path]:
        """Finished models that are small enough for a repository, by name."""
        return sorted((self.path / "weights").glob(f"{run}.safetensors"))

    @property
    def table(self) -> Path:
        return self.path / "table.md"

    @property
    def quality(self) -> Path:
        return self.path / "quality.md"

    @property
    def experiment(self) -> Path:
        """What an experiment has answered so far, as JSON."""
        return self.path / "experiment.json"

    @property
    def answer(self) -> Path:
        """The same as a page."""
        return self.path / "experiment.md"

    @property
    def samplers(self) -> Path:
        return self.path / "samplers.json"

    @property
    def times(self) -> "ResultsFolder":
        """Of short runs on a quiet machine, from which the times are read."""
        return ResultsFolder(self.path / "times")

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def work(self) -> Path:
        return self.path / WORK

    @property
    def lock(self) -> Path:
        return self.work / "lock"

    @property
    def probe(self) -> Path:
        return self.work / "probe.json"

    @property
    def replaced(self) -> Path:
        """Records that were to be measured afresh, as they were before."""
        return self.work / "replaced"

    @property
    def logs(self) -> Path:
        """Where trackers keep their files, a folder for each run."""
        return self.work / "logs"

    def record(self, run: str) -> Path:
        return self.records / f"{run}.json"

    def record_files(self, run: str = "*") -> list[Path]:
        """The records that are there, by name."""
        return sorted(self.records.glob(f"{run}.json"))

    def run(self, name: str) -> "RunFolder":
        return RunFolder(self.path, name)

    def begun_runs(self, name: str = "*") -> Iterator["RunFolder"]:
        """The runs that have begun here; of seeds 2 and 10, 2 comes first."""
        return (run for run in self.run_folders(name) if run.config.exists())

    def run_folders(self, name: str = "*") -> Iterator["RunFolder"]:
        """The folders of runs, whatever is in them."""
        found = [path.name for path in self.work.glob(name) if path.is_dir() and path not in (self.logs, self.replaced)]
        return (self.run(each) for each in sorted(found, key=lambda each: (len(each), each)))


@dataclass(frozen=True)
class RunFolder:
    """Where one run of a results folder keeps what it resumes from, and its pictures."""

    out: Path
    name: str

    @property
    def path(self) -> Path:
        return self.out / WORK / self.name

    @property
    def config(self) -> Path:
        """What the run began with."""
        return self.path / "config.json"

    @property
    def job(self) -> Path:
        """What its worker was told."""
        return self.path / "job.json"

    def job_of(self, machine: int) -> Path:
        """What the workers of another machine were told."""
        return self.path / f"job-{machine}.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def trunk(self) -> Path:
        """Checkpoints to come back to, from where the learning rate began to fall for one budget."""
        return self.path / "trunk"

    def weights(self, steps: int) -> Path:
        """The weights that are scored of the model that was finished after so many steps."""
        return self.path / "weights" / f"step-{steps:07d}.safetensors"

    def finished_weights(self) -> list[Path]:
        """Those that are there, by their steps."""
        return sorted((self.path / "weights").glob("step-*.safetensors"))

    @property
    def committed_weights(self) -> Path:
        return self.out / "weights" / f"{self.name}.safetensors"

    @property
    def samples(self) -> Path:
        """Where the samples wait that are to be scored."""
        return self.path / "samples"

    @property
    def test(self) -> Path:
        """The test conditions, with the schema as their metadata."""
        return self.path / "test.safetensors"

    @property
    def finished(self) -> Path:
        """A copy of the record, which says that the run is done."""
        return self.path / "finished.json"

    @property
    def taken_from(self) -> Path:
        """The name of the run whose trained model it took, if it did."""
        return self.path / "taken-from.txt"

    @property
    def record(self) -> Path:
        return ResultsFolder(self.out).record(self.name)

    def image(self, name: str, kind: str = "png") -> str:
        """A picture's path below the results folder."""
        return f"images/{self.name}/{name}.{kind}"
