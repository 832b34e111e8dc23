"""Whether a trained denoiser looks at its condition at all; before training, one that begins at zero cannot show it."""

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from bench import randomness
from bench.contract import Denoiser, predict
from bench.data.dataset import AvatarSet

IMAGES = 4  # held-out ones, each under another one's condition


@torch.inference_mode()
def ignores_condition(
    denoiser: Denoiser, schedule: DDPMScheduler, held_out: AvatarSet, device: torch.device, layout: torch.memory_format
) -> bool:
    """Whether predictions differ between conditions by no more than between two calls with the same one."""
    chosen = held_out.subset(torch.arange(IMAGES) % len(held_out))
    noise = randomness.normal(0, "condition", 0, range(IMAGES), tuple(chosen.images.shape[1:]))
    timestep = torch.full((IMAGES,), schedule.config.num_train_timesteps // 2)
    noisy = schedule.add_noise(chosen.in_model_space(), noise, timestep).to(device, memory_format=layout)

    def prediction(condition: Tensor) -> Tensor:
        randomness.seed_default(device, 0, "condition")  # it may draw random numbers of its own
        return predict(denoiser, noisy, timestep.to(device), condition.to(device)).float()

    asked = prediction(chosen.conditions)
    others = [prediction(chosen.conditions.roll(1, 0)), prediction(torch.zeros_like(chosen.conditions))]
    repeated = (asked - prediction(chosen.conditions)).abs().max()
    return all(bool((asked - other).abs().max() <= repeated) for other in others)
