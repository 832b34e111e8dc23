"""`bench check`: whether a denoiser keeps the contract, and what it costs, before a minute of training."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from bench.commands.arguments import positive_float, positive_int
from bench.commands.output import emit_json, emit_lines, emit_rich
from bench.config import PRESETS, contestant_names
from bench.errors import lacks_memory, words_of

if TYPE_CHECKING:
    from bench.cost.account import Setting

SCHEMA_VERSION = 1
BASELINE = "scratch"  # what costs are shown beside
LAPTOP = PRESETS["laptop"]


def add(parser: argparse.ArgumentParser) -> None:
    parser.description = "Hold denoisers against the contract, in seconds; status 1 if one breaks it."
    parser.set_defaults(command=run)
    parser.add_argument("names", nargs="+", metavar="package.module:build", help="denoisers, yours or ours")
    parser.add_argument("--image-size", type=positive_int, default=LAPTOP.image_size, help="height and width")
    parser.add_argument("--scale", type=positive_float, default=LAPTOP.scale, help="of the channels (1: full size)")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    names = contestant_names(",".join(arguments.names))

    from bench.render.check import check_lines, cost_table, last_line

    document = check(names, arguments.image_size, arguments.scale)
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(check_lines(document))
        emit_rich(cost_table(document))
        emit_lines([*(f"- {each['why']}" for each in document["costs"] if each["why"]), last_line(document)])
    return 1 if any(each["broken"] for each in document["contestants"]) else 0


def check(names: list[str], image_size: int, scale: float) -> dict[str, Any]:
    """The document of `bench check --json`; BadInput for a name that cannot be imported, or a size that ours refuse."""
    from bench import contestants
    from bench.cost.account import Setting
    from bench.data.avataaars import schema

    for name in names:
        contestants.contestant(name)
        if contestants.is_ours(name):
            contestants.check(name, image_size, scale)
    sizes = next((s for s in PRESETS.values() if (s.image_size, s.scale) == (image_size, scale)), LAPTOP)
    setting = Setting(schema().width, image_size, scale, sizes.batch_size)
    return {
        "schema_version": SCHEMA_VERSION,
        "image_size": image_size,
        "scale": scale,
        "condition_width": setting.condition_width,
        "batch_size": setting.batch_size,
        "contestants": [held_against(name, setting) for name in names],
        "costs": [cost_of(name, setting) for name in dict.fromkeys([BASELINE, *names])],
    }


def held_against(name: str, setting: "Setting") -> dict[str, Any]:
    """A contestant's duties, and what became of each."""
    from bench.duties.candidate import Candidate
    from bench.duties.examine import examine

    print(f"check: {name}", file=sys.stderr)
    findings = examine(Candidate(name, setting.condition_width, setting.image_size, setting.scale))
    return {
        "name": name,
        "broken": sum(found.status == "broken" for found in findings),
        "duties": [
            {"duty": f.duty.check.__name__, "label": f.duty.label, "status": f.status, "sentence": f.sentence}
            for f in findings
        ],
    }


def cost_of(name: str, setting: "Setting") -> dict[str, Any]:
    """Parameters, predicted peak and GFLOP per image of a training step; None, and why, where they cannot be had."""
    from bench.contract import no_exit, state_restored
    from bench.cost.account import account
    from bench.cost.anatomy import memory_mib, step_figures

    nothing = dict.fromkeys(("parameters", "predicted_peak_mib", "gflop_per_image"))
    try:
        with state_restored(), no_exit():
            cost = account(name, setting)
    except Exception as error:
        if lacks_memory(error):
            raise
        return {"name": name} | nothing | {"why": words_of(error)}
    return {
        "name": name,
        "parameters": cost["parameters"]["total"],
        "predicted_peak_mib": memory_mib(cost)["predicted_peak"],
        "gflop_per_image": step_figures(cost)["gflop_per_image"],
        "why": cost["untraced"] and f"the training step of {name} could not be followed: {cost['untraced']}",
    }
