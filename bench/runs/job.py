"""What a worker process is told, and what is recorded where it fails."""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.config import RunConfig
from bench.environment import environment
from bench.record import Environment, Measurements, Record
from bench.storage.folder import ResultsFolder, RunFolder
from bench.storage.records import write_unless_measured

EXIT_FAILURE_RECORDED = 4  # of a worker whose run failed, and whose record says why; 1 may come from anywhere


@dataclass(frozen=True)
class Job:
    """What a worker is told, as JSON in a file."""

    config: dict[str, Any]
    command: str
    commit: str | None
    out: str
    cache: str
    avatars: str
    classifier: str
    extractors: dict[str, str | None]  # names, with the path of their weights where the user has a file of them
    probe: dict[str, float]  # seconds per step by precision and layout
    machine_peak: dict[str, Any]  # measured once, so that all are held against the same
    checkpoint_seconds: float | None = None  # between two checkpoints; None: the default
    pictures: bool = True  # one seed of a contestant is enough for the larger ones
    report_to: list[str] = field(default_factory=list)  # accelerate's names of the trackers to tell of training
    training_code: str | None = None  # a digest, as the command began; older jobs have none

    @property
    def run(self) -> RunConfig:
        return RunConfig.from_dict(self.config)

    @property
    def folder(self) -> RunFolder:
        return ResultsFolder(Path(self.out)).run(self.run.name)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        return cls(**json.loads(text))


def failed_record(job: Job, why: str, measured: dict[str, Any] | None = None) -> Record:
    return Record(
        config=job.run,
        environment=Environment(**environment(job.run.device, job.commit)),
        command=job.command,
        status="failed",
        error=why,
        measurements=Measurements(**measured or {}),
    )


def note_failure(job: Job, why: str, measured: dict[str, Any] | None = None) -> None:
    """Say why a run failed, and give it its row."""
    print(f"{job.run.name} failed: {why}", file=sys.stderr)
    write_unless_measured(job.folder.record, failed_record(job, why, measured))
