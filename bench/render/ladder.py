"""The document of `bench ladder`, as a Markdown table."""

from typing import Any


def ladder_lines(document: dict[str, Any]) -> list[str]:
    """A row for each rung: images/s of every contestant, and how many times its first rung that is."""
    contestants = document["contestants"]
    rungs = list(next(iter(contestants.values()), {}))
    side = document["image_size"]
    return [
        f"Images/s of training at {side}×{side}, scale {document['scale']:g}, batch {document['batch_size']}, on "
        f"{document['device']}, torch {document['torch']}:",
        "",
        f"| setting | {' | '.join(contestants)} |",
        f"| :--- |{' ---: |' * len(contestants)}",
        *(f"| {rung} | {' | '.join(cell(found, rung) for found in contestants.values())} |" for rung in rungs),
    ]


def cell(found: dict[str, dict[str, Any]], rung: str) -> str:
    here, first = found[rung], next(iter(found.values()))
    if "why" in here:
        return here["why"]
    speed = here["images_per_second"]
    times = f" (× {speed / first['images_per_second']:.2f})" if "why" not in first else ""
    return f"{speed:,.1f}{times}"
