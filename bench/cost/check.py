"""Predicted peaks held against real training steps, on the device at hand."""

from dataclasses import replace
from typing import Any

from bench.config import MATCHED, PRESETS, RunConfig
from bench.cost.account import Setting, account, checkpoint_gradients
from bench.cost.steps import measured_peak, trial
from bench.data.dataset import AvatarSet
from bench.data.library import DataRequest, render
from bench.environment import choose_device

BATCHES = {"cpu": (4, 16), "cuda": (16, 32), "mps": (4, 16)}
LAYOUTS = {"cpu": "channels_last", "cuda": "contiguous", "mps": "channels_last"}  # the faster one for our contestants
# Large enough to be of one kind with the full size, small enough for the machine: scale and image size.
SCALED = {"cpu": (1 / 8, 32), "cuda": (1.0, 64), "mps": (1 / 8, 32)}


def check_predictions(names: list[str], mixed_precision: str, checkpointing: bool) -> dict[str, list[dict[str, Any]]]:
    """Predicted and measured peak of each contestant, scaled, at two batch sizes; no error where none is measured."""
    device = choose_device("auto")
    scale, image_size = SCALED[device]
    batches = BATCHES[device]
    avatars = render(DataRequest("avataaars", images=2 * max(batches), image_size=image_size))

    def check(name: str, batch_size: int) -> dict[str, Any]:
        setting = Setting(
            avatars.schema.width, image_size, scale, batch_size, mixed_precision, LAYOUTS[device], device, checkpointing
        )
        where = {"device": device, "scale": scale, "image_size": image_size, "batch_size": batch_size}
        try:
            return where | check_one(name, setting, avatars)
        except Exception as error:  # too large for this machine, or a user's model of one size
            return where | compare(None, None) | {"why": f"{type(error).__name__}: {error}".splitlines()[0]}

    return {name: [check(name, batch_size) for batch_size in batches] for name in names}


def check_one(name: str, setting: Setting, avatars: AvatarSet) -> dict[str, Any]:
    """The predicted and the measured peak of one contestant's real training step."""
    with trial(config_of(name, setting, avatars), avatars) as trainer:
        if setting.gradient_checkpointing:
            checkpoint_gradients(trainer.accelerator.unwrap_model(trainer.denoiser))
        measured = measured_peak(trainer)
    predicted = account(name, setting)["predicted_peak"]
    return compare(predicted and predicted["bytes"], measured)


def config_of(name: str, setting: Setting, avatars: AvatarSet) -> RunConfig:
    """A run with the training step of this setting."""
    sizes = replace(PRESETS["smoke"], image_size=setting.image_size, scale=setting.scale, batch_size=setting.batch_size)
    return RunConfig(
        name, 0, "check", MATCHED, sizes, avatars.source, avatars.content_hash, setting.device,
        setting.mixed_precision, setting.memory_format,
    )  # fmt: skip


def compare(predicted: int | None, measured: int | None) -> dict[str, Any]:
    """Both peaks, and the prediction's relative error where there are both."""
    error = None if predicted is None or measured is None else predicted / measured - 1
    return {"predicted_bytes": predicted, "measured_bytes": measured, "prediction_error": error}
