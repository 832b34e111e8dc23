"""The document of `bench tune`, as a Markdown table and a plot."""

import json
from pathlib import Path
from typing import Any

from bench.render.images.figures import SALT, blank, look_of, rendered
from bench.render.markdown import markdown
from bench.storage import durable


def tune_lines(document: dict[str, Any]) -> list[str]:
    """A row for every rate, a column for every contestant and seed: validation losses, the chosen rates' in bold."""
    trials, runs, best = document["trials"], document["runs"], document["best"]
    lines = table_lines("short trainings", trials, {} if runs else best) if trials else []
    lines += table_lines("whole runs", runs, best) if runs else []
    chosen = ", ".join(f"{name} {told(rate, rates_of(runs or trials, name))}" for name, rate in best.items())
    return [*lines, f"Chosen{' by the whole runs' * bool(runs)}: {chosen}."]


def seeds_of(trials: list[dict[str, Any]], name: str) -> list[int]:
    return sorted({trial["seed"] for trial in trials if trial["contestant"] == name})


def rates_of(trials: list[dict[str, Any]], name: str) -> list[float]:
    return sorted({trial["learning_rate"] for trial in trials if trial["contestant"] == name})


def table_lines(kind: str, trials: list[dict[str, Any]], best: dict[str, float | None]) -> list[str]:
    """What is in the table, the table, and an empty line."""
    names = list(dict.fromkeys(trial["contestant"] for trial in trials))
    tried = [(name, seed) for name in names for seed in seeds_of(trials, name)]
    titles = [f"{name}, seed {seed}" for name, seed in tried] if len(tried) > len(names) else names
    rates = sorted({trial["learning_rate"] for trial in trials})
    rows = [[f"{rate:g}", *(cell(trials, name, rate, seed, best.get(name)) for name, seed in tried)] for rate in rates]
    steps = max(trial["steps"] for trial in trials)
    about = f"Validation loss (mean over eight timesteps) of {kind}: {steps} steps, the learning rate down to zero."
    return [about, "", *markdown(["learning rate", *titles], rows).splitlines(), ""]


def told(best: float | None, rates: list[float]) -> str:
    """The best rate; if no tried one lies beyond it, that as well."""
    if best is None:
        return "–"
    return f"{best:g}" + " (at an edge of its rates: the best may lie beyond)" * (best in (rates[0], rates[-1]))


def cell(trials: list[dict[str, Any]], name: str, rate: float, seed: int, best: float | None) -> str:
    asked = (name, rate, seed)
    found = next((t for t in trials if (t["contestant"], t["learning_rate"], t["seed"]) == asked), None)
    if found is None:
        return "–"
    text = "diverged" if found["validation_loss"] is None else f"{found['validation_loss']:.4f}"
    return f"**{text}**" if rate == best else text


def write_tune(out: Path, document: dict[str, Any]) -> None:
    """The document as JSON, table and plot, beside its trials."""
    durable.write_text(out / "tune.json", json.dumps(document, indent=1) + "\n")
    durable.write_text(out / "tune.md", "\n".join([*tune_lines(document), "", "![by learning rate](tune.png)"]) + "\n")
    durable.write_bytes(out / "tune.png", draw(document))


def draw(document: dict[str, Any]) -> bytes:
    """Validation loss by learning rate: a line for each contestant and seed, paler for the whole runs."""
    import matplotlib

    with matplotlib.rc_context(SALT):
        figure = blank(8, 4)
        panel = figure.subplots()
        for number, name in enumerate(document["best"]):
            style = look_of(number)._asdict()
            for points in by_seed(document["trials"], name):
                panel.plot(*zip(*points, strict=True), label=name, markersize=4, **style)
            for points in by_seed(document["runs"], name):
                panel.plot(*zip(*points, strict=True), label=f"{name}, whole runs", markersize=4, alpha=0.5, **style)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlabel("learning rate")
        panel.set_ylabel("validation loss ↓")
        panel.grid(alpha=0.25)
        handles, labels = panel.get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))  # not once a seed
        figure.legend(once.values(), once.keys(), loc="outside right upper")  # there it hides no point
        return rendered(figure)


def by_seed(trials: list[dict[str, Any]], name: str) -> list[list[tuple[float, float]]]:
    """Rates and losses of the trials that did not diverge, a list for each seed."""
    found: dict[int, list[tuple[float, float]]] = {}
    for trial in sorted(trials, key=lambda each: each["learning_rate"]):
        if trial["contestant"] == name and trial["validation_loss"] is not None:
            found.setdefault(trial["seed"], []).append((trial["learning_rate"], trial["validation_loss"]))
    return list(found.values())
