"""What each command does with its arguments. Heavy modules are imported late: `--help` must not wait for torch."""

import argparse
import json
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.config import DEFAULT_CONTESTANTS, PRESETS, RECIPES, Sizes, contestant_names, rehearsal
from bench.errors import BadInput, RunFailed, known
from bench.commands.output import emit, emit_lines, emit_rich

if TYPE_CHECKING:
    from bench.runs.runner import RunRequest

LOCAL = Path("results") / "local"  # a user's own runs: git ignores them


def shown_command(arguments: argparse.Namespace) -> str:
    """The command as it can be typed again: what differs from the defaults, no path of this machine."""
    words = ["python -m bench run"]
    hidden = {"command", "out", "cache", "device", "fresh", "json", "inception_weights", "checkpoint_seconds"}
    hidden |= {"report_to", "all_rows", "only_missing", "time_limit"}  # who is told, how, and when, decides nothing
    for name, value in vars(arguments).items():
        default = {
            "preset": "smoke",
            "contestants": DEFAULT_CONTESTANTS,
            "recipe": "matched",
            "seeds": [0],
            "processes": 1,
        }
        default |= {"data": "avataaars"}
        if name in hidden or value in (None, False, []) or value == default.get(name):
            continue
        option = f"--{name.replace('_', '-')}"
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        text = Path(text).name if name == "data" else text
        words.append(option if value is True else f"{option} {text}")
    return " ".join(words)


def run_command(arguments: argparse.Namespace) -> int:
    known(arguments.preset, tuple(PRESETS), "preset")
    known(arguments.recipe, tuple(RECIPES), "recipe")
    from bench import distributed

    rank, arguments.processes = distributed.launched(arguments.processes)
    if rank > 0:  # of a launcher's: the first one starts whatever is needed
        return 0
    check_data(arguments.data)
    from bench.runs import warm

    if arguments.device in ("auto", "cpu"):
        warm.start_importing()

    from bench.record import read_records
    from bench.render.table.table import write_table
    from bench.runs.runner import run
    from bench.stopping import time_limit

    request = run_request(arguments)
    with time_limit(arguments.time_limit):
        undone = run(request)
    if undone and not any((request.out / "records").glob("*.json")):
        raise RunFailed(f"{', '.join(undone)} failed, and the disk took no row of it")
    records = read_records(request.out)  # with what was measured here before, as `bench table` shows it
    made = write_table(request.out, records)
    if arguments.json:
        emit_json(
            {"schema_version": 1, "done": not undone, "table": made.to_json(), "records": [vars(r) for r in records]}
        )
    else:
        emit_rich(made.to_rich(arguments.all_rows))
        emit("".join(f"- {line}\n" for line in made.warnings), end="")
        emit(f"{request.out / 'table.md'} has all rows (here: --all-rows), the legend and pictures.")
    for name in undone:
        print(f"{name} failed; its row says why, or shows what was measured before", file=sys.stderr)
    return 1 if undone else 0


def run_request(arguments: argparse.Namespace) -> "RunRequest":
    """What `bench run` was asked: the preset, with what the user put in its place."""
    from bench.data.library import default_cache
    from bench.runs.runner import RunRequest

    given = {field.name: getattr(arguments, field.name) for field in fields(Sizes)}
    instead = {name: value for name, value in given.items() if value is not None}
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
        out=arguments.out or LOCAL / arguments.preset,
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
    )


def check_data(source: str) -> None:
    """Refuse a data path that cannot be a Cartoon Set before anything heavy is imported."""
    from bench.data.files import members

    if source != "avataaars":
        next(members(Path(source)), None)


def table_command(arguments: argparse.Namespace) -> int:
    """Print the table; 1 if a record had to be left out of it."""
    from bench.record import each_once, readable_records, refused
    from bench.render.table.table import drawable, table

    found = [(folder.name, *readable_records(folder, drawable)) for folder in arguments.folders]
    records, repeated = each_once([(f"{name}/{r.run.name}", r) for name, records, _ in found for r in records])
    made = table(records)
    if arguments.format == "json":
        emit_json(made.to_json())
    elif arguments.format == "csv":
        emit(made.to_csv(), end="")
        print("".join(f"{line}\n" for line in made.warnings), end="", file=sys.stderr)
    elif arguments.format == "md":
        emit(made.to_markdown(), end="")
    else:
        emit_rich(made.to_rich(arguments.all_rows))
        emit_lines(f"- {line}" for line in made.legend)
        if not arguments.all_rows:
            emit(f"{len(made.headlines)} of {len(made.rows)} rows; --all-rows prints all.")
    return refused([*(refusal for *_, refusals in found for refusal in refusals), *repeated])


def walk_command(path: Path) -> int:
    """Write the walk-through's tables and picture; the page is read first, as the models take seconds."""
    from bench.render.walk import read_page, write_walk

    page = read_page(path)
    from bench.cost.account import published
    from bench.cost.walk import walk

    ours, library = (walk(name, published(batch_size=128)) for name in DEFAULT_CONTESTANTS.split(","))
    write_walk(path, page, ours, library)
    emit(str(path))
    return 0


def anatomy_command(arguments: argparse.Namespace) -> int:
    if arguments.walk is not None:
        return walk_command(arguments.walk)
    if arguments.plot is not None and not arguments.plot.absolute().parent.is_dir():
        raise BadInput(f"--plot '{arguments.plot}' lies in no folder that is there: make it first")
    if arguments.plot is not None and arguments.plot.suffix != ".png":
        raise BadInput(f"--plot '{arguments.plot}' is not a .png")

    from bench.cost.anatomy import Question, anatomy
    from bench.render.anatomy import anatomy_table, draw_anatomy, notes

    question = Question(
        contestant_names(arguments.contestants),
        arguments.image_size,
        arguments.batch_size,
        arguments.scale,
        arguments.mixed_precision,
        arguments.device,
        arguments.gradient_checkpointing,
        arguments.memory,
        arguments.peak,
        arguments.check,
    )
    document = anatomy(question)
    if arguments.json:
        emit_json(document)
    else:
        emit_rich(anatomy_table(document))
        emit_lines(f"- {note}" for note in notes(document))
    if arguments.plot is not None:
        draw_anatomy(document, arguments.plot)
    return 0


def overhead_command(arguments: argparse.Namespace) -> int:
    known(arguments.preset, tuple(PRESETS), "preset")
    (contestant, *others) = contestant_names(arguments.contestant)
    if others:
        raise BadInput("--contestant takes one name")
    if arguments.rounds < 7:
        raise BadInput(f"--rounds {arguments.rounds} is too few for an interval: at least 7")

    from bench.cost.overhead import overhead
    from bench.data.library import default_cache
    from bench.environment import choose_device
    from bench.render.overhead import overhead_lines

    document = overhead(
        arguments.preset,
        contestant,
        arguments.rounds,
        arguments.steps,
        choose_device(arguments.device),
        arguments.cache or default_cache(),
    )
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(overhead_lines(document))
    return 0


def doctor_command(arguments: argparse.Namespace) -> int:
    names = contestant_names(arguments.contestants)

    from bench.environment import choose_device

    device = choose_device(arguments.device)  # before what takes seconds to import

    from bench import contestants
    from bench.cost.doctor import doctor
    from bench.render.doctor import doctor_lines

    document = doctor([contestants.contestant(name).name for name in names], device)
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(doctor_lines(document))
    return 1 if document["wrong"] else 0


def ladder_command(arguments: argparse.Namespace) -> int:
    preset = PRESETS[known(arguments.preset, tuple(PRESETS), "preset")]
    names = contestant_names(arguments.contestants)
    given = {name: getattr(arguments, name) for name in ("image_size", "scale", "batch_size")}
    sizes = replace(preset, **{name: value for name, value in given.items() if value is not None})

    from bench import contestants
    from bench.storage import durable
    from bench.cost.ladder import ladder, rungs_for
    from bench.data.library import DataRequest, cache_path, default_cache, load
    from bench.environment import choose_device
    from bench.render.ladder import ladder_lines

    for name in names:
        contestants.check(name, sizes.image_size, sizes.scale)
    device = choose_device(arguments.device)
    request = DataRequest("avataaars", 20 * sizes.batch_size, sizes.image_size)
    avatars = load(request, cache_path(request, arguments.cache or default_cache()))

    def keep(document: dict[str, Any]) -> None:  # early: the next rung may outlast the machine
        if arguments.out is not None:
            durable.write_text(arguments.out, json.dumps(document, indent=1))

    document = ladder(names, sizes, avatars, device, rungs_for(device, arguments.compile), keep)
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(ladder_lines(document))
    return 0


def judges_command(arguments: argparse.Namespace) -> int:
    preset = PRESETS[known(arguments.preset, tuple(PRESETS), "preset")]
    check_data(arguments.data)
    given = {name: getattr(arguments, name) for name in ("images", "image_size", "judge_steps")}
    sizes = replace(preset, **{name: value for name, value in given.items() if value is not None})

    from bench.data.library import default_cache
    from bench.environment import choose_device
    from bench.quality.judges import judge_the_judges
    from bench.render.judges import judges_lines, write_judges

    cache, device = arguments.cache or default_cache(), choose_device(arguments.device)
    document, pictures = judge_the_judges(sizes, arguments.data, arguments.count, device, cache)
    if arguments.out is not None:
        write_judges(arguments.out, document, pictures)
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(judges_lines(document))
    return 0


def emit_json(document: Any) -> None:
    emit(json.dumps(document, indent=1, allow_nan=False))
