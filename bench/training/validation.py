"""The loss on held-out images at fixed timesteps with fixed noise: what a training loss is too noisy to compare."""

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from bench import randomness
from bench.data.dataset import AvatarSet
from bench.sampling.diffusion import training_loss

LEVELS = 8
BATCH = 32


def validation_timesteps(timesteps: int) -> list[int]:
    """Eight timesteps spread evenly over the schedule, each in the middle of its eighth."""
    return [int((level + 0.5) * timesteps / LEVELS) for level in range(LEVELS)]


@torch.inference_mode()
def validation_losses(
    denoiser: nn.Module,
    schedule: DDPMScheduler,
    held_out: AvatarSet,
    images: int,  # of them, the first
    device: torch.device,
    layout: torch.memory_format,
) -> list[float]:
    """Mean squared error at each of the eight timesteps; noise and images are the same for every run and seed."""
    chosen = held_out.subset(torch.arange(min(images, len(held_out))))
    losses = []
    for level, timestep in enumerate(validation_timesteps(schedule.config.num_train_timesteps)):
        noise = randomness.normal(0, "validation", level, range(len(chosen)), tuple(chosen.images.shape[1:]))
        total = torch.zeros((), dtype=torch.float64)
        for rows in torch.arange(len(chosen)).split(BATCH):
            total += len(rows) * batch_loss(
                denoiser, schedule, chosen.subset(rows), noise[rows], timestep, device, layout
            )
        losses.append((total / len(chosen)).item())
    return losses


def batch_loss(
    denoiser: nn.Module,
    schedule: DDPMScheduler,
    images: AvatarSet,
    noise: Tensor,  # (B, 3, H, W)
    timestep: int,
    device: torch.device,
    layout: torch.memory_format,
) -> Tensor:
    """The loss of one batch at one timestep, float64 on the CPU."""
    loss = training_loss(
        denoiser,
        schedule,
        images.in_model_space().to(device, memory_format=layout),
        images.conditions.to(device),
        noise.to(device, memory_format=layout),
        torch.full((len(images),), timestep, device=device),
    )
    return loss.cpu().double()  # in this order: MPS has no float64
