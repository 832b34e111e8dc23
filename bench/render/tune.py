"""The document of `bench tune`, as a Markdown table and a plot."""

import json
from pathlib import Path
from typing import Any

from bench.render.images.figures import SALT, blank, look, rendered
from bench.render.markdown import markdown
from bench.storage import durable


def tune_lines(document: dict[str, Any]) -> list[str]:
    """A row for every rate, a column for every contestant: validation losses, the best one in bold."""
    trials, best = document["trials"], document["best"]
    rates = sorted({trial["learning_rate"] for trial in trials})
    rows = [[f"{rate:g}", *(cell(trials, name, rate, best[name]) for name in best)] for rate in rates]
    steps = max(trial["steps"] for trial in trials)
    about = f"Validation loss (mean over eight timesteps) after {steps} steps, the learning rate down to zero."
    chosen = ", ".join(f"{name} {told(rate, rates)}" for name, rate in best.items())
    return [about, "", *markdown(["learning rate", *best], rows).splitlines(), "", f"Chosen: {chosen}."]


def told(best: float | None, rates: list[float]) -> str:
    """The best rate; if no tried one lies beyond it, that as well."""
    if best is None:
        return "–"
    return f"{best:g}" + " (at an edge of the grid: the best may lie beyond)" * (best in (rates[0], rates[-1]))


def losses(trials: list[dict[str, Any]], name: str, rate: float) -> list[float | None]:
    here = [trial for trial in trials if (trial["contestant"], trial["learning_rate"]) == (name, rate)]
    return [trial["validation_loss"] for trial in here]


def cell(trials: list[dict[str, Any]], name: str, rate: float, best: float | None) -> str:
    found = losses(trials, name, rate)
    text = " / ".join("diverged" if loss is None else f"{loss:.4f}" for loss in found) or "–"
    return f"**{text}**" if rate == best else text


def write_tune(out: Path, document: dict[str, Any]) -> None:
    """The document as JSON, table and plot, beside its trials."""
    durable.write_text(out / "tune.json", json.dumps(document, indent=1) + "\n")
    durable.write_text(out / "tune.md", "\n".join([*tune_lines(document), "", "![by learning rate](tune.png)"]) + "\n")
    durable.write_bytes(out / "tune.png", draw(document))


def draw(document: dict[str, Any]) -> bytes:
    """Validation loss by learning rate, a line a contestant."""
    import matplotlib

    with matplotlib.rc_context(SALT):
        figure = blank(6, 4)
        panel = figure.subplots()
        rates = sorted({trial["learning_rate"] for trial in document["trials"]})
        for number, name in enumerate(document["best"]):
            style = look(number)
            for seed, points in by_seed(document["trials"], name, rates).items():
                label = name if not seed else None
                panel.plot(*zip(*points, strict=True), label=label, markersize=4, **style._asdict())
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlabel("learning rate")
        panel.set_ylabel("validation loss ↓")
        panel.grid(alpha=0.25)
        panel.legend()
        return rendered(figure)


def by_seed(trials: list[dict[str, Any]], name: str, rates: list[float]) -> dict[int, list[tuple[float, float]]]:
    """Rate and loss of the trials that did not diverge, by the number of their seed."""
    columns = [losses(trials, name, rate) for rate in rates]
    seeds = range(max(map(len, columns), default=0))
    return {
        seed: [
            (r, loss) for r, c in zip(rates, columns, strict=True) if len(c) > seed and (loss := c[seed]) is not None
        ]
        for seed in seeds
    }
