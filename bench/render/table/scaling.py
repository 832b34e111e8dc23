"""What a smaller size changes in each contestant, as a line of the legend: read off the built models."""

from collections.abc import Callable

from bench.record import Record
from bench.record.cost import Attention, Cost

Reading = Callable[[Cost], str]


def each_level(read: Callable[[Attention], int], only: str | None = None) -> Reading:
    """The different values of all attention layers, or of those of a kind, rising."""

    def reading(cost: Cost) -> str:
        found = sorted({read(layer) for layer in cost.attention if only in (None, layer.kind)})
        return "/".join(map(str, found)) or "–"

    return reading


def time_part(part: str) -> Reading:
    return lambda cost: "–" if cost.time_embedding is None else str(getattr(cost.time_embedding, part))


READINGS: dict[str, Reading] = {
    "image": lambda cost: f"{cost.image_size}×{cost.image_size}",
    "heads": each_level(lambda layer: layer.heads),
    "head width": each_level(lambda layer: layer.head_width),
    "attending pixels": each_level(lambda layer: layer.query_tokens),
    "context tokens": each_level(lambda layer: layer.context_tokens, "cross"),
    "time frequencies": time_part("frequencies"),
    "time width": time_part("width"),
}


def scaling_notes(records: list[Record]) -> list[str]:
    """A line for each contestant: every reading at this size, and at the published one in brackets."""
    found = {}
    for record in records:
        here, full = record.measurements.cost, record.measurements.full_cost
        if here is None or full is None or (here.scale, here.image_size) == (full.scale, full.image_size):
            continue
        parts = [f"{name} {read(here)} ({read(full)})" for name, read in READINGS.items()]
        found[record.run.contestant] = f"{record.run.contestant} at this size, and as published: {', '.join(parts)}."
    return list(found.values())
