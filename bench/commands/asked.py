"""What `bench run` was asked: as a request, and as the command to type again."""

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.config import DEFAULT_CONTESTANTS, MATCHED, ONE_RATE, PRESETS, Sizes, contestant_names, found_rate, rehearsal
from bench.variants import split_name

if TYPE_CHECKING:
    from bench.runs.request import RunRequest

LOCAL = Path("results") / "local"  # a user's own runs: git ignores them
# Of what is run, unless the user or an experiment's file says otherwise.
DEFAULTS: dict[str, Any] = {
    "preset": "smoke",
    "contestants": DEFAULT_CONTESTANTS,
    "recipe": MATCHED.name,
    "seeds": [0],
    "data": "avataaars",
}


def run_request(arguments: argparse.Namespace) -> "RunRequest":
    """What `bench run` was asked: the preset, with what the user put in its place."""
    from bench.data.library import default_cache
    from bench.runs.request import RunRequest

    given = {field.name: getattr(arguments, field.name) for field in fields(Sizes) if field.name != "budgets"}
    instead = {name: value for name, value in given.items() if value is not None}
    if arguments.budget is not None or "epochs" in instead:  # which say the same in another way
        instead["budgets"] = arguments.budget or ()
    preset = PRESETS[arguments.preset]
    if arguments.max_steps is not None:
        preset = rehearsal(preset, arguments.max_steps)
    return RunRequest(
        preset=arguments.preset,
        sizes=replace(preset, **instead),
        contestants=contestant_names(arguments.contestants),
        recipe=arguments.recipe,
        seeds=arguments.seeds,
        data=arguments.data,
        out=arguments.out or default_out(arguments),
        cache=arguments.cache or default_cache(),
        device=arguments.device,
        mixed_precision=arguments.mixed_precision,
        inception_weights=arguments.inception_weights,
        extractors=arguments.extractors,
        skip_bad=arguments.skip_bad,
        fresh=arguments.fresh,
        only_missing=arguments.only_missing,
        command=shown_command(arguments),
        processes=arguments.processes,
        checkpoint_seconds=arguments.checkpoint_seconds,
        report_to=arguments.report_to,
        learning_rates=learning_rates(arguments),
        match=arguments.match,
    )


def default_out(arguments: argparse.Namespace) -> Path:
    """A folder for each preset, rehearsal and experiment."""
    if arguments.experiment:
        return LOCAL / "claims" / Path(arguments.experiment).stem
    return LOCAL / (arguments.preset if arguments.max_steps is None else f"{arguments.preset}-rehearsal")


def learning_rates(arguments: argparse.Namespace) -> dict[str, float]:
    """By contestant: the rates that were found for the preset's models and batches.

    Nothing where one was given, where all are to have the same, or for models and batches of other sizes.
    """
    given = (arguments.learning_rate, arguments.image_size, arguments.scale, arguments.batch_size)
    if given != (None,) * len(given) or split_name(arguments.recipe)[0] in ONE_RATE:
        return {}
    found = {name: found_rate(arguments.preset, name) for name in contestant_names(arguments.contestants)}
    return {name: rate for name, rate in found.items() if rate is not None}


def shown_command(arguments: argparse.Namespace) -> str:
    """The command as it can be typed again: what differs from the defaults, no path of this machine."""
    words = ["python -m bench run"]
    hidden = {"command", "out", "cache", "device", "fresh", "json", "inception_weights", "checkpoint_seconds"}
    # Who is told, how, when and where from decides nothing.
    hidden |= {"report_to", "all_rows", "only_missing", "time_limit", "shard", "reuse"}
    hidden |= {"engine", "cluster", "cpus_per_run"}
    default = DEFAULTS | {"processes": 1}
    for name, value in vars(arguments).items():
        if name in hidden or value in (None, False, []) or value == default.get(name):
            continue
        option = f"--{name.replace('_', '-')}"
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        text = Path(text).name if name in ("data", "experiment") else text
        words.append(option if value is True else f"{option} {text}")
    return " ".join(words)
