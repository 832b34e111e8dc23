"""A trained denoiser as a diffusers pipeline: attributes in, avatars out, by the harness' own reverse steps."""

import math
from typing import Any

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput, ModelMixin, SchedulerMixin
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from bench import contestants  # noqa: F401 - diffusers loads a component only from a module that is imported already
from bench.contestants import MEMORY_FORMATS
from bench.data.dataset import to_pixels
from bench.data.schema import Schema
from bench.errors import BadInput
from bench.inference.conditions import chosen_codes
from bench.sampling.diffusion import sample_steps, wrong_steps

Generators = list[torch.Generator] | torch.Generator | None
Attributes = str | dict[str, str]  # "top=curly,eyes=wink", or the same as a dict

FINISHES = {
    "pil": lambda images: [to_pil_image(pixels) for pixels in to_pixels(images).cpu()],
    "np": lambda images: unit_range(images).permute(0, 2, 3, 1).cpu().numpy(),  # (B, H, W, 3)
    "pt": lambda images: unit_range(images),  # (B, 3, H, W)
}


def unit_range(images: Tensor) -> Tensor:
    """Model space to floats in [0, 1]."""
    return (images / 2 + 0.5).clamp(0, 1)


class AvatarPipeline(DiffusionPipeline):
    """Draws the avatars that are asked for: a denoiser (Tau + UNet), its reverse process, and what can be asked.

    All but the two components have a default only because diffusers takes what has none for a component.
    """

    def __init__(
        self,
        denoiser: ModelMixin,
        scheduler: SchedulerMixin,
        image_size: int = 64,
        guidance_scale: float = 1.0,
        num_inference_steps: int = 30,
        memory_format: str = "channels_last",  # of weights and images; it decides over the last bits
        schema: list | None = None,  # as Schema.to_json gives it
        examples: list | None = None,  # whole avatars that no training saw, as Schema.write gives them
    ) -> None:
        super().__init__()
        if not schema or not examples:
            raise ValueError("AvatarPipeline needs the schema of its data, and examples of whole avatars")
        self.register_modules(denoiser=denoiser.to(memory_format=MEMORY_FORMATS[memory_format]), scheduler=scheduler)
        self.register_to_config(
            image_size=image_size,
            guidance_scale=guidance_scale,
            num_inference_steps=num_inference_steps,
            memory_format=memory_format,
            schema=schema,
            examples=examples,
        )
        self.attributes = Schema.from_json(schema)
        self.whole_avatars = torch.tensor([list(self.attributes.parse(example).values()) for example in examples])

    def __call__(
        self,
        attributes: Attributes | list[Attributes] | Tensor = "",  # a tensor: binarised conditions (B, D)
        guidance_scale: float | None = None,  # None: as trained for; 1 is plain conditional
        num_inference_steps: int | None = None,
        generator: Generators = None,  # one for all images, or a list with one for each
        output_type: str = "pil",  # or "np", "pt": floats in [0, 1]
        return_dict: bool = True,
    ) -> ImagePipelineOutput | tuple[Any]:
        """One avatar for everything that is asked; ValueError, with what there is instead, for what is unknown.

        What an avatar is not asked for is an example's: attributes depend on each other. The generator's seed picks it.
        """
        if output_type not in FINISHES:
            raise ValueError(f"output_type {output_type!r} is none of {', '.join(FINISHES)}")
        if not isinstance(attributes, Tensor):
            attributes = self.encode_attributes(attributes, generator)
        self.check(attributes, generator)
        steps = self.config.num_inference_steps if num_inference_steps is None else num_inference_steps
        guidance = self.config.guidance_scale if guidance_scale is None else guidance_scale
        self.check_steps(guidance, steps)
        images = FINISHES[output_type](self.denoise(attributes.to(self.device), guidance, steps, generator))
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def encode_attributes(self, attributes: Attributes | list[Attributes], generator: Generators = None) -> Tensor:
        """Binarised conditions (B, D) of whole avatars that show what is asked; a generator's state is left alone."""
        asked = attributes if isinstance(attributes, list) else [attributes]
        check_generators(generator, len(asked))
        seeds = seeds_of(generator, len(asked))
        rows = [self.whole(one, seed) for one, seed in zip(asked, seeds, strict=True)]
        return torch.from_numpy(self.attributes.binarise(torch.cat([self.whole_avatars[:0], *rows]).numpy()))

    def whole(self, attributes: Attributes, seed: int) -> Tensor:
        """Codes (1, A) of an example with what is asked put in its place."""
        try:
            return chosen_codes(self.attributes, self.whole_avatars, as_text(attributes), count=1, seed=seed)
        except BadInput as error:  # which is for a command's user
            raise ValueError(str(error)) from error

    def check(self, condition: Tensor, generator: Generators) -> None:
        """ValueError unless the condition is (B, D) of at least one avatar, and a list of generators B long."""
        if condition.dim() != 2 or condition.shape[1] != self.attributes.width or not len(condition):
            raise ValueError(f"a condition must be (B, {self.attributes.width}), not {tuple(condition.shape)}")
        check_generators(generator, len(condition))

    def check_steps(self, guidance: float, steps: int) -> None:
        """ValueError unless guidance is finite and the scheduler has as many steps."""
        if not math.isfinite(guidance):
            raise ValueError(f"guidance_scale must be a finite number, not {guidance}")
        if told := wrong_steps(steps, self.scheduler.config.num_train_timesteps):
            raise ValueError(f"num_inference_steps: {told}")

    def denoise(self, condition: Tensor, guidance: float, steps: int, generator: Generators) -> Tensor:
        """Finished images (B, 3, H, W) in model space."""
        self.scheduler.set_timesteps(steps)
        dtype, layout = self.denoiser.dtype, MEMORY_FORMATS[self.config.memory_format]

        def denoiser(noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
            return self.denoiser(noisy.to(dtype), timestep, condition.to(dtype))

        size = self.config.image_size
        images = sample_steps(denoiser, self.scheduler, condition, size, generator, guidance, layout)
        with self.progress_bar(total=len(self.scheduler.timesteps)) as bar:
            for image in images:  # noqa: B007 - the last one is finished
                bar.update()
        return image


def as_text(attributes: Attributes) -> str:
    if isinstance(attributes, str):
        return attributes
    return ",".join(f"{name}={variant}" for name, variant in attributes.items())


def check_generators(generator: Generators, count: int) -> None:
    if isinstance(generator, list) and len(generator) != count:
        raise ValueError(f"{len(generator)} generators for {count} avatars: pass one, or one for each")


def seeds_of(generator: Generators, count: int) -> list[int]:
    """A seed for each of `count` avatars: the generators' own, so that drawing from them begins where it would."""
    if isinstance(generator, list):
        return [each.initial_seed() for each in generator]
    first = int(torch.randint(2**31, ())) if generator is None else generator.initial_seed()
    return list(range(first, first + count))
