"""The answer of an experiment, from its document: a page with a table and a picture, and a line for the overview."""

import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from bench.render.experiment_costs import cost_lines, ratios
from bench.render.experiment_effect import arrow, difference, writer
from bench.render.experiment_parts import decides_by_shares, part_lines
from bench.render.images.experiment import draw
from bench.render.images.waterfall import draw_waterfall
from bench.render.markdown import escape, image, markdown
from bench.render.table.numbers import chance
from bench.render.table.row import MISSING
from bench.storage import durable
from bench.storage.folder import ResultsFolder

HEADER = ["claim", "verdict", "effect (95 %)", "seeds", "comparisons"]
SCHEMA_VERSION = 3
PICTURE, WATERFALL = "images/experiment.png", "images/parts.png"


def read_answer(path: Path) -> dict[str, Any]:
    """The document of an experiment; ValueError for one that this code does not write."""
    document = json.loads(path.read_text())
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"it has no schema_version {SCHEMA_VERSION}")
    return document


def write_experiment(folder: ResultsFolder, document: dict[str, Any]) -> None:
    """The document, its page, and its picture where there is something to draw."""
    durable.write_text(folder.experiment, json.dumps(document, indent=1) + "\n")
    drawn = [arm for arm in document["arms"] if (effect := first_effect(arm)) and effect["differences"]]
    if drawn:
        durable.write_bytes(folder.path / PICTURE, draw(document, drawn, ratios(document, drawn)))
    else:
        durable.remove_file(folder.path / PICTURE)
    if decides_by_shares(document):
        durable.write_bytes(folder.path / WATERFALL, draw_waterfall(document))
    else:
        durable.remove_file(folder.path / WATERFALL)
    shown = picture_lines(document, folder.path)
    durable.write_text(folder.answer, "\n".join([*experiment_lines(document), *shown]) + "\n")


def picture_lines(document: dict[str, Any], folder: Path, prefix: str = "") -> list[str]:
    """The pictures that lie in an experiment's folder: the differences, and samples of each arm's first seed."""
    asked = document["experiment"]
    alt = f"How much each arm of {asked['name']} differs from {asked['reference']}"
    steps = f"From {asked['reference']} by the share of each part to all parts: quality and costs"
    drawn = ({WATERFALL: steps} if document["parts"] else {}) | {PICTURE: alt}
    lines = [
        line for name, words in drawn.items() if (folder / name).exists() for line in ("", image(words, prefix + name))
    ]
    for arm in document["arms"]:
        if arm["samples"] is not None and (folder / arm["samples"]).exists():
            what = f"Samples of {arm['name']}, each row above the real avatars of the same conditions"
            lines += ["", f"{escape(what)}:<br>{image(what, prefix + arm['samples'])}"]
    return lines


def experiment_lines(document: dict[str, Any]) -> list[str]:
    """The question, the verdict, a table of the arms, and what is missing."""
    asked = document["experiment"]
    said = f" ({asked['source']})" if asked["source"] else ""
    return [
        f"**{escape(asked['question'])}**",
        "",
        f"Claim: {escape(asked['claim'])}{escape(said)}. Verdict: **{told(document)}**.",
        "",
        *markdown(table_header(document), table_rows(document)).splitlines(),
        "",
        *cost_lines(document),
        *part_lines(document),
        *(f"- {line}" for line in notes(document)),
    ]


def told(document: dict[str, Any]) -> str:
    """The verdict, or that nobody has run it yet: of a reference alone nothing can be said."""
    return document["verdict"] if is_run(document) else "not run yet"


def is_run(document: dict[str, Any]) -> bool:
    """Whether any arm but the reference has a run."""
    return any(arm["done"] for arm in document["arms"] if not arm["is_reference"])


def table_header(document: dict[str, Any]) -> list[str]:
    measured = [
        title
        for each in document["measures"]
        for title in (each["label"] + arrow(each), f"difference from {document['experiment']['reference']} (95 %)",
                      "p by Holm")
    ]  # fmt: skip
    return ["arm", "contestant, recipe", "runs", *measured, "claimed", "verdict"]


def table_rows(document: dict[str, Any]) -> list[list[str]]:
    asked, declared = document["experiment"], len(document["experiment"]["seeds"])
    rows = []
    for arm in document["arms"]:
        cells = [text for each in document["measures"] for text in measured_cells(arm, each["key"])]
        title = arm["name"] + (" (reference)" if arm["name"] == asked["reference"] else "")
        made_of = ", ".join([f"`{arm['contestant']}`", f"`{arm['recipe']}`", *sizes_of(arm)])
        runs = f"{len(arm['done'])} of {declared}" + (f", {len(arm['failed'])} failed" if arm["failed"] else "")
        rows.append([title, made_of, runs, *cells, arm["expected"] or MISSING, arm["verdict"] or MISSING])
    return rows


def sizes_of(arm: dict[str, Any]) -> list[str]:
    """What an arm has of its own, such as its learning rate."""
    told = {
        name: " ".join(map(str, value)) if isinstance(value, list) else value for name, value in arm["sizes"].items()
    }
    return [f"{name.replace('_', ' ')} {value}" for name, value in told.items()]


def measured_cells(arm: dict[str, Any], key: str) -> list[str]:
    """An arm's mean ± standard deviation, its difference with interval, and p."""
    write, values = writer(key), list(arm["values"].get(key, {}).values())
    mean = MISSING if not values else write(fmean(values))
    spread = f" ± {write(stdev(values))}" if len(values) > 1 else ""
    effect = next((each for each in arm["effects"] if each["measure"] == key), None)
    p = None if effect is None else effect["p_holm"]
    return [mean + spread, difference(effect, write), MISSING if p is None else chance(p)]


def first_effect(arm: dict[str, Any]) -> dict[str, Any] | None:
    """By the measure that decides; None of the reference."""
    return arm["effects"][0] if arm["effects"] else None


def notes(document: dict[str, Any]) -> list[str]:
    """How it was decided, which runs have failed, and what is missing, with the command and the time."""
    asked = document["experiment"]
    margin = f" A smaller difference than {asked['margin']:g} counts as none." if asked["margin"] else ""
    first = document["measures"][0]["label"] if document["measures"] else asked["measures"][0]
    lines = [
        f"Preset {asked['preset']}. The first measure, {first}, decides. Differences are paired by seed; p by a paired "
        f"t test, with Holm's correction over all {document['comparisons']} comparisons, also those still to be made; "
        f"with fewer than six seeds nothing is tested, and no arm is decided before all its runs are there.{margin}"
    ]
    for arm in document["arms"]:
        lines += [
            f"**{escape(arm['name'])}, seed {seed} failed:** {escape(why)}" for seed, why in arm["failed"].items()
        ]
        lines += [
            f"**{escape(arm['name'])}, seeds {', '.join(map(str, each['seeds']))}: no pairs with the reference by "
            f"{escape(each['measure'])}:** another {escape(', '.join(each['why']))}."
            for each in arm.get("unpaired", ())  # older documents have none
        ]
    lines += [f"**Left out, of another configuration:** {escape(told)}" for told in document["left_out"]]
    lines += standing_together(document)
    return [*lines, f"**Missing:** {to_be_run(document)}"] if missing(document) else lines


def standing_together(document: dict[str, Any]) -> list[str]:
    """Which runs of other code, data, packages or machines are in one answer; older documents do not have all four."""
    lines = []
    for kind, what in (("training_codes", "the training code"), ("scoring_codes", "the code that scores")):
        if len(codes := document.get(kind, [])) > 1:
            lines.append(f"**Runs of {len(codes)} versions of {what} stand together:** {', '.join(codes)}.")
    if len(hashes := document.get("data", [])) > 1:
        lines.append(f"**Runs on {len(hashes)} data sets stand together ({', '.join(hashes)}):** each pair is on one.")
    if versions := document.get("versions"):
        lines.append(f"**Runs by different versions of packages stand together:** {'; '.join(versions)}.")
    if len(machines := document.get("instruction_sets", [])) > 1:
        told = "pairs of one seed may be less alike, so intervals wider"
        lines.append(f"**Runs of {len(machines)} instruction sets stand together ({', '.join(machines)}):** {told}.")
    return lines


def to_be_run(document: dict[str, Any]) -> str:
    """How many runs are missing, about how long they take, and the command."""
    count = len(missing(document))
    runs = "1 run" if count == 1 else f"{count} runs"
    return f"{runs}{time_of(document)}: `{document['command']}`"


def missing(document: dict[str, Any]) -> list[tuple[str, int]]:
    """The arm and seed of every run that is still to be done; a failed one is not."""
    return [(arm["name"], seed) for arm in document["arms"] for seed in arm["missing"]]


def time_of(document: dict[str, Any]) -> str:
    """About how long the missing runs take: by those of the same arms that are done, else by a few steps."""
    arms = [arm for arm in document["arms"] if arm["missing"]]
    times = [arm.get("time", {"seconds": None}) for arm in arms]  # older documents have none
    if any(time["seconds"] is None for time in times):
        return ""
    hours = sum(len(arm["missing"]) * time["seconds"] for arm, time in zip(arms, times, strict=True)) / 3600
    measured = all(time["measured"] for time in times)
    how = "at the mean time of those that are done" if measured else "by a few timed steps"
    where = ", ".join(sorted({str(machine) for time in times for machine in time["on"]}))
    return f", about {hours:.1f} h {how} ({where})"


def overview_row(document: dict[str, Any]) -> list[str]:
    """Claim, verdict, the effect of the arm that the claim is about, seeds, comparisons."""
    of_what, effect = claimed_effect(document)
    key = document["experiment"]["measures"][0]
    label = next((each["label"] for each in document["measures"] if each["key"] == key), key)
    size = difference(effect, writer(key))
    seeds = len(effect["differences"]) if effect else 0
    return [
        document["experiment"]["claim"],
        f"**{told(document)}**",
        size if size == MISSING else f"{label}: {size}, {of_what}",
        str(seeds),
        str(len(document["beyond"]["effects"]) if document["experiment"].get("together") else document["comparisons"]),
    ]


def claimed_effect(document: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """What the claim is about, in words, with the effect by the measure that decides."""
    asked, arms = document["experiment"], document["arms"]
    if asked.get("together"):
        return "all parts together, less the sum of each alone", document["beyond"]["effects"][0]
    arm = next((each for each in arms if each["expected"]), None) or next(each for each in arms if each["effects"])
    return f"{arm['name']} − {asked['reference']}", first_effect(arm)
