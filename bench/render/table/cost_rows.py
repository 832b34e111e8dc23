"""The rows of cost: parameters, memory, arithmetic and speed."""

import statistics
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from bench.cost.terms import PARTS, floor_seconds, head_shapes
from bench.record import CurvePoint, Record
from bench.record.cost import Cost, Flops, MachinePeak, PeakMemory
from bench.render.table.row import Row, Section, decimals, mib, share, within

Reader = Callable[[Record], float | None]


def cost_here(record: Record) -> Cost | None:
    return record.measurements.cost


def full_scale(record: Record) -> Cost | None:
    return record.measurements.full_cost


def measured(record: Record) -> PeakMemory | None:
    return record.measurements.peak_memory


class Size(NamedTuple):
    """One of the two sizes that are accounted for."""

    key: str
    label: str
    cost: Callable[[Record], Cost | None]


HERE, FULL = Size("here", "here", cost_here), Size("full_scale", "full scale", full_scale)


def flops(cost: Callable[[Record], Cost | None], read: Callable[[Flops], float]) -> Reader:
    """A reader of FLOP per image."""
    return within(within(cost, lambda found: found.flops_per_image), read)


def peak(read: Callable[[MachinePeak], float | None]) -> Reader:
    """A reader of what the machine can do, in units of 10^9."""
    return giga(within(lambda record: record.measurements.machine_peak, read))


def median_epoch(record: Record) -> float | None:
    """Seconds of an epoch of training; one that warms up, first or after a resume, counts only if no other is there."""
    training = record.measurements.training
    if training is None or not training.seconds_per_epoch:
        return None
    cold, seconds = {0, *training.resumed_at_epochs}, training.seconds_per_epoch
    return statistics.median([s for epoch, s in enumerate(seconds) if epoch not in cold] or seconds)


def images_per_second(record: Record) -> float | None:
    training, seconds = record.measurements.training, median_epoch(record)
    return None if training is None or seconds is None else training.images_per_epoch / seconds


def training_seconds(record: Record, point: CurvePoint) -> float | None:
    """How long the training to a point took; by the speed of quiet runs, where times are read from these."""
    quiet = record.timed[0]
    if quiet is record:
        return point.seconds
    speed = images_per_second(quiet)
    return None if speed is None else point.images / speed


def giga(read: Reader) -> Reader:
    """A reader of the same in units of 10^9."""
    return within(read, lambda value: value / 1e9)


def achieved(record: Record) -> float | None:
    """FLOP/s of training: arithmetic counted, over seconds measured."""
    work, speed = flops(cost_here, lambda f: f.training)(record), images_per_second(record)
    return None if work is None or speed is None else work * speed


def time_floor(record: Record) -> float | None:
    """Seconds that an image's training takes at least, were each kind of operation done at this machine's peak."""
    cost, peaks = record.measurements.cost, record.measurements.machine_peak
    if cost is None or cost.flops_per_image is None or peaks is None:
        return None
    return floor_seconds(cost.flops_per_image.model_dump(), peaks.model_dump())


def share_of_peak(record: Record) -> float | None:
    """The time floor over the seconds measured."""
    least, speed = time_floor(record), images_per_second(record)
    return None if least is None or speed is None else least * speed


def shapes(cost: Cost) -> str | None:
    """Every shape of heads that occurs, with the tokens that it attends from and to."""
    return "; ".join(head_shapes([each.model_dump() for each in cost.attention])) or None


def step_seconds(record: Record) -> float | None:
    step = record.measurements.step
    return None if step is None else statistics.median(step.seconds["total"])


def step_spread(record: Record) -> str | None:
    """The middle half of the steps timed."""
    step = record.measurements.step
    return None if step is None else f"{quartiles(step.seconds['total'])} ms"


def quartiles(seconds: list[float]) -> str:
    """The first and the third quartile, in milliseconds."""
    lower, _, upper = statistics.quantiles(seconds, n=4)
    return f"{1000 * lower:.1f} to {1000 * upper:.1f}"


def step_parts(record: Record) -> str | None:
    """Each part's median as a share of all parts', with its quartiles."""
    step = record.measurements.step
    if step is None:
        return None
    medians = {part: statistics.median(step.seconds[part]) for part in PARTS}
    whole = sum(medians.values())
    return "; ".join(
        f"{part} {share(median / whole)} ({quartiles(step.seconds[part])} ms)" for part, median in medians.items()
    )


memory, speed = partial(Row, Section.MEMORY), partial(Row, Section.SPEED)


def parameter_rows(size: Size) -> list[Row]:
    """The rows of parameters at one size."""
    return [
        memory(f"{key}_{size.key}", f"{part} parameters, {size.label}", within(size.cost, read), "{:,}".format,
               meaning=meaning)
        for key, part, read, meaning in PARAMETERS
    ]  # fmt: skip


PARAMETERS: list[tuple[str, str, Callable[[Cost], int | None], str]] = [
    ("parameters", "all", lambda cost: cost.parameters.total, "trainable parameters, Tau included"),
    ("unet_parameters", "Unet", lambda cost: cost.parameters.unet, "without the conditioner"),
    ("tau_parameters", "Tau", lambda cost: cost.parameters.tau, "the conditioner's share"),
]


def memory_rows(size: Size, headlines: tuple[str, ...] = ()) -> list[Row]:
    """The rows of bytes at one size."""
    return [
        memory(f"{key}_{size.key}", f"{part}, {size.label}", within(size.cost, read), mib, "lower", meaning, "bytes",
               headline=key in headlines)
        for key, part, read, meaning in MEMORY
    ]  # fmt: skip


def saved(cost: Cost) -> int | None:
    return None if cost.activations is None else cost.activations.saved_bytes


def predicted(cost: Cost) -> int | None:
    return None if cost.predicted_peak is None else cost.predicted_peak.bytes


MEMORY: list[tuple[str, str, Callable[[Cost], int | None], str]] = [
    ("weights", "weights", lambda cost: cost.weights_bytes, "bytes of the fp32 weights"),
    ("adam", "Adam", lambda cost: cost.adam_bytes, "bytes of the optimiser's two moments"),
    ("gradients", "gradients", lambda cost: cost.gradients_bytes, "bytes of the gradients"),
    ("average", "average", lambda cost: cost.ema_bytes, "bytes of the averaged weights"),
    ("activations", "activations", saved,
     "bytes that autograd saves in a step, each storage once"),
    ("predicted_peak", "predicted peak", predicted,
     "peak live tensor memory in a training step"),
]  # fmt: skip

MEMORY_ROWS = [
    *parameter_rows(HERE),
    *parameter_rows(FULL),
    *memory_rows(HERE),
    *memory_rows(FULL, headlines=("weights", "adam")),
    memory("measured_peak", "measured peak, here", within(measured, lambda peak: peak.measured_bytes), mib, "lower",
           "the same as the allocator saw it in a real step", "bytes", headline=True),
    memory("prediction_error", "… error of the prediction", within(measured, lambda peak: peak.prediction_error),
           lambda error: f"{100 * error:+.1f} %", None, "predicted over measured peak, less one"),
]  # fmt: skip

SPEED_ROWS = [
    speed("forward_gflop", "forward GFLOP per image", giga(flops(cost_here, lambda f: f.forward)), decimals(3), "lower",
          "arithmetic of one prediction, counted and not timed"),
    speed("training_gflop", "training GFLOP per image", giga(flops(cost_here, lambda f: f.training)), decimals(3),
          "lower",
          "the same with the backward pass, and with what attention's kernel computes again in it", headline=True),
    speed("forward_gflop_full_scale", "forward GFLOP per image, full scale",
          giga(flops(full_scale, lambda f: f.forward)), decimals(1), "lower",
          "arithmetic of one prediction, counted and not timed"),
    *(speed(f"head_shapes_{size.key}", f"heads × width, {size.label}", within(size.cost, shapes),
            meaning="of every attention, as it runs") for size in (HERE, FULL)),
    speed("images_per_second", "images/s in training", images_per_second, decimals(1), "higher",
          "images of an epoch over its seconds", rests_on="time", headline=True),
    speed("achieved_gflop_per_second", "achieved GFLOP/s in training", giga(achieved), decimals(1), "higher",
          "training GFLOP per image times images/s", rests_on="time"),
    speed("time_floor", "time floor per image", time_floor, lambda seconds: f"{1000 * seconds:,.3f} ms", "lower",
          "an image's training if every kind of operation ran at this machine's peak of that kind: its FLOP over the "
          "peak, summed over kinds", "seconds", rests_on="time"),
    speed("share_of_peak", "share of peak", share_of_peak, share, "higher",
          "the time floor over the time measured in training", rests_on="time"),
    speed("gemm_peak", "… peak of GEMM, GFLOP/s", peak(lambda p: p.gemm_flop_per_second), decimals(0), None,
          "a large matrix product on this machine, measured in the same run; linear layers are held against it",
          rests_on="time"),
    speed("convolution_peak", "… of 3×3 convolution, GFLOP/s", peak(lambda p: p.convolution_flop_per_second),
          decimals(0), None, "a large one in the faster memory layout; by Winograd's algorithm it takes fewer "
          "multiplications than are counted, and may beat the GEMM", rests_on="time"),
    speed("attention_peak", "… of attention, GFLOP/s", peak(lambda p: p.attention_flop_per_second), decimals(0), None,
          "a large scaled dot-product attention", rests_on="time"),
    speed("memory_peak", "… of memory, GB/s", peak(lambda p: p.memory_bytes_per_second), decimals(0), None,
          "a large copy, bytes read and written; it bounds norms and activations, which are not in the time floor",
          rests_on="time"),
    speed("step_seconds", "seconds per training step", step_seconds, decimals(4), "lower",
          "median of steps timed one by one, the device waited for after each part", "seconds", rests_on="time"),
    speed("step_spread", "… middle half", step_spread,
          meaning="from the first to the third quartile of those steps", rests_on="time"),
    speed("step_parts", "… its parts", step_parts,
          meaning="medians of a step's parts as shares of their sum, and quartiles", rests_on="time"),
]  # fmt: skip
