"""The document of `bench doctor`, on one screen."""

from typing import Any

from bench.render.table.row import MISSING, share

GIB, GIGA = 2**30, 1e9
KINDS = {
    "gemm_flop_per_second": "GEMM",
    "convolution_channels_last_flop_per_second": "3×3 convolution, channels_last",
    "convolution_contiguous_flop_per_second": "3×3 convolution, contiguous",
    "attention_flop_per_second": "attention",
}
WINOGRAD = "a convolution may beat the GEMM: by Winograd's algorithm it multiplies less often than is counted"


def doctor_lines(document: dict[str, Any]) -> list[str]:
    """The whole examination, a line each."""
    return [
        *machine_lines(document["environment"], document["device"]),
        "",
        "precision (speed against fp32):",
        *(f"  {name}: {precision_line(found)}" for name, found in document["precisions"].items()),
        "",
        *(line for peaks in document["peaks"] for line in peak_lines(peaks, document["device"]["kind"])),
        "",
        "a training step (peak memory: predicted, measured):",
        *(line for name, found in document["contestants"].items() for line in contestant_lines(name, found)),
        "",
        f"estimated time here of one seed of {', '.join(document['contestants'])} (training, sampling; scoring, the "
        "classifier and drawing the data come on top):",
        *(f"  {preset}: {preset_line(found)}" for preset, found in document["presets"].items()),
        "",
        *missing_lines(document["missing"]),
        verdict_line(document["wrong"]),
    ]


def machine_lines(environment: dict[str, Any], device: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    can = device["instruction_set"] or (device["compute_capability"] and f"compute {device['compute_capability']}")
    memory = f"{device['memory_bytes'] / GIB:.1f} GiB of memory, {device['free_memory_bytes'] / GIB:.1f} free"
    return [
        f"{environment['device']} ({device['kind']}, {can or MISSING}), {memory}, {environment['threads']} threads",
        f"Python {environment['python']}, {environment['system']}, commit {environment['commit'] or MISSING}",
        versions,
    ]


def precision_line(found: dict[str, Any]) -> str:
    """Whether it computes rightly, and what it gains."""
    if found["why"]:
        return f"{MISSING} ({found['why'][:80]})"
    speeds = f"GEMM × {found['gemm_speedup']:.2f}, convolution × {found['convolution_speedup']:.2f}"
    slow = " (no instructions for it here: emulated)" if found["instructions"] is False else ""
    right = f"WRONG: {found['wrong']}" if found["wrong"] else "computes rightly"
    return f"{right}; {speeds}{slow}"


def peak_lines(peaks: dict[str, Any], device: str) -> list[str]:
    """The peak of each kind of operation, in the precision that a run computes in."""
    full = "TF32" if device == "cuda" else "fp32"
    precision = full if peaks["precision"] == "no" else peaks["precision"]
    faster = peaks["convolution_flop_per_second"] > peaks["gemm_flop_per_second"]
    return [
        f"peaks in {precision}:",
        *(f"  {kind}: {peaks[key] / GIGA:,.0f} GFLOP/s" for key, kind in KINDS.items()),
        f"  memory (copy, read and written): {peaks['memory_bytes_per_second'] / GIGA:,.1f} GB/s",
        *([f"  {WINOGRAD}"] if faster else []),
    ]


def contestant_lines(name: str, found: dict[str, Any]) -> list[str]:
    return [f"  {name}, {size}: {measured_line(here)}" for size, here in found["measured"].items()]


def measured_line(here: dict[str, Any]) -> str:
    """The speed and the peak of one size's steps."""
    if here["why"]:
        return f"{MISSING} ({here['why'][:80]})"
    speed = here["batch_size"] / here["seconds_per_training_step"]
    peak = here["peak_memory"]
    predicted, measured = (mib(peak[f"{which}_bytes"]) for which in ("predicted", "measured"))
    error = "" if peak["prediction_error"] is None else f" (off by {share(peak['prediction_error'])})"
    return f"{speed:,.1f} images/s at batch {here['batch_size']}; {predicted}, {measured}{error}"


def mib(size: int | None) -> str:
    return MISSING if size is None else f"{size / 2**20:,.1f} MiB"


def preset_line(found: dict[str, Any]) -> str:
    """The time of all contestants, and of each."""
    if found["seconds"] is None:
        return f"{MISSING} (a contestant could not be timed)"
    parts = "; ".join(
        f"{name} {duration(each['training'])} + {duration(each['sampling'])}"
        for name, each in found["contestants"].items()
    )
    guess = ", extrapolated from small steps by GFLOP: a rough guess" if found["extrapolated"] else ""
    return f"about {duration(found['seconds'])} ({parts}){guess}"


def duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"


def missing_lines(missing: list[dict[str, str]]) -> list[str]:
    return [f"missing: {each['what']} ({each['effect']}): {each['remedy']}" for each in missing]


def verdict_line(wrong: dict[str, str]) -> str:
    return f"this machine computes wrongly in {', '.join(wrong)}" if wrong else "this machine computes rightly"
