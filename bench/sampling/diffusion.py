"""The diffusion mathematics, thin over diffusers' schedulers: training loss and guided sampling."""

import inspect
from collections.abc import Iterator

import torch
from diffusers import DDIMScheduler, DDPMScheduler, SchedulerMixin
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from torch.nn import functional as F

from bench import randomness
from bench.config import Recipe
from bench.contract import Denoiser, predict


def noise_schedule(recipe: Recipe) -> DDPMScheduler:
    """The forward process of a recipe."""
    return DDPMScheduler(
        num_train_timesteps=recipe.timesteps,
        beta_start=recipe.beta_start,
        beta_end=recipe.beta_end,
        beta_schedule="linear",
        prediction_type=recipe.prediction,
        clip_sample=recipe.clip_sample,
        timestep_spacing="trailing",  # begins at the noisiest step; the default leaves it out
    )


def sampler(recipe: Recipe) -> DDPMScheduler | DDIMScheduler:
    """The reverse process of a recipe, with its timesteps set."""
    scheduler = noise_schedule(recipe)
    if recipe.sampler == "ddim":
        scheduler = DDIMScheduler.from_config(scheduler.config)
    scheduler.set_timesteps(recipe.sampling_steps)
    return scheduler


def wrong_steps(steps: int, timesteps: int) -> str | None:
    """Why so many sampling steps cannot be taken, with the nearest numbers that can; None if they can.

    Where they do not divide the timesteps, diffusers' schedulers step back to others than those that come next.
    """
    if 1 <= steps <= timesteps and timesteps % steps == 0:
        return None
    fitting = [each for each in range(1, timesteps + 1) if timesteps % each == 0]
    below, above = [n for n in fitting if n <= steps][-1:], [n for n in fitting if n >= steps][:1]
    nearest = " or ".join(map(str, below + above))
    return f"{steps} sampling steps do not divide the schedule's {timesteps} timesteps: take {nearest}"


def final_signal(recipe: Recipe) -> float:
    """ᾱ_T: the share of the image's variance that is left at the last timestep."""
    return float(noise_schedule(recipe).alphas_cumprod[-1])


def training_loss(
    denoiser: Denoiser,
    schedule: DDPMScheduler,
    images: Tensor,
    condition: Tensor,
    noise: Tensor,
    timestep: Tensor,
) -> Tensor:
    """Mean squared error against ε or v, whichever the schedule predicts; images and noise (B, 3, H, W)."""
    noisy = schedule.add_noise(images, noise, timestep)
    target = noise
    if schedule.config.prediction_type == "v_prediction":
        target = schedule.get_velocity(images, noise, timestep)
    prediction = predict(denoiser, noisy, timestep, condition)  # last: it may change what it is given
    return F.mse_loss(prediction.float(), target)


def guided(denoiser: Denoiser, noisy: Tensor, timestep: Tensor, condition: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance: unconditional + guidance · (conditional − unconditional).

    1 is plain conditional and 0 plain unconditional: one prediction is enough for them.
    """
    if guidance == 1:
        return predict(denoiser, noisy, timestep, condition)
    if guidance == 0:
        return predict(denoiser, noisy, timestep, torch.zeros_like(condition))
    both = predict(
        denoiser,
        torch.cat([noisy, noisy]),
        torch.cat([timestep, timestep]),
        torch.cat([torch.zeros_like(condition), condition]),
    )
    unconditional, conditional = both.float().chunk(2)
    return unconditional + guidance * (conditional - unconditional)


@torch.inference_mode()
def sample_steps(
    denoiser: Denoiser,
    scheduler: SchedulerMixin,  # with its timesteps set
    condition: Tensor,  # (B, D) on the device to sample on
    image_size: int,
    generator: list[torch.Generator] | torch.Generator | None,  # one for each image, or one for all of them
    guidance: float,
    memory_format: torch.memory_format = torch.channels_last,
) -> Iterator[Tensor]:
    """Yield the image (B, 3, H, W) in model space after every reverse step, from the latents that are drawn first."""
    # Where DDIM clips x0, ε has to follow it: with ε left as predicted, guidance piles up noise.
    offered = {"generator": generator, "use_clipped_model_output": True}
    options = {name: offered[name] for name in offered.keys() & inspect.signature(scheduler.step).parameters.keys()}
    shape = (len(condition), 3, image_size, image_size)
    image = randn_tensor(shape, generator=generator, device=condition.device)
    for t in scheduler.timesteps:
        timestep = torch.full((len(image),), int(t), device=image.device)
        noisy = image.to(memory_format=memory_format)
        prediction = guided(denoiser, noisy, timestep, condition, guidance)
        image = scheduler.step(prediction.float(), int(t), image, **options).prev_sample
        yield image


def sample(
    denoiser: Denoiser,
    recipe: Recipe,
    condition: Tensor,
    image_size: int,
    seed: int,
    indices: range,  # which samples of the run these are: each has its own seed
    guidance: float,
    memory_format: torch.memory_format = torch.channels_last,
) -> Tensor:
    """The last of `sample_steps`: finished images (B, 3, H, W) in model space, from the same latents for everyone."""
    generators = randomness.generators(seed, "sample", indices)
    scheduler = sampler(recipe)
    *_, image = sample_steps(denoiser, scheduler, condition, image_size, generators, guidance, memory_format)
    return image
