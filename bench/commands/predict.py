"""`bench predict`: power laws of quality against compute and time, and what they say of the published sizes."""

import argparse
from pathlib import Path

from bench.commands.arguments import names
from bench.commands.output import emit_json, emit_lines
from bench.errors import known


def add(parser: argparse.ArgumentParser) -> None:
    parser.description = "From results of several sizes and budgets: ΔE as a power law of compute and of time."
    parser.set_defaults(command=run)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="results folders, together one comparison")
    parser.add_argument("--contestants", type=names, metavar="NAMES", help="only these (default: all that are there)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write page and picture there")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Print what the laws say; 1 if a record had to be left out."""
    from bench.experiments.predict import predict
    from bench.render.predict import predict_lines, write_prediction
    from bench.storage.records import each_once, readable_records, refused

    found = [(folder.name, *readable_records(folder)) for folder in arguments.folders]
    records, repeated = each_once([(f"{name}/{r.run.name}", r) for name, there, _ in found for r in there])
    if arguments.contestants:
        there = sorted({record.run.contestant for record in records})
        asked = {known(name, there, "contestant of these runs") for name in arguments.contestants}
        records = [record for record in records if record.run.contestant in asked]
    document = predict(records)
    if arguments.out is not None:
        write_prediction(arguments.out, document)
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(predict_lines(document))
    return refused([*repeated, *(line for *_, refusals in found for line in refusals)])
