"""The document of `bench ladder`, as a Markdown table."""

from typing import Any

from bench.render.markdown import markdown

MIB = 2**20


def ladder_lines(document: dict[str, Any]) -> list[str]:
    """A row for each rung: images/s of every contestant, how many times its first rung that is, and its peak memory."""
    contestants = document["contestants"]
    rungs = list(next(iter(contestants.values()), {}))
    side = document["image_size"]
    about = (
        f"Images/s of training at {side}×{side}, scale {document['scale']:g}, batch {document['batch_size']}, on "
        f"{document['device']}, torch {document['torch']}; in brackets, how many times the first row's, and peak "
        "memory. The first steps, with what compiling takes, are not timed."
    )
    rows = [[rung, *(cell(found, rung) for found in contestants.values())] for rung in rungs]
    return [about, "", *markdown(["setting", *contestants], rows).splitlines()]


def cell(found: dict[str, dict[str, Any]], rung: str) -> str:
    here, first = found[rung], next(iter(found.values()))
    if "why" in here:
        return here["why"]
    speed, peak = here["images_per_second"], here["peak_bytes"]
    notes = [] if "why" in first else [f"× {speed / first['images_per_second']:.2f}"]
    notes += [] if peak is None else [f"{peak / MIB:,.0f} MiB"]
    return f"{speed:,.1f} ({'; '.join(notes)})" if notes else f"{speed:,.1f}"
