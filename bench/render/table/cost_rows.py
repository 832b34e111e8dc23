"""The rows of cost: parameters, memory, arithmetic and speed."""

import statistics
from collections.abc import Callable

from bench.cost.terms import PARTS, floor_seconds
from bench.record import Record
from bench.render.anatomy import head_shapes
from bench.render.table.row import Row, at, decimals, mib, share

WHERE = (("cost", "here"), ("full_cost", "full scale"))


def median_epoch(record: Record) -> float | None:
    """Seconds of an epoch of training; one that warms up, first or after a resume, counts only if no other is there."""
    seconds = at("training", "seconds_per_epoch")(record)
    if not seconds:
        return None
    cold = {0, *(at("training", "resumed_at_epochs")(record) or [])}
    return statistics.median([s for epoch, s in enumerate(seconds) if epoch not in cold] or seconds)


def images_per_second(record: Record) -> float | None:
    seconds = median_epoch(record)
    return None if seconds is None else at("training", "images_per_epoch")(record) / seconds


def giga(read: Callable[[Record], float | None]) -> Callable[[Record], float | None]:
    """A reader of the same in units of 10^9."""

    def scaled(record: Record) -> float | None:
        value = read(record)
        return None if value is None else value / 1e9

    return scaled


def achieved(record: Record) -> float | None:
    """FLOP/s of training: arithmetic counted, over seconds measured."""
    flops, speed = at("cost", "flops_per_image", "training")(record), images_per_second(record)
    return None if flops is None or speed is None else flops * speed


def time_floor(record: Record) -> float | None:
    """Seconds that an image's training takes at least, were each kind of operation done at this machine's peak."""
    return floor_seconds(at("cost", "flops_per_image")(record) or {}, at("machine_peak")(record) or {})


def share_of_peak(record: Record) -> float | None:
    """The time floor over the seconds measured."""
    least, speed = time_floor(record), images_per_second(record)
    return None if least is None or speed is None else least * speed


def shapes(cost: str) -> Callable[[Record], str | None]:
    """Every shape of heads that occurs, with the tokens that it attends from and to."""

    def read(record: Record) -> str | None:
        found = [here for here in at(cost, "attention")(record) or [] if "head_width" in here]
        return "; ".join(head_shapes(found)) or None

    return read


def step_seconds(record: Record) -> float | None:
    seconds = at("step", "seconds", "total")(record)
    return statistics.median(seconds) if seconds else None


def step_spread(record: Record) -> str | None:
    """The middle half of the steps timed."""
    seconds = at("step", "seconds", "total")(record)
    return f"{quartiles(seconds)} ms" if seconds else None


def quartiles(seconds: list[float]) -> str:
    """The first and the third quartile, in milliseconds."""
    lower, _, upper = statistics.quantiles(seconds, n=4)
    return f"{1000 * lower:.1f} to {1000 * upper:.1f}"


def step_parts(record: Record) -> str | None:
    """Each part's median as a share of all parts', with its quartiles."""
    seconds = at("step", "seconds")(record)
    if not seconds:
        return None
    medians = {part: statistics.median(seconds[part]) for part in PARTS}
    whole = sum(medians.values())
    return "; ".join(
        f"{part} {share(median / whole)} ({quartiles(seconds[part])} ms)" for part, median in medians.items()
    )


HEADLINES = (("weights_bytes",), ("adam_bytes",))  # at full scale

MEMORY_ROWS = [
    *(
        Row(f"{part} parameters, {where}", at(cost, "parameters", key), "{:,}".format, meaning=meaning)
        for cost, where in WHERE
        for part, key, meaning in (
            ("all", "total", "trainable parameters, Tau included"),
            ("Unet", "unet", "without the conditioner"),
            ("Tau", "tau", "the conditioner's share"),
        )
    ),
    *(
        Row(f"{part}, {where}", at(cost, *path), mib, "lower", meaning, "bytes",
            headline=cost == "full_cost" and path in HEADLINES)
        for cost, where in WHERE
        for part, path, meaning in (
            ("weights", ("weights_bytes",), "bytes of the fp32 weights"),
            ("Adam", ("adam_bytes",), "bytes of the optimiser's two moments"),
            ("gradients", ("gradients_bytes",), "bytes of the gradients"),
            ("average", ("ema_bytes",), "bytes of the averaged weights"),
            ("activations", ("activations", "saved_bytes"), "bytes that autograd saves in a step, each storage once"),
            ("predicted peak", ("predicted_peak", "bytes"), "all tensors alive when most are, in a training step"),
        )
    ),
    Row("measured peak, here", at("peak_memory", "measured_bytes"), mib, "lower",
        "the same as the allocator saw it in a real step", "bytes", headline=True),
    Row("… error of the prediction", at("peak_memory", "prediction_error"), lambda error: f"{100 * error:+.1f} %", None,
        "predicted over measured peak, less one"),
]  # fmt: skip

SPEED_ROWS = [
    Row("forward GFLOP per image", giga(at("cost", "flops_per_image", "forward")), decimals(3), "lower",
        "arithmetic of one prediction, counted and not timed"),
    Row("training GFLOP per image", giga(at("cost", "flops_per_image", "training")), decimals(3), "lower",
        "the same with the backward pass, and with what attention's kernel computes again in it", headline=True),
    Row("forward GFLOP per image, full scale", giga(at("full_cost", "flops_per_image", "forward")), decimals(1),
        "lower", "arithmetic of one prediction, counted and not timed"),
    *(Row(f"heads × width, {where}", shapes(cost), meaning="of every attention, as it runs") for cost, where in WHERE),
    Row("images/s in training", images_per_second, decimals(1), "higher", "images of an epoch over its seconds",
        rests_on="time", headline=True),
    Row("achieved GFLOP/s in training", giga(achieved), decimals(1), "higher",
        "training GFLOP per image times images/s", rests_on="time"),
    Row("time floor per image", time_floor, lambda seconds: f"{1000 * seconds:,.3f} ms", "lower",
        "an image's training if every kind of operation ran at this machine's peak of that kind: its FLOP over the "
        "peak, summed over kinds", "seconds", rests_on="time"),
    Row("share of peak", share_of_peak, share, "higher", "the time floor over the time measured in training",
        rests_on="time"),
    Row("… peak of GEMM, GFLOP/s", giga(at("machine_peak", "gemm_flop_per_second")), decimals(0), None,
        "a large matrix product on this machine, measured in the same run; linear layers are held against it",
        rests_on="time"),
    Row("… of 3×3 convolution, GFLOP/s", giga(at("machine_peak", "convolution_flop_per_second")), decimals(0), None,
        "a large one in the faster memory layout; by Winograd's algorithm it takes fewer multiplications than are "
        "counted, and may beat the GEMM", rests_on="time"),
    Row("… of attention, GFLOP/s", giga(at("machine_peak", "attention_flop_per_second")), decimals(0), None,
        "a large scaled dot-product attention", rests_on="time"),
    Row("… of memory, GB/s", giga(at("machine_peak", "memory_bytes_per_second")), decimals(0), None,
        "a large copy, bytes read and written; it bounds norms and activations, which are not in the time floor",
        rests_on="time"),
    Row("seconds per training step", step_seconds, decimals(4), "lower",
        "median of steps timed one by one, the device waited for after each part", "seconds", rests_on="time"),
    Row("… middle half", step_spread, meaning="from the first to the third quartile of those steps", rests_on="time"),
    Row("… its parts", step_parts, meaning="medians of a step's parts as shares of their sum, and quartiles",
        rests_on="time"),
]  # fmt: skip
