"""What a model costs, read off the built module on the meta device: any size on any machine."""

from typing import Any

import torch

from bench import contestants
from bench.cost.activations import activation_bytes, attentions, example_inputs, flops
from bench.cost.parameters import count_parameters, training_bytes

SCHEMA_VERSION = 1
MIB = 2**20


def static_cost(name: str, condition_width: int, image_size: int, scale: float) -> dict[str, Any]:
    """Parameters, bytes kept for them, attentions and FLOPs per image of a contestant at a size."""
    denoiser = contestants.build_on_meta(name, condition_width, image_size, scale)
    with torch.device("meta"):
        inputs = example_inputs(condition_width, image_size, batch_size=1)
        return {
            "condition_width": condition_width,
            "image_size": image_size,
            "scale": scale,
            "parameters": count_parameters(denoiser),
            **training_bytes(denoiser),
            "attention": attentions(denoiser, condition_width, image_size),
            "flops_per_image": flops(denoiser, inputs),
        }


def published_cost(name: str) -> dict[str, Any]:
    """The same at the size that the source publishes: scale 1, 64×64, Cartoon Set's 217-wide condition."""
    return static_cost(name, contestants.PUBLISHED_CONDITION_WIDTH, contestants.PUBLISHED_IMAGE_SIZE, 1.0)


def anatomy(names: list[str], image_size: int, batch_size: int) -> dict[str, Any]:
    """The document of `bench anatomy --json`."""
    rows = [contestant_anatomy(name, image_size, batch_size) for name in names]
    return {
        "schema_version": SCHEMA_VERSION,
        "batch_size": batch_size,
        "image_size": image_size,
        "contestants": rows,
    }


def contestant_anatomy(name: str, image_size: int, batch_size: int) -> dict[str, Any]:
    width = contestants.PUBLISHED_CONDITION_WIDTH
    cost = static_cost(name, width, image_size, 1.0)
    denoiser = contestants.build_on_meta(name, width, image_size, 1.0)
    with torch.device("meta"):
        activations = activation_bytes(denoiser, example_inputs(width, image_size, batch_size))
    kept = cost["weights_bytes"] + cost["adam_bytes"] + cost["gradients_bytes"]
    return {
        "name": name,
        "parameters": cost["parameters"],
        "memory_mib": {
            "weights": cost["weights_bytes"] / MIB,
            "adam": cost["adam_bytes"] / MIB,
            "gradients": cost["gradients_bytes"] / MIB,
            "activations_hook_sum": activations["hook_sum_bytes"] / MIB,
            "activations_saved": activations["saved_bytes"] / MIB,
            # what is kept; the largest transient of a step comes on top
            "predicted_peak": (kept + activations["saved_bytes"]) / MIB,
        },
        "gflop_per_image": {kind: count / 1e9 for kind, count in cost["flops_per_image"].items()},
        "attention": cost["attention"],
    }
