"""A folder of records in the README of all results: the first rows of its table, its plots and its pictures."""

from pathlib import Path

from bench.record import Record
from bench.render.images.plots import PLOTS
from bench.render.markdown import escape, image
from bench.render.report.exhibits import SINGLE, shown_records
from bench.render.table.column import Column, columns
from bench.render.table.table import table
from bench.storage.folder import ResultsFolder


def comparison(folder: Path, records: list[Record]) -> str:
    """The first rows of the table of a folder of records, what does not compare, the plots and pictures, and links."""
    more = {
        "README.md": "in detail",
        "table.md": "all rows, the paired differences, and what the numbers rest on",
        "quality.md": "curves, guidance and confusions in numbers",
        "samplers.md": "the sampler",
        "report.html": "the page (download and open)",
    }
    links = [f"[{words}]({folder.name}/{name})" for name, words in more.items() if (folder / name).exists()]
    whole, made = table(records), columns([record for record in records if record.status == "done"])
    parts = [
        whole.markdown_of(whole.headlines).replace("](images/", f"]({folder.name}/images/"),
        "\n".join(f"- {escape(line)}" for line in [*whole.warnings, *of_runs(whole.legend)]),
        f"More: {' · '.join(links)}" if links else "",
        *plots(folder),
        *(part for column in made for part in gallery(folder, column)),
    ]
    return "\n\n".join(part for part in parts if part)


def of_runs(legend: list[str]) -> list[str]:
    """What a legend says of preset, seeds, sizes and learning rates."""
    return [line for line in legend if line.startswith("Preset ")]


def plots(folder: Path) -> list[str]:
    """The plots that lie in a folder of records."""
    return [
        f"![{plot.alt}]({folder.name}/images/{plot.name}.png)"
        for plot in PLOTS
        if (ResultsFolder(folder).images / f"{plot.name}.png").exists()
    ]


def gallery(folder: Path, column: Column) -> list[str]:
    """The pictures of one seed of a contestant, each under what it is, and what is not there; nothing if none is."""
    record, parts, missing = shown_records(column)[0], [], []
    epochs = [(f"after epoch {n}", path) for n, path in enumerate(record.images.epochs, 1)]
    scales = [(f"guidance {scale}", path) for scale, path in record.images.guidance.items()]
    for title, strips in (("What it learns over the epochs", epochs), ("The same at every guidance scale", scales)):
        there = [(words, path) for words, path in strips if (folder / path).exists()]
        parts += [f"{title}:"] if there else []
        parts += [f"{words}<br>{image(f'{column.title}, {words}', f'{folder.name}/{path}')}" for words, path in there]
        missing += [] if there else [title.lower()]
    for one in SINGLE:
        path = one.path(record.images)
        if path is not None and (folder / path).exists():
            parts.append(f"{one.caption}:<br>{image(one.alt.format(column.title), f'{folder.name}/{path}')}")
        else:
            missing.append(one.what)
    missing = [f"Not drawn: {', '.join(missing)}."] if missing else []
    return [f"### {escape(f'{folder.name}: {column.title}')}", *parts, *missing] if parts else []
