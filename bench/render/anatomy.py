"""The anatomy of full-size models: a table for the terminal, and a picture of where the memory goes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from bench.cost.terms import finest_first, head_shapes
from bench.errors import BadInput
from bench.render.markdown import Markdown, escape, markdown
from bench.render.table.row import MISSING

Entry = dict[str, Any]
KINDS = {"weights": "weights", "gradients": "gradients", "adam": "Adam", "ema": "averaged weights (EMA)"}
PARAMETERS = {"total": "parameters", "unet": "… Unet", "tau": "… Tau"}


class Line(NamedTuple):
    """A line of the anatomy: how to read it off a contestant's entry, and how to write it."""

    label: str
    read: Callable[[Entry], Any]  # None: it cannot be had
    write: Callable[[Any], str] = str

    def cell(self, entry: Entry) -> str:
        value = self.read(entry)
        return MISSING if value is None or value == [] else self.write(value)


GAP = Line("", lambda _: " ")


def anatomy_table(document: dict[str, Any]) -> Table:
    """One column a contestant, from the document of `bench anatomy --json`."""
    entries = document["contestants"]
    table = Table(setting_of(document), *(entry["name"] for entry in entries), highlight=False)
    for line in lines(document):
        if line is GAP:
            table.add_section()
        else:
            table.add_row(line.label, *(line.cell(entry) for entry in entries))
    return table


def anatomy_lines(document: dict[str, Any]) -> list[str]:
    """The same table in Markdown, without the lines that nobody has."""
    entries = document["contestants"]
    rows = [[line.label, *(Markdown("<br>".join(map(escape, line.cell(entry).split("\n")))) for entry in entries)]
            for line in lines(document) if line is not GAP]  # fmt: skip
    return markdown(["", *(e["name"] for e in entries)], [r for r in rows if set(r[1:]) != {MISSING}]).splitlines()


def setting_of(document: dict[str, Any]) -> str:
    text = f"{document['image_size']}×{document['image_size']}, batch {document['batch_size']}"
    if document.get("scale", 1) != 1:  # documents from before it could be chosen have none
        text += f", scale {document['scale']:g}"
    if document["mixed_precision"] != "no":
        text += f", autocast to {document['mixed_precision']} as on {document['device']}"
    return text + (", gradient checkpointing" if document["gradient_checkpointing"] else "")


def lines(document: dict[str, Any]) -> list[Line]:
    """Every line of the table, in order."""
    gib = room_of(document)
    return [
        *(Line(label, inside("parameters", part), "{:,}".format) for part, label in PARAMETERS.items()),
        *(Line(f"… {level}", parameters_at(level), "{:,}".format) for level in levels_of(document["contestants"])),
        GAP,
        *(memory(kind, f"{label}, MiB") for kind, label in KINDS.items()),
        memory("activations_hook_sum", "activations: every module's output, MiB"),
        Line("… the blog post's figure, and the ratio to it", inside("source_hook_sum"), source),
        memory("activations_saved", "activations: saved for the backward pass, MiB"),
        memory("predicted_peak", "predicted peak of a training step, MiB"),
        Line("… made of", inside("peak_parts_mib"), parts_of),
        Line("… reached in", inside("peak_operation")),
        Line(f"… its error, measured{checked_at(document)}", inside("prediction_checked"), checked),
        Line(f"largest batch in {gib}, tensors alone", inside("largest_batch", "batch_size"), "{:,}".format),
        GAP,
        *(Line(f"GFLOP per image, {what}", inside("gflop_per_image"), gflop(what)) for what in ("forward", "training")),
        Line("FLOP per byte read or written, unfused", inside("flop_per_byte"), "{:.1f}".format),
        Line("time floor of an image, at the peak", inside("time_floor"), floor),
        GAP,
        Line("heads × width", inside("attention"), lambda attention: "\n".join(head_shapes(attention))),
    ]


def inside(*path: str) -> Callable[[Entry], Any]:
    """A reader of `entry[path…]`; None where the path ends early."""

    def read(entry: Entry) -> Any:
        value: Any = entry
        for key in path:
            value = None if value is None else value[key]
        return value

    return read


def parameters_at(level: str) -> Callable[[Entry], int | None]:
    return lambda entry: next((here["parameters"] for here in entry["levels"] if here["level"] == level), None)


def memory(kind: str, label: str) -> Line:
    return Line(label, inside("memory_mib", kind), "{:,.2f}".format)


def source(theirs: dict[str, Any]) -> str:
    return f"{theirs['mib']:,}; ours is {theirs['ratio']:.3f} of it"


def parts_of(parts: dict[str, float]) -> str:
    return ", ".join(f"{part} {mib:,.0f}" for part, mib in parts.items())


def checked_at(document: dict[str, Any]) -> str:
    """The size of the models that real steps were taken with."""
    checks = [check for entry in document["contestants"] for check in entry["prediction_checked"] or []]
    return f" at scale {checks[0]['scale']:g}, {checks[0]['image_size']}×{checks[0]['image_size']}" if checks else ""


def checked(checks: list[dict[str, Any]]) -> str:
    return "\n".join(f"{error_of(check)} (batch {check['batch_size']})" for check in checks)


def error_of(check: dict[str, Any]) -> str:
    error = check["prediction_error"]
    return MISSING if error is None else f"{100 * error:+.2f} %"


def room_of(document: dict[str, Any]) -> str:
    rooms = [entry["largest_batch"] for entry in document["contestants"] if entry["largest_batch"]]
    return f"{rooms[0]['memory_mib'] / 1024:,.4g} GiB" if rooms else "a given memory"


def gflop(what: str) -> Callable[[dict[str, float]], str]:
    def write(counts: dict[str, float]) -> str:
        parts = ", ".join(f"{kind} {figures(counts[f'{what}_{kind}'])}" for kind in ("conv", "linear", "attention"))
        return f"{figures(counts[what])}\n{parts}"

    return write


def figures(value: float) -> str:
    return f"{value:,.1f}" if value >= 10 else f"{value:.3g}"


def floor(found: dict[str, float]) -> str:
    return f"{found['seconds_per_image']:.4g} s at {found['gflop_per_second']:,.0f} GFLOP/s"


def notes(document: dict[str, Any]) -> list[str]:
    """What has to be said beside the table: warnings, and why a figure is missing."""
    entries = document["contestants"]
    checks = [check for entry in entries for check in entry["prediction_checked"] or []]
    traced = [entry for entry in entries if entry["untraced"] is None]
    return [
        *warnings_of(entries),
        *missing(traced, "source_hook_sum", "the blog post's figure: it is of scratch in fp32, 64×64, batches of 128"),
        *missing(traced, "prediction_checked", "error of the prediction: --check measures it on scaled models"),
        *dict.fromkeys(
            f"{MISSING} error of the prediction: {why_unchecked(c)}" for c in checks if not c["measured_bytes"]
        ),
        *missing(traced, "largest_batch", "largest batch: say how much memory there is, as in --memory 24GiB"),
        *missing(traced, "time_floor", "time floor: give --peak GFLOP/s, or --peak measured"),
        *([] if document["mixed_precision"] == "no" else [AUTOCAST]),
        "At its peak a step holds what is kept (weights, moments, average), what is saved, the gradients that are "
        "there already, the batch, and what is transient.",
        "The peak counts tensors, as eager PyTorch holds them with a CPU's kernels. What kernels and a GPU's libraries "
        "take as workspace, and what its allocator leaves unused, comes on top.",
    ]


AUTOCAST = (
    "Under autocast weights, moments and gradients stay in fp32. A GPU's rules keep normalisations, and what follows "
    "them up to the next convolution or product, in fp32 too: what is saved shrinks by less than half."
)


def warnings_of(entries: list[Entry]) -> list[str]:
    """What could not be followed, and where attention has nothing to choose from."""
    lost = [
        f"{MISSING} {entry['name']}: its training step could not be followed; {entry['untraced']}"
        for entry in entries
        if entry["untraced"] is not None
    ]
    return lost + [
        f"warning: {entry['name']}'s cross attention '{where}' has one context token: its softmax is 1 whatever is "
        "asked, and the number of heads changes nothing"
        for entry in entries
        for where in entry["one_token_contexts"]
    ]


def missing(entries: list[Entry], key: str, why: str) -> list[str]:
    return [f"{MISSING} {why}"] if any(entry[key] is None for entry in entries) else []


def why_unchecked(check: dict[str, Any]) -> str:
    return check.get("why") or f"{check['device']} keeps no count of its peak"


def draw_anatomy(document: dict[str, Any], path: Path) -> None:
    """Stacked bars of memory by kind and level, a panel a contestant, as a PNG."""
    from matplotlib.figure import Figure

    entries = [entry for entry in document["contestants"] if entry["levels"]]
    if not entries:
        raise BadInput("--plot has nothing to draw: no contestant's step could be followed")
    levels = levels_of(entries)
    figure = Figure(figsize=(3.5 + 2.8 * len(entries), 4.5), layout="constrained")
    panels = figure.subplots(1, len(entries), sharey=True, squeeze=False)[0]
    for panel, entry in zip(panels, entries, strict=True):
        draw_bars(panel, entry, levels)
    panels[0].set_ylabel("GiB")
    figure.legend(*panels[0].get_legend_handles_labels(), title="level", loc="outside right upper")
    figure.suptitle(f"Memory of a training step; dashed: predicted peak\n{setting_of(document)}")
    figure.savefig(path, dpi=120, format="png")


def draw_bars(panel: Any, entry: Entry, levels: list[str]) -> None:
    """One contestant's bars: a kind of memory each, stacked by level, with the sum above."""
    kinds = {"weights": "weights", "gradients": "grad.", "adam": "Adam", "ema": "EMA", "activations_saved": "activ."}
    kinds = {kind: label for kind, label in kinds.items() if entry["memory_mib"][kind]}  # not every recipe has an EMA
    memory = {here["level"]: here["memory_mib"] for here in entry["levels"]}
    bottom = [0.0] * len(kinds)
    for number, level in enumerate(levels):
        heights = [memory[level][kind] / 1024 if level in memory else 0.0 for kind in kinds]
        bars = panel.bar(list(kinds.values()), heights, bottom=bottom, label=level, color=f"C{number}")
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    panel.bar_label(bars, [f"{total:.2g}" for total in bottom], padding=2)
    peak = entry["memory_mib"]["predicted_peak"] / 1024
    panel.axhline(peak, xmax=0.78, linestyle="--", color="black", linewidth=1)  # left of the activations' label
    panel.set_title(f"{entry['name']}, peak {peak:,.1f} GiB")


def levels_of(entries: list[Entry]) -> list[str]:
    """Every level that any contestant has, finest first."""
    return finest_first({here["level"] for entry in entries for here in entry["levels"]})
