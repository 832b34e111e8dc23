"""Predicted peaks held against real training steps, on the device at hand."""

from dataclasses import replace
from typing import Any

from bench.config import MATCHED, PRESETS, RunConfig
from bench.cost.account import Setting, account
from bench.cost.memory import measured_peak
from bench.cost.trial import trial
from bench.data.library import DataRequest, render
from bench.environment import choose_device

BATCHES = (4, 16)
# Large enough to be of one kind with the full size, small enough for the machine: scale and image size.
SCALED = {"cpu": (1 / 8, 32), "cuda": (1.0, 64), "mps": (1 / 8, 32)}


def check_predictions(names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Predicted and measured peak of each contestant, scaled, at two batch sizes; no error where none is measured."""
    device = choose_device("auto")
    scale, image_size = SCALED[device]
    avatars = render(DataRequest("avataaars", images=2 * max(BATCHES), image_size=image_size))

    def check(name: str, batch_size: int) -> dict[str, Any]:
        sizes = replace(PRESETS["smoke"], image_size=image_size, scale=scale, batch_size=batch_size)
        config = RunConfig(
            name, 0, "check", MATCHED, sizes, avatars.source, avatars.content_hash, device, "no", "channels_last"
        )
        with trial(config, avatars) as trainer:
            measured = measured_peak(trainer)
        predicted = account(name, Setting(avatars.schema.width, image_size, scale, batch_size))["predicted_peak"]
        where = {"device": device, "scale": scale, "image_size": image_size, "batch_size": batch_size}
        return where | compare(predicted and predicted["bytes"], measured)

    return {name: [check(name, batch_size) for batch_size in BATCHES] for name in names}


def compare(predicted: int | None, measured: int | None) -> dict[str, Any]:
    """Both peaks, and the prediction's relative error where there are both."""
    error = None if predicted is None or measured is None else predicted / measured - 1
    return {"predicted_bytes": predicted, "measured_bytes": measured, "prediction_error": error}
