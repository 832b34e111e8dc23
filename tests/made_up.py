"""Records that nobody measured, for tests of what is made of records; and how to change one."""

import json

from bench.cost.terms import PARTS
from bench.record import Record
from bench.record.quality import EFFICIENTNET

ENVIRONMENT = {
    "python": "3.12.1", "device": "a CPU, 2 cores, AVX2", "instruction_set": "AVX2", "threads": 2,
    "versions": {"torch": "2.15.0"}, "system": "Linux x86_64", "commit": "abc", "load_average": 0.1,
}  # fmt: skip
BUDGETS = ("seconds=9", "images=200", "images=300")  # of a record's three finished models; the last is the main one
LABEL = {
    "extractor": EFFICIENTNET, "title": "Fréchet distance (EfficientNet-Lite0)", "weights_sha256": "a" * 64,
    "resize": "to 224", "library": "torch-fidelity",
}  # fmt: skip
PEAKS = {
    "precision": "no",
    "gemm_flop_per_second": 2e10,
    "convolution_flop_per_second": 4e10,
    "attention_flop_per_second": 1e10,
    "memory_bytes_per_second": 3e10,
}


def put(value, *path):
    """An edit of a record's fields: `fields[path…] = value`."""

    def edit(fields):
        for key in path[:-1]:
            fields = fields[key]
        fields[path[-1]] = value

    return edit


def edited(record, *edits):
    """A record with edits made to its fields."""
    fields = json.loads(record.to_json())
    for edit in edits:
        edit(fields)
    return Record.model_validate_json(json.dumps(fields), strict=True)


def bare_record(config, environment=ENVIRONMENT, command="python -m bench run", status="done", **more):
    """A record without measurements."""
    return Record.model_validate(
        {"config": config, "environment": environment, "command": command, "status": status, **more}
    )


def around(value, margin=0.02):
    return [value - margin, value + margin]


def estimate(value, margin=0.02):
    return {"value": value, "interval": around(value, margin), "of": 8}


def brief(accuracy, frechet):
    return LABEL | {
        "samples": 8, "accuracy": accuracy, "accuracy_interval": around(accuracy), "frechet_distance": frechet,
        "real": 8,
    }  # fmt: skip


def cost_of(tokens):
    """A made-up account of a training step."""
    return {
        "condition_width": 50, "image_size": 16, "scale": 0.125, "batch_size": 16, "mixed_precision": "no",
        "memory_format": "channels_last", "device": "cpu", "gradient_checkpointing": False, "averaged": True,
        "parameters": {"total": 1_500_000, "unet": 1_000_000, "tau": 500_000},
        "weights_bytes": 6_000_000,
        "adam_bytes": 12_000_000,
        "gradients_bytes": 6_000_000,
        "ema_bytes": 6_000_000,
        "untraced": None,
        "activations": {"hook_sum_bytes": 60_000_000, "saved_bytes": 50_000_000},
        "predicted_peak": {
            "bytes": 80_000_000, "kept_bytes": 24_000_000, "gradients_bytes": 6_000_000, "saved_bytes": 50_000_000,
            "batch_bytes": 0, "transient_bytes": 0, "operation": "aten.mm",
        },
        "traffic_bytes_per_step": 1_000_000,
        "levels": {"16×16": {"parameters": 1_500_000, "saved_bytes": 50_000_000}},
        "attention": [
            {"where": "unet.middle", "heads": 4, "head_width": 8, "query_tokens": 64, "context_tokens": tokens,
             "kind": "cross"}
        ],
        "flops_per_image": {
            "forward": 123_456_789, "forward_conv": 100_000_000, "forward_linear": 20_000_000,
            "forward_attention": 3_456_789, "training": 370_370_367, "training_conv": 200_000_000,
            "training_linear": 100_000_000, "training_attention": 70_370_367,
        },
    }  # fmt: skip


def attributes_of(accuracy):
    judged = {
        name: {"accuracy": value, "interval": around(value), "ceiling": 0.9, "chance": 0.1, "normalised": None,
               "scored": 8}
        for name, value in (("top", accuracy), ("eyes", 0.1), ("mouth", 0.5))
    }  # fmt: skip
    return {
        "macro": {"accuracy": accuracy, "interval": around(accuracy), "ceiling": 0.9, "chance": 0.1,
                  "normalised": (accuracy - 0.1) / 0.8},
        "per_attribute": judged,
        "kinds": {"shape": estimate(accuracy), "colour": estimate(accuracy)},
        "hairstyle": {"attribute": "top", "variants": 30, "asked": 10.0, "shown": 9.0, "value": 0.9,
                      "interval": [0.85, 0.95]},
        "confusion": {"attribute": "eyes", "variants": ["wink", "happy"], "counts": [[3, 1], [0, 4]]},
        "samples": 8,
    }  # fmt: skip


def exact_of(accuracy):
    return {
        "samples": 8,
        "all_right": estimate(accuracy / 2),
        "macro": estimate(accuracy),
        "chance": 0.1,
        "shuffled": 0.12,
        "per_attribute": {name: estimate(accuracy) | {"chance": 0.1} for name in ("top", "eyes")},
        "agreement": estimate(0.9),
        "look_alike": {"eyes": [{"variants": ["cry", "default"], "pictures": 2}]},
    }


def quality_of(accuracy, seconds):
    """Made-up measurements of quality."""
    distance = LABEL | {
        "frechet_distance": 100 * accuracy,
        "interval": around(100 * accuracy, 3),
        "floor": 10.0,
        "ratio_to_floor": 10 * accuracy,
        "floor_interval": [9.0, 11.0],
        "unlimited": {"value": 90 * accuracy, "interval": around(90 * accuracy, 4)},
        "kid": {"value": accuracy / 100, "interval": around(accuracy / 100, 0.001)},
        "precision_recall": {"neighbours": 3, "precision": estimate(0.5, 0.1), "recall": estimate(0.5, 0.1)},
        "real": 8,
        "generated": 8,
        "split": "held-out, other conditions",
        "rank_deficient": False,
    }
    against_real = estimate(0.1, 0.01) | {"real_mean": 50.0, "real_sd": 5.0, "wasserstein": 1.0}
    measures = ("stray_pixels", "background_level", "colour_error", "out_of_palette", "edge_agreement")
    artefacts = {name: {"value": 0.1, "interval": [0.09, 0.11], "of": 8} for name in measures}
    artefacts |= {name: against_real | {"interval": [0.09, 0.11]} for name in ("brightness", "saturation")}
    count = len(seconds)
    curve = [
        brief(accuracy / (count - i), 100.0 - i) | {
            "paired": {"colour": estimate(10.0 - i), "structure": estimate(0.5)},
            "all_right": estimate(accuracy / (count - i) / 2), "exact": estimate(accuracy / (count - i)),
            "epoch": i + 1, "steps": 6 * (i + 1), "budgets": [BUDGETS[i - count]] if count - i <= len(BUDGETS) else [],
            "images": 100 * (i + 1), "seconds": sum(seconds[: i + 1]), "training_flop": 1e12 * (i + 1),
            "validation_loss": {"raw": 0.5, "averaged": 0.25},
        }
        for i in range(count)
    ]  # fmt: skip
    return {
        "distance": {EFFICIENTNET: distance},
        "memorisation": {EFFICIENTNET: {"median_ratio": 1.0, "closer": estimate(0.05, 0.01), "expected": 0.05,
                                        "flagged": False, "train": 100, "held_out": 12}},
        "judge": {
            "macro": {"ceiling": None, "chance": None, "noisy": 0.85, "blurred": 0.88},
            "per_attribute": {"ceiling": {}, "chance": {}, "noisy": {}, "blurred": {}},
            "noise_sd": 10.0, "blur_sd_pixels": 0.25, "held_out": 12,
        },
        "attributes": attributes_of(accuracy),
        "artefacts": artefacts,
        "paired": {"colour": estimate(20 * (1 - accuracy)), "structure": estimate(accuracy)},
        "exact": exact_of(accuracy),
        "guidance": [brief(accuracy - abs(g - 2) / 100, 50.0 + g) | {"guidance": g, "artefacts": artefacts}
                     for g in (0.0, 2.0, 9.0)],
        "sampler": {
            "fast": brief(0.5, 10.0), "full": brief(0.5, 9.0), "accuracy_difference": 0.005,
            "accuracy_interval": [-0.01, 0.02], "frechet_relative": 0.1, "frechet_interval": [0.06, 0.14],
            "agree": False,
        },
        "curve": curve,
    }  # fmt: skip


def measurements_of(accuracy, seconds, tokens):
    """Everything that a run measures."""
    return {
        "blocks": "resnet blocks",
        "cost": cost_of(tokens),
        "full_cost": cost_of(tokens),
        "machine_peak": PEAKS,
        "peak_memory": {"predicted_bytes": 80_000_000, "measured_bytes": 81_000_000, "prediction_error": 80 / 81 - 1},
        "step": {"warm_up_steps": 3,
                 "seconds": {"total": [1.0, 1.1, 1.2, 1.3]} | {part: [0.1, 0.2, 0.3, 0.4] for part in PARTS}},
        "training": {
            "epochs_done": len(seconds), "steps_done": 6 * len(seconds), "images_per_epoch": 100,
            "seconds_per_epoch": list(seconds), "loss_per_epoch": [0.5, 0.25], "validation": [],
            "validation_timesteps": [], "resumed_at_epochs": [], "warm_up_epochs": 1,
        },
        "sampling": {"seconds": 8.0, "images": 16},
        **quality_of(accuracy, list(seconds)),
    }  # fmt: skip


def complete_record(run, accuracy=0.8, seconds=(9.0, 4.0, 6.0), tokens=32, **more):
    """A made-up but complete record of a run."""
    fields = {
        "data": {
            "images": 120, "held_out": 12, "leaked": 0, "skipped": 0,
            "schema": [{"name": name, "variants": ["a", "b"]} for name in ("top", "eyes", "mouth")],
        },
        "measurements": measurements_of(accuracy, seconds, tokens),
        "images": {"example": f"images/{run.name}/example.png"},
    }  # fmt: skip
    return bare_record(run, **fields | more)
