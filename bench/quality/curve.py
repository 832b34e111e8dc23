"""Quality after every epoch, by images seen, by seconds and by FLOPs: all comparisons can be read off one run."""

from itertools import accumulate
from statistics import fmean
from typing import Any


def curve(
    briefs: list[dict[str, Any] | None],  # per epoch: what its few samples scored, None where they are gone
    log: dict[str, Any],  # of training
    training_flop_per_image: float | None,
) -> list[dict[str, Any]]:
    """A point for each epoch; `seconds` are those of training alone."""
    points = []
    for epoch, (seconds, brief) in enumerate(zip(accumulate(log["seconds_per_epoch"]), briefs, strict=True), start=1):
        images = epoch * log["images_per_epoch"]
        points.append(
            {
                "epoch": epoch,
                "images": images,
                "seconds": seconds,
                "training_flop": None if training_flop_per_image is None else images * training_flop_per_image,
                "validation_loss": {kind: fmean(each) for kind, each in log["validation"][epoch - 1].items()},
                **(brief or {}),
            }
        )
    return points
