"""The anatomy of full-size models: a table for the terminal, and a picture of where the memory goes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.cost.levels import finest_first

Entry = dict[str, Any]
MISSING = "–"
FLOP_KINDS = ("conv", "linear", "attention")
KEPT = {"weights": "weights", "gradients": "gradients", "adam": "Adam", "ema": "averaged weights (EMA)"}


def anatomy_table(document: dict[str, Any]) -> Table:
    """One column a contestant, from the document of `bench anatomy --json`."""
    entries = document["contestants"]
    size = f"{document['image_size']}×{document['image_size']}, batch {document['batch_size']}"
    size += "" if document["mixed_precision"] == "no" else f", autocast to {document['mixed_precision']}"
    size += ", gradient checkpointing" if document["gradient_checkpointing"] else ""
    table = Table(size, *(entry["name"] for entry in entries), highlight=False)
    for label, write in lines(document):
        table.add_row(label, *(cell(write, entry) for entry in entries))
        if label == "":
            table.add_section()
    return table


def cell(write: Callable[[Entry], str | None], entry: Entry) -> str:
    """What a line says of a contestant; a dash where an entry of the document is None."""
    try:
        return write(entry) or MISSING
    except TypeError:  # None where a number or its parts would be
        return MISSING


def lines(document: dict[str, Any]) -> list[tuple[str, Callable[[Entry], str | None]]]:
    """The label of every line, and how to write it for a contestant."""
    levels = levels_of(document["contestants"])
    return [
        *((label, counted(part)) for part, label in PARAMETERS.items()),
        *((f"… at {level}" if "×" in level else f"… {level}", level_parameters(level)) for level in levels),
        ("", lambda _: " "),
        *((f"{label}, MiB", memory(kind)) for kind, label in KEPT.items()),
        ("activations: every module's output, MiB", memory("activations_hook_sum")),
        ("… the source's figure, and the ratio to it", source),
        ("activations: saved for the backward pass, MiB", memory("activations_saved")),
        ("predicted peak of a training step, MiB", memory("predicted_peak")),
        ("… its transient part, and what is done then", transient),
        ("… error, measured on a scaled model", checked),
        (f"largest batch in {room_of(document)}", lambda entry: f"{entry['largest_batch']['batch_size']:,}"),
        ("", lambda _: " "),
        *((f"GFLOP per image, {what}", gflop(what)) for what in ("forward", "training")),
        ("arithmetic intensity, FLOP per byte", lambda entry: f"{entry['flop_per_byte']:.1f}"),
        ("time floor of an image, at the peak", floor),
        ("", lambda _: " "),
        ("heads × width", lambda entry: "\n".join(head_shapes(entry["attention"]))),
    ]


PARAMETERS = {"total": "parameters", "unet": "… Unet", "tau": "… Tau"}


def counted(part: str) -> Callable[[Entry], str]:
    return lambda entry: f"{entry['parameters'][part]:,}"


def level_parameters(level: str) -> Callable[[Entry], str | None]:
    return lambda entry: next((f"{here['parameters']:,}" for here in entry["levels"] if here["level"] == level), None)


def memory(kind: str) -> Callable[[Entry], str]:
    return lambda entry: f"{entry['memory_mib'][kind]:,.2f}"


def source(entry: Entry) -> str:
    theirs = entry["source_hook_sum"]
    return f"{theirs['mib']:,}; ours is {theirs['ratio']:.3f} of it"


def transient(entry: Entry) -> str:
    found = entry["largest_transient"]
    return f"{found['mib']:,.2f}\n{found['operation']}"


def checked(entry: Entry) -> str:
    return "\n".join(f"{said(here)} (batch {here['batch_size']})" for here in entry["prediction_checked"])


def said(check: dict[str, Any]) -> str:
    error = check["prediction_error"]
    return MISSING if error is None else f"{100 * error:+.2f} %"


def room_of(document: dict[str, Any]) -> str:
    rooms = [entry["largest_batch"] for entry in document["contestants"] if entry["largest_batch"]]
    return f"{rooms[0]['memory_mib'] / 1024:,.4g} GiB" if rooms else "a given memory"


def gflop(what: str) -> Callable[[Entry], str]:
    def write(entry: Entry) -> str:
        counts = entry["gflop_per_image"]
        parts = ", ".join(f"{kind} {counts[f'{what}_{kind}']:,.1f}" for kind in FLOP_KINDS)
        return f"{counts[what]:,.1f}\n{parts}"

    return write


def floor(entry: Entry) -> str:
    found = entry["time_floor"]
    return f"{found['seconds_per_image']:.4g} s at {found['gflop_per_second']:,.0f} GFLOP/s"


def head_shapes(attention: list[dict[str, Any]]) -> list[str]:
    """`32×4 (4096 → 256 tokens)` for every kind of attention that occurs."""
    shapes = (
        f"{a['heads']}×{a['head_width']} ({a.get('kind', '')} {a['query_tokens']} → {a['context_tokens']} tokens)"
        for a in attention
    )
    return list(dict.fromkeys(shapes))


def notes(document: dict[str, Any]) -> list[str]:
    """What has to be said beside the table: warnings, and why a figure is missing."""
    said = []
    for entry in document["contestants"]:
        name = entry["name"]
        if entry["untraced"] is not None:
            said.append(f"{name}: {MISSING} where its training step would have told; {entry['untraced']}")
        for where in entry["one_token_contexts"]:
            said.append(
                f"warning: {name}'s cross attention '{where}' has one context token: its softmax is 1 whatever "
                "is asked, and the number of heads changes nothing"
            )
    entries = document["contestants"]
    if all(entry["prediction_checked"] is None for entry in entries):
        said.append(f"{MISSING} error of the prediction: not measured; --check runs real steps of scaled models")
    elif any(here["prediction_error"] is None for entry in entries for here in entry["prediction_checked"] or []):
        said.append(f"{MISSING} error of the prediction: this device has no counter of its peak, or no step to predict")
    if all(entry["largest_batch"] is None for entry in entries):
        said.append(f"{MISSING} largest batch: say how much memory there is, as in --memory 24GiB")
    if all(entry["time_floor"] is None for entry in entries):
        said.append(f"{MISSING} time floor: give --peak GFLOP/s, or --peak measured")
    if all(entry["source_hook_sum"] is None for entry in entries):
        said.append(f"{MISSING} the source's figure: it is of scratch in fp32, at 64×64, in batches of 128")
    said.append(
        "The peak counts tensors, as eager PyTorch keeps them with kernels as a CPU has them; what a GPU's libraries "
        "take as workspace, and what its allocator leaves unused, comes on top."
    )
    return said


def draw_anatomy(document: dict[str, Any], path: Path) -> None:
    """Stacked bars of memory by kind and level, a panel a contestant, as a PNG."""
    from matplotlib.figure import Figure

    entries = [entry for entry in document["contestants"] if entry["levels"]]
    levels = levels_of(entries)
    figure = Figure(figsize=(2 + 2.8 * len(entries), 4.5), layout="constrained")
    panels = figure.subplots(1, len(entries), sharey=True, squeeze=False)[0]
    for panel, entry in zip(panels, entries, strict=True):
        draw_bars(panel, entry, levels)
    panels[0].set_ylabel("GiB")
    panels[0].legend(title="level", loc="upper left")
    size = f"{document['image_size']}×{document['image_size']}, batch {document['batch_size']}"
    figure.suptitle(f"Memory of a training step at {size}; dashed: its predicted peak")
    figure.savefig(path, dpi=120, format="png")


def draw_bars(panel: Any, entry: Entry, levels: list[str]) -> None:
    """One contestant's bars: a kind of memory each, stacked by level, with the sum above."""
    kinds = {"weights": "weights", "gradients": "grad.", "adam": "Adam", "ema": "EMA", "activations_saved": "activ."}
    memory = {here["level"]: here["memory_mib"] for here in entry["levels"]}
    bottom = [0.0] * len(kinds)
    for number, level in enumerate(levels):
        heights = [memory[level][kind] / 1024 if level in memory else 0.0 for kind in kinds]
        bars = panel.bar(list(kinds.values()), heights, bottom=bottom, label=level, color=f"C{number}")
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    panel.bar_label(bars, [f"{total:.2g}" for total in bottom], padding=2)
    peak = entry["memory_mib"]["predicted_peak"] / 1024
    panel.axhline(peak, linestyle="--", color="black", linewidth=1)
    panel.set_title(f"{entry['name']}, peak {peak:,.1f} GiB")


def levels_of(entries: list[Entry]) -> list[str]:
    """Every level that any contestant has, finest first."""
    return finest_first({here["level"] for entry in entries for here in entry["levels"]})
