"""`bench samplers`: quality by the number of sampling steps, and the fewest that decide nothing."""

import argparse
import json
from pathlib import Path

from bench.commands.arguments import integers, positive_int
from bench.commands.output import emit_json, emit_lines
from bench.config import DEFAULT_CONTESTANTS, contestant_names


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("out", type=Path, metavar="DIR", help="a results folder with its .work")
    parser.add_argument("--contestants", default=DEFAULT_CONTESTANTS, help="names, 'all', or package.module:function")
    parser.add_argument("--recipe", default="matched", help="of the runs (default matched)")
    parser.add_argument("--steps", type=integers, help="default 1,2,5,10,20,30,100; all steps are always among them")
    parser.add_argument("--count", type=positive_int, default=256, help="samples a number of steps (default 256)")
    parser.add_argument("--data", default="avataaars", help="what the runs were trained on, as for run")
    parser.add_argument("--cache", type=Path, help="data cache, as for run")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    names = contestant_names(arguments.contestants)

    from bench.data.library import default_cache
    from bench.errors import BadInput
    from bench.inference.samplers import STEPS, samplers
    from bench.quality.kernel_distance import FEWEST
    from bench.render.samplers import samplers_lines
    from bench.storage import durable
    from bench.storage.folder import ResultsFolder

    cache, steps = arguments.cache or default_cache(), arguments.steps or list(STEPS)
    if arguments.count < FEWEST:
        raise BadInput(f"--count {arguments.count} is too few for a KID: ask for {FEWEST} or more")
    document = samplers(arguments.out, names, arguments.recipe, steps, arguments.count, arguments.data, cache)
    folder = ResultsFolder(arguments.out)
    durable.write_text(folder.samplers, json.dumps(document, indent=1, sort_keys=True) + "\n")
    durable.write_text(folder.samplers.with_suffix(".md"), "\n".join(samplers_lines(document)) + "\n")
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(samplers_lines(document))
    return 0
