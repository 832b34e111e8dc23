"""The README of a folder of results: the tables and pictures of every result set in it, as a forge shows them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from bench.errors import BadInput, line_of
from bench.render.anatomy import anatomy_lines, setting_of
from bench.render.bridge import bridge_lines, bridge_title
from bench.render.experiment import (
    HEADER,
    experiment_lines,
    is_run,
    overview_row,
    picture_lines,
    read_answer,
    to_be_run,
)
from bench.render.implementation import implementation_lines
from bench.render.judges import defect_lines
from bench.render.ladder import ladder_lines
from bench.render.markdown import Markdown, escape, image, markdown
from bench.render.overhead import overhead_lines
from bench.render.report.comparison import comparison
from bench.render.tune import tune_lines
from bench.storage import durable
from bench.storage.folder import ResultsFolder
from bench.storage.records import readable_records

# What a damaged document may raise: one beside the records has no schema.
ODD = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)

INTRODUCTION = """# Results

Everything that was measured and committed, a section a folder. This page is made by `python -m bench overview results`
from the records and pictures beside it. What a number means stands in the README under
[How to read the numbers](../README.md#how-to-read-the-numbers). `±` is the standard deviation over seeds, `(a to b)`
the 95 % interval over the samples of one seed; a sign behind a number: it does not compare with the first
column, or settings differ that may decide it."""


PICTURES = {  # beside the documents of `bench judges` and `bench anatomy`
    "attributes": "Real images, noisy and blurred ones, and how many of their attributes the classifier reads",
    "background": "Where the background is looked for, and noise in it",
    "brightness": "Darker and paler images",
    "colour": "The parts that show the colours asked for, and hues turned",
    "distance": "Real images with more and more noise, and their Fréchet distance",
    "hairstyle": "The same avatars with one hairstyle",
    "shape": "Edges of real images, and of bent ones",
    "memory": "Memory of a training step by kind and level",
}
MAIN = ("laptop", "full")  # the comparisons that come first
TUNED = "Validation loss against learning rate, a line for each contestant"
MULTIPLES = "How many times each change of the architecture multiplies a cost: made first, and made last"
Section = tuple[str, str]  # a title, and Markdown
Found = TypeVar("Found")


def write_overview(root: Path) -> tuple[Path, list[str]]:
    """Write `README.md` of a folder of result sets; where it lies, and a line for each record that cannot be read.

    BadInput if there is no result set.
    """
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    refusals: list[str] = []
    sections = claims(root, refusals)
    sections += [section for folder in folders for section in readable(implementations, folder, refusals)]
    sections += [section for folder in folders for section in readable(bridges, folder, refusals)]
    sections += [section for folder in folders for section in readable(experiments, folder, refusals)]
    main = sorted(folders, key=lambda folder: (folder.name not in MAIN, folder.name != MAIN[0], folder.name))
    sections += [section for folder in main for section in comparisons(folder, refusals)]
    for kind in (ladders, tunings, judges, anatomies, overheads):
        sections += [section for folder in folders for section in readable(kind, folder, refusals)]
    if not sections:
        raise BadInput(f"'{root}' holds no result sets: name the folder that they lie in, such as results")
    contents = "\n".join(f"- [{title}](#{anchor(title)})" for title, _ in sections)
    bodies = [f"## {title}\n\n{body}" for title, body in sections]
    path = root / "README.md"
    durable.write_text(path, "\n\n".join([INTRODUCTION, contents, *bodies]) + "\n")
    return path, refusals


def anchor(title: str) -> str:
    """The name that a forge gives to a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def claims(root: Path, refusals: list[str]) -> list[Section]:
    """One table of what every experiment in `claims` has answered so far, each answer as its own page has it, and how
    to run the others.
    """
    answered, open_ones, pages, waiting = [], [], [], []
    for path in sorted(root.glob("claims/*/experiment.json")):
        name = path.parent.name
        for document, page in readable(answers, path.parent, refusals):
            claim, *found = overview_row(document)
            row = [Markdown(f"[{escape(claim)}](claims/{quote(name)}/experiment.md)"), *found]
            if is_run(document):
                answered.append(row)
                pages += [f"### {escape(name)}", page]
            else:
                open_ones.append(row)
                waiting.append(f"- {escape(name)}: {to_be_run(document)}")
    if waiting:
        pages += ["### Not run yet", "\n".join(waiting)]
    rows = answered + open_ones
    whole = "\n\n".join([markdown(HEADER, rows), *pages])
    return [("claims: what experiments say", whole)] if rows else []


def experiments(folder: Path) -> Iterator[Section]:
    """The answer of an experiment in a folder of its own."""
    if ResultsFolder(folder).experiment.exists():
        for document, page in answers(folder):
            waiting = f"{escape(document['experiment']['question'])} Not run yet: {to_be_run(document)}"
            yield f"{folder.name}: an experiment", page if is_run(document) else waiting


def answers(folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """The document and the page of an experiment, as it stands in a folder above."""
    document = read_answer(ResultsFolder(folder).experiment)
    prefix = f"{'claims/' * (folder.parent.name == 'claims')}{folder.name}/"
    runs = ResultsFolder(folder).table
    link = ["", f"[All rows of all runs]({prefix}{runs.name})"] if runs.exists() else []
    lines = [*experiment_lines(document), *picture_lines(document, folder, prefix), *link]
    yield document, "\n".join(lines).strip()


def comparisons(folder: Path, refusals: list[str]) -> Iterator[Section]:
    """The records of a folder, if it has any, and no question of its own that they answer."""
    if ResultsFolder(folder).record_files() and not ResultsFolder(folder).experiment.exists():
        try:
            records, refused = readable_records(folder)
        except BadInput as error:  # none of them can be read
            refusals.append(str(error))
            return
        refusals += refused
        left_out = [f"**Left out:** {escape(why)}." for why in refused]
        yield f"{folder.name}: the comparison", "\n\n".join([*left_out, comparison(folder, records)])


def readable(kind: Callable[[Path], Iterator[Found]], folder: Path, refusals: list[str]) -> list[Found]:
    """A folder's sections of a kind, and a line where one of its documents is damaged."""
    try:
        return list(kind(folder))
    except ODD as error:
        what = f"{folder.name}: a document of its {kind.__name__}"
        refusals.append(f"{what} cannot be shown ({line_of(error)}): make it anew")
        return []


def implementations(folder: Path) -> Iterator[Section]:
    """The library's models and the same by hand."""
    for path in sorted(folder.glob("implementation*.json")):
        yield f"{folder.name}: the same models by hand", "\n".join(implementation_lines(json.loads(path.read_text())))


def bridges(folder: Path) -> Iterator[Section]:
    """What each change from the hand-written UNet to the library's costs."""
    for path in sorted(folder.glob("bridge*.json")):
        plot = path.with_suffix(".png")
        shown = ["", image(MULTIPLES, f"{folder.name}/{plot.name}")] if plot.exists() else []
        document = json.loads(path.read_text())
        yield f"{folder.name}: {bridge_title(document)}", "\n".join([*bridge_lines(document), *shown])


def ladders(folder: Path) -> Iterator[Section]:
    for path in sorted(folder.glob("ladder*.json")):
        yield f"{folder.name}: training speed by setting", "\n".join(ladder_lines(json.loads(path.read_text())))


def tunings(folder: Path) -> Iterator[Section]:
    """The validation losses of the learning rates that were tried for each preset."""
    for path in sorted(folder.glob("*/tune.json")):
        preset, lines = path.parent.name, "\n".join(tune_lines(json.loads(path.read_text())))
        plot = path.with_name("tune.png")
        shown = [f"![{TUNED}]({folder.name}/{preset}/{plot.name})"] if plot.exists() else []
        yield f"{folder.name}: learning rates for {preset}", "\n\n".join([lines, *shown])


def judges(folder: Path) -> Iterator[Section]:
    """What the measures say of known defects, and the pictures of each size."""
    for path in sorted(folder.glob("judges-*.json")):
        side = path.stem.rpartition("-")[2]
        lines = "\n".join(defect_lines(json.loads(path.read_text())))
        parts = [lines, *pictures(folder, f"*-{side}.png")]
        yield f"{folder.name}: known defects at {side}×{side}", "\n\n".join(parts)


def anatomies(folder: Path) -> Iterator[Section]:
    for path in sorted(folder.glob("anatomy*.json")):
        document = json.loads(path.read_text())
        parts = [f"{setting_of(document)}.", "\n".join(anatomy_lines(document)), *pictures(folder, "*.png")]
        yield f"{folder.name}: what full-size models cost", "\n\n".join(parts)


def overheads(folder: Path) -> Iterator[Section]:
    for path in sorted(folder.glob("overhead*.json")):
        about, *lines = overhead_lines(json.loads(path.read_text()))
        yield f"{folder.name}: what the harness costs", "\n".join([f"{about}:\n", *(f"- {line}" for line in lines)])


def pictures(folder: Path, pattern: str) -> list[str]:
    """Every picture of a folder under what it shows."""
    found = []
    for path in sorted(folder.glob(pattern)):
        what = PICTURES.get(path.stem.partition("-")[0], path.stem)
        found.append(f"{what}:<br>![{what}]({folder.name}/{path.name})")
    return found
