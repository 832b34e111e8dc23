"""The document of `bench overhead`, in words."""

from typing import Any

QUESTIONS = {
    "bare_over_bare": "two identical bare loops against each other (the noise of this measurement)",
    "harness_over_bare": "a step of the harness over one of a bare loop",
    "double_batch": "a step with twice the batch over one with the batch",
    "100000_over_1000_images": "a step with 100,000 images in the set over one with 1,000",
}


def overhead_lines(document: dict[str, Any]) -> list[str]:
    """A line for each ratio, with its interval and whether it keeps to its goal."""
    about = (
        f"{document['contestant']} at the size of preset {document['preset']}, batch {document['batch_size']}, on "
        f"{document['device']} ({document['threads']} threads); medians of {document['rounds']} rounds of "
        f"{document['steps_per_round']} steps of each kind in turn"
    )
    waits = document["data_share_of_step"]
    return [
        about,
        *(f"{asked}: {said(document[key])}" for key, asked in QUESTIONS.items()),
        f"waiting for data: {100 * waits['median']:.2f} % of a step, "
        f"{'within' if waits['median'] <= waits['goal'] else 'beyond'} the goal of {100 * waits['goal']:g} %",
    ]


def said(ratio: dict[str, Any]) -> str:
    interval = f"95 % interval {ratio['low']:.4f} to {ratio['high']:.4f}"
    goal = f", {verdict(ratio)}" if "goal" in ratio else ""
    return f"{ratio['median']:.4f} ({interval}){goal}"


def verdict(found: dict[str, Any]) -> str:
    """Whether the median keeps to its goal, and whether the interval does."""
    goal = found["goal"]
    if found["median"] > goal:
        return f"beyond the goal of {goal:g}"
    unsure = ", though the interval reaches beyond it" if found.get("high", 0) > goal else ""
    return f"within the goal of {goal:g}{unsure}"
