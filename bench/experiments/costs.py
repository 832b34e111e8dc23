"""What an arm's model costs: as it is accounted, and as its runs were timed."""

from typing import Any

from bench.record import Record
from bench.render.table.comparability import machine_name
from bench.render.table.cost_rows import cost_here, flops, images_per_second


def costs_of(there: dict[int, Record]) -> dict[str, Any]:
    """Parameters, FLOP of training and bytes of a step's peak, and by seed the seconds of an image."""
    done = {seed: record for seed, record in sorted(there.items()) if record.status == "done"}
    first = next(iter(done.values()), None)
    cost = None if first is None else cost_here(first)
    trained = {
        seed: r for seed, r in done.items() if not (r.measurements.training and r.measurements.training.taken_from)
    }
    speeds = {str(seed): images_per_second(record) for seed, record in trained.items()}
    return {
        "parameters": cost and cost.parameters.total,
        "flop_per_image": None if first is None else flops(cost_here, lambda found: found.training)(first),
        "peak_bytes": cost and cost.predicted_peak and cost.predicted_peak.bytes,
        "machines": {str(seed): machine_name(record) for seed, record in done.items()},
        "seconds_per_image": {seed: 1 / speed for seed, speed in speeds.items() if speed},
    }
