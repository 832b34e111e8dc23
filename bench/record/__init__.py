"""The record of a run: its configuration, its environment and what was measured, raw and unrounded.

Every field is declared here or beside, and `bench table --schema` prints them all. What is None or empty by default was
not measured: not in this run, or not yet when an older record was made.
"""

import json
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from bench.config import Count, Number, RunConfig
from bench.record.cost import Cost, MachinePeak, OutOfMemory, PeakMemory, Sampling, Step, Training
from bench.record.part import Part
from bench.record.quality import (
    Artefacts,
    Attributes,
    CurvePoint,
    Distance,
    Exact,
    GuidancePoint,
    Judge,
    Memorisation,
    Paired,
    References,
    Samplers,
)

SCHEMA_VERSION: Literal[2] = 2

Scale = Annotated[str, Field(pattern=r"^\d{1,4}(\.\d{1,4})?$")]  # of guidance, as it is written


class Environment(Part):
    """What a run was measured on: no host name and no path."""

    python: str
    versions: dict[str, str]  # of packages
    device: str
    instruction_set: str | None = None
    load_average: Number | None = None  # of other work, per core, when the run began
    threads: Count
    system: str
    commit: str | None = None
    training_code: str | None = None  # a digest
    scoring_code: str | None = None  # of what scored the samples


class Attribute(Part):
    name: str
    variants: list[str]
    hidden: str | None = None  # the variant that stands for what cannot be seen


class Data(Part):
    """The data set; empty where a run failed."""

    images: Count | None = None
    held_out: Count | None = None  # never trained on: of validation and of test
    validation: Count | None = None
    test: Count | None = None
    leaked: Count | None = None  # held-out images that are also in training
    skipped: Count | None = None
    attributes: list[Attribute] = Field(default=[], alias="schema")


class Measurements(Part):
    """Everything measured."""

    # Of cost.
    blocks: str | None = None  # what the UNet is made of
    cost: Cost | None = None  # as it was run
    full_cost: Cost | None = None  # at the published size; None for a model that has no such size
    step: Step | None = None
    peak_memory: PeakMemory | None = None
    machine_peak: MachinePeak | None = None
    probe_seconds_per_step: dict[str, Number] = {}  # by precision and memory layout
    training: Training | None = None
    sampling: Sampling | None = None
    out_of_memory: OutOfMemory | None = None  # why it failed

    # Of quality.
    distance: dict[str, Distance] = {}  # by extractor
    memorisation: dict[str, Memorisation] = {}  # by extractor
    judge: Judge | None = None
    attributes: Attributes | None = None
    artefacts: Artefacts | None = None
    primary: str | None = None  # the measure that was declared to count most, before anything was measured
    paired: Paired | None = None
    exact: Exact | None = None
    references: References | None = None  # the same of known images
    guidance: list[GuidancePoint] = []
    sampler: Samplers | None = None
    curve: list[CurvePoint] = []
    ignores_condition: bool | None = None


class Images(Part):
    """Paths of pictures below the results folder."""

    epochs: list[str] = []  # of samples after each
    samples: str | None = None
    example: str | None = None
    guidance: dict[Scale, str] = {}
    guidance_sweep: str | None = None
    denoising: str | None = None
    noising: str | None = None
    confusions: str | None = None


class Record(Part):
    """One contestant with one seed. Numbers have their unit in the name."""

    schema_version: Literal[2] = SCHEMA_VERSION
    run: RunConfig = Field(alias="config")
    environment: Environment
    command: str
    status: Literal["done", "failed"]
    error: str | None = None  # why it failed, in a few words
    data: Data = Data()
    measurements: Measurements = Measurements()
    images: Images = Images()
    _quiet: tuple["Record", ...] = PrivateAttr(default=())

    @property
    def timed(self) -> tuple["Record", ...]:
        """The records that its times are read from: of runs of their own on a quiet machine, or it itself."""
        return self._quiet or (self,)

    def timed_by(self, quiet: Iterable["Record"]) -> "Record":
        """The same, with its times from these."""
        copy = self.model_copy()
        copy._quiet = tuple(quiet)
        return copy

    def to_dict(self) -> dict:
        return self.model_dump(mode="json", by_alias=True)  # as it is read again: lists, no tuples

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1, sort_keys=True, allow_nan=False) + "\n"
