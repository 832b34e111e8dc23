"""What a record says of cost: accounted, measured on the machine, and spent in training and sampling."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from bench.config import Count, Number
from bench.record.part import Part, Positive

StepPart = Literal["data", "forward", "backward", "optimiser", "ema", "else"]


class Parameters(Part):
    total: Count
    unet: Count | None
    tau: Count | None


class Activations(Part):
    hook_sum_bytes: Count  # put out by all modules
    saved_bytes: Count  # by autograd, each storage once


class PredictedPeak(Part):
    bytes: Count  # the sum of the others
    kept_bytes: Count
    gradients_bytes: Count
    saved_bytes: Count
    batch_bytes: Count
    transient_bytes: Count
    operation: str  # that was then being done


class Flops(Part):
    """FLOP of a prediction and of training, counted."""

    forward: Number
    forward_conv: Number
    forward_linear: Number
    forward_attention: Number
    training: Number
    training_conv: Number
    training_linear: Number
    training_attention: Number


class Level(Part):
    parameters: Count
    saved_bytes: Count


class Attention(Part):
    where: str  # the module
    query_tokens: Count
    context_tokens: Count
    heads: Count
    head_width: Count
    kind: Literal["self", "cross"]


class TimeEmbedding(Part):
    """Of the timestep: how many sines and cosines, and the width of what is made of them."""

    frequencies: Count
    width: Count


class Cost(Part):
    """What a training step costs, accounted and not measured."""

    condition_width: Count
    image_size: Count
    scale: Number
    batch_size: Count
    mixed_precision: str
    memory_format: str
    device: str
    gradient_checkpointing: bool
    averaged: bool
    parameters: Parameters
    weights_bytes: Count
    adam_bytes: Count
    gradients_bytes: Count
    ema_bytes: Count
    attention: list[Attention]
    time_embedding: TimeEmbedding | None = None  # None: none was found by its name
    untraced: str | None  # why the step could not be followed: then the rest is None
    activations: Activations | None
    predicted_peak: PredictedPeak | None
    flops_per_image: Flops | None
    traffic_bytes_per_step: Count | None
    levels: dict[str, Level] | None  # by resolution


class MachinePeak(Part):
    """The fastest that this machine was seen to compute, by kind of operation."""

    precision: str
    gemm_flop_per_second: Positive
    convolution_flop_per_second: Positive  # in the faster memory layout
    convolution_channels_last_flop_per_second: Positive | None = None
    convolution_contiguous_flop_per_second: Positive | None = None
    attention_flop_per_second: Positive | None = None
    memory_bytes_per_second: Positive | None = None


class Step(Part):
    """Seconds of some training steps, in all and by part."""

    warm_up_steps: Count  # not among them
    seconds: dict[Literal["total", StepPart], Annotated[list[Positive], Field(min_length=2)]]

    @model_validator(mode="after")
    def has_every_part(self) -> Self:
        if lost := {"total", *get_args(StepPart)} - self.seconds.keys():
            raise ValueError(f"seconds lack {', '.join(sorted(lost))}")
        return self


class PeakMemory(Part):
    predicted_bytes: Count | None
    measured_bytes: Count | None  # None: the device keeps no count
    prediction_error: Number | None  # predicted over measured, less 1


class Start(Part):
    """Where training began, or was resumed."""

    step: Count
    commit: str | None
    device: str
    instruction_set: str | None = None
    threads: Count
    torch: str
    diffusers: str
    accelerate: str


class ValidationLosses(Part):
    """By timestep."""

    raw: list[Number]
    averaged: list[Number] | None = None


class Point(Part):
    """A model that was finished: its learning rate had fallen to zero."""

    steps: Count
    images: Count
    seconds: Positive  # of training alone
    validation: ValidationLosses


class Training(Part):
    epochs_done: Count
    steps_done: Count
    images_per_epoch: Count
    seconds_per_epoch: list[Positive]
    loss_per_epoch: list[Number]
    validation: list[ValidationLosses]  # after each epoch
    validation_timesteps: list[Count]
    resumed_at_epochs: list[Count]
    starts: list[Start] = []
    commits: list[str] = []  # older records: in place of `starts`
    not_bit_identical: list[str] = []
    warm_up_epochs: Count
    checkpoints: Count | None = None
    checkpoint_seconds: Number | None = None
    checkpoint_share: Number | None = None
    busy_share: Number | None = None  # of the time, in which others wanted the cores
    points: list[Point] = []  # at every budget, by their steps
    main_steps: Count | None = None  # of the point that is scored in full
    taken_from: str | None = None  # the run that was trained, if this one took its models and only samples otherwise

    @model_validator(mode="after")
    def has_a_loss_for_every_timestep(self) -> Self:
        for losses in self.validation:
            for each in (losses.raw, losses.averaged):
                if each is not None and len(each) != len(self.validation_timesteps):
                    raise ValueError(f"validation has {len(each)} losses, not {len(self.validation_timesteps)}")
        return self


class Sampling(Part):
    seconds: Number
    images: Annotated[Count, Field(gt=0)]
    repeated: Count | None = None


class OutOfMemory(Part):
    peak_bytes: Count
    largest_batch_that_fits: Count | None  # None: not found out
