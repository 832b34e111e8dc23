"""`bench tune`: the learning rate of every contestant, by validation loss, with the same trials for all."""

import argparse
from pathlib import Path

from bench.commands.arguments import check_data, floats, integers, positive_int
from bench.commands.output import emit_json, emit_lines
from bench.config import DEFAULT_CONTESTANTS, PRESETS, Sizes, contestant_names
from bench.errors import known

SHARE = 6  # of a preset's main budget: that part of it is a trial


def add(parser: argparse.ArgumentParser) -> None:
    parser.description = "A short training with a finished schedule for each contestant and rate; the best is reported."
    parser.set_defaults(command=run)
    parser.add_argument("--preset", default="laptop", help=f"whose sizes: one of {', '.join(PRESETS)}")
    parser.add_argument("--contestants", default=DEFAULT_CONTESTANTS, help="names, 'all', or package.module:function")
    parser.add_argument("--rates", type=floats, metavar="R,R,…", help="at first (default 0.0003,0.001,0.003,0.01)")
    parser.add_argument("--images", type=positive_int, metavar="N", help="of a trial (default: a sixth of a run's)")
    parser.add_argument("--seeds", default="0", type=integers, help="of every trial (default 0)")
    parser.add_argument("--runs", type=Path, nargs="+", metavar="DIR", help="results at several rates: these decide")
    parser.add_argument("--data", default="avataaars", help="'avataaars', or a Cartoon Set folder or .tgz")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--cache", type=Path, help="data cache, as for run")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default results/local/tune/<preset>")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    sizes = PRESETS[known(arguments.preset, tuple(PRESETS), "preset")]
    names = contestant_names(arguments.contestants)
    check_data(arguments.data)

    from bench import contestants
    from bench.data.library import DataRequest, cache_path, default_cache, load
    from bench.data.splits import split
    from bench.environment import choose_device
    from bench.render.tune import tune_lines, write_tune
    from bench.runs.tune import RATES, config_for, tune, without_copies
    from bench.storage import durable
    from bench.storage.records import read_records

    out = arguments.out or Path("results") / "local" / "tune" / arguments.preset
    durable.check_writable(out)
    names = [contestants.contestant(name).name for name in names]
    device = choose_device(arguments.device)
    request = DataRequest(arguments.data, sizes.images, sizes.image_size)
    avatars = load(request, cache_path(request, arguments.cache or default_cache()))
    parts = split(avatars)
    images = arguments.images or max(sizes.batch_size, trained_images(sizes, len(parts.train)) // SHARE)
    config = config_for(arguments.preset, sizes, images, parts, avatars.content_hash, device)
    there = [record for folder in arguments.runs or [] for record in read_records(folder)]
    document = tune(names, arguments.rates or RATES, arguments.seeds, config, parts, out, without_copies(there))
    write_tune(out, document)
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(tune_lines(document))
    return 0


def trained_images(sizes: Sizes, train: int) -> int:
    """How many images a run of the preset sees in training."""
    first = next((budget for budget in sizes.budgets if budget.kind == "images"), None)
    return int(first.amount) if first else sizes.epochs * train
