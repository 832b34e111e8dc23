"""The walk through the UNets in Markdown: tables written between the markers of a page that people write."""

import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from bench.cost import terms
from bench.cost.terms import Block, Place, Walk, joined, total
from bench.errors import BadInput
from bench.render.markdown import Markdown, escape, image, markdown
from bench.storage import durable

NONE = "–"
PICTURE = "walk.png"  # beside the page
ALT = (
    "Both UNets from left to right in the order of the forward pass, a box a block, and under each box its parameters, "
    "its forward GFLOP per image and the MiB per image that it saves for the backward pass"
)
COSTS: dict[str, Callable[[Block], int]] = {
    "parameters": lambda block: block.parameters,
    "forward GFLOP": lambda block: block.forward_flops,
    "saved, MiB": lambda block: block.saved_bytes,
}
COLUMNS = ("what it does", "in → out", *COSTS)
KINDS = {
    "Tau": (terms.TAU,),
    "time embedding": (terms.TIME,),
    "input and output": (terms.INPUT, terms.OUTPUT),
    "ResNet blocks": (terms.RESNET,),
    "attention": (terms.ATTENTION,),
    "down and up sampling": (terms.DOWNSAMPLE, terms.UPSAMPLE),
    "outside of the blocks": (terms.REST,),
}


def read_page(path: Path) -> str:
    """A Markdown page with all markers; BadInput if it is not there, or if a marker is missing."""
    try:
        page = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput(f"--walk '{path}' cannot be read ({why}): name a Markdown file") from error
    missing = [name for name in SECTIONS if len(marked(name).findall(page)) != 1]
    if missing:
        pairs = ", ".join(f"'<!-- {name} -->' … '<!-- /{name} -->'" for name in missing)
        raise BadInput(f"--walk '{path}' must hold each pair of markers once; add or repair {pairs}")
    return page


def marked(name: str) -> re.Pattern[str]:
    """What stands between a pair of markers, each alone on a line."""
    return re.compile(rf"(?<=^<!-- {name} -->\n).*?(?=^<!-- /{name} -->$)", re.MULTILINE | re.DOTALL)


def page_with(page: str, ours: Walk, library: Walk) -> str:
    """The page with today's tables between its markers."""
    for name, write in SECTIONS.items():
        start, end = next(marked(name).finditer(page)).span()
        page = f"{page[:start]}{write(ours, library)}\n{page[end:]}"
    return page


def write_walk(path: Path, page: str, ours: Walk, library: Walk) -> None:
    """Write the page and the picture beside it."""
    from bench.render.images.walk import draw_walk

    durable.write_bytes(path.with_name(PICTURE), draw_walk([ours, library]))
    durable.write_text(path, page_with(page, ours, library))


def our_table(ours: Walk, _library: Walk) -> str:
    """Every block of the hand-written model, numbered in the order of the forward pass."""
    rows = [[str(number), *cells(block, ours)] for number, block in enumerate(ours.blocks, 1)]
    return markdown(["#", "block", *COLUMNS], [*rows, *ends(ours)])


def library_table(ours: Walk, library: Walk) -> str:
    """The library's blocks beside the numbers of ours that do the same work."""
    numbers, theirs = numbers_of(ours), joined(library.blocks)
    rows = [[numbers.pop(block.place, NONE), *cells(block, library)] for block in theirs]
    if numbers:
        rows.append([", ".join(numbers.values()), f"no block of {library.name} does this", *[NONE] * len(COLUMNS)])
    return markdown(["# by hand", f"block of {library.name}", *COLUMNS], [*rows, *ends(library)])


def numbers_of(walk: Walk) -> dict[Place, str]:
    """The numbers of the blocks at every place."""
    numbered = sorted(enumerate(walk.blocks, 1), key=lambda item: item[1].place)
    places = groupby(numbered, lambda item: item[1].place)
    return {place: ", ".join(str(number) for number, _ in blocks) for place, blocks in places}


def cells(block: Block, walk: Walk) -> list[str]:
    """A block's name and what stands in `COLUMNS`."""
    return [module_names(block), what_it_does(block), shapes(block), *costs(block, walk)]


def kinds_table(ours: Walk, library: Walk) -> str:
    """Both models by kinds of blocks, side by side."""
    header, rows = [""], [[kind] for kind in KINDS] + [[Markdown("**sum**")]]
    for walk in (ours, library):
        header += [f"{walk.name}: blocks", *COSTS]
        blocks = (*walk.blocks, walk.rest)
        for row, roles in zip(rows, (*KINDS.values(), None), strict=True):
            chosen = [block for block in blocks if roles is None or block.role in roles]
            number = sum(len(block.modules) > 0 for block in chosen)
            row += [str(number or NONE), *costs(total(chosen), walk)]
    return markdown(header, rows)


def configs_table(ours: Walk, library: Walk) -> str:
    """Both architectures, a row for each change that leads from one to the other."""
    rows = [[change, fields(ours.made_of[change]), fields(library.made_of[change])] for change in ours.made_of]
    return markdown(["change", ours.name, library.name], rows)


def fields(made_of: dict[str, object]) -> Markdown:
    """Fields of an architecture and their values."""
    return Markdown(", ".join(f"`{name}` {written(value)}" for name, value in made_of.items()))


def written(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


SECTIONS: dict[str, Callable[[Walk, Walk], str]]
SECTIONS = {
    "drawing": lambda *_: image(ALT, PICTURE),
    "configs": configs_table,
    "by-hand": our_table,
    "library": library_table,
    "kinds": kinds_table,
}


def ends(walk: Walk) -> list[list[str]]:
    """The last rows of a table: what is outside of the blocks, and the sum."""
    every = total([*walk.blocks, walk.rest])
    return [
        ["", "outside of the blocks", "compares the prediction with its target", "", *costs(walk.rest, walk)],
        ["", Markdown("**sum**"), "", "", *costs(every, walk)],
    ]


def costs(block: Block, walk: Walk) -> list[str]:
    """A block's parameters, forward GFLOP and saved MiB per image, each with its share of the model's."""
    units = (1, 1e9 * walk.batch_size, 2**20 * walk.batch_size)
    every = [*walk.blocks, walk.rest]
    found = []
    for read, unit in zip(COSTS.values(), units, strict=True):
        count, share = read(block), read(block) / sum(map(read, every))
        amount = f"{count:,}" if unit == 1 else figure(count / unit)
        found.append(amount if share in (0, 1) else f"{amount} ({share:.1%})".replace("%", " %"))
    return found


def figure(value: float) -> str:
    """An amount to a tenth or a hundredth; nothing at all is a plain 0."""
    return f"{value:,.1f}" if value >= 10 else f"{value:.2f}" if value else "0"


def shapes(block: Block) -> str:
    sides = ("×".join(map(str, shape)) or "1" for shape in (block.input, block.output))
    return " → ".join(sides)


def module_names(block: Block) -> str:
    """`down_blocks.0.resnets` 0, 1: names without the part that all have, and numbered ones together."""
    names = [name.removeprefix("unet.").rpartition(".") for name in dict.fromkeys(block.modules)]
    if len(names) > 1 and names[0][0] and all(last.isdigit() for *_, last in names):
        return Markdown(f"`{names[0][0]}` {', '.join(last for *_, last in names)}")
    return Markdown(", ".join(f"`{''.join(parts)}`" for parts in names))


def what_it_does(block: Block) -> str:
    """One plain sentence about a block."""
    before, after = (shape[0] if shape else 1 for shape in (block.input, block.output))
    return escape(
        {
            terms.TAU: f"turns {before} attributes into {after} tokens of width {block.output[-1]}",
            terms.TIME: f"turns the timestep into {after} numbers",
            terms.INPUT: f"turns {before} colours into {after} channels",
            terms.RESNET: "mixes neighbouring pixels and adds the time" + change(before, after),
            terms.ATTENTION: "; ".join(dict.fromkeys(map(reading, block.attention))),
            terms.DOWNSAMPLE: "halves height and width with a strided convolution",
            terms.UPSAMPLE: "doubles height and width" + (", then a convolution" if block.parameters else ""),
            terms.OUTPUT: f"turns {before} channels into the {after} of the prediction",
        }[block.role]
    )


def change(before: int, after: int) -> str:
    if before < after:
        return f"; widens to {after} channels"
    return f"; reads the skip connection; narrows to {after} channels" if before > after else ""


def reading(attention: dict) -> str:
    tokens = f"{attention['context_tokens']} tokens" if attention["kind"] == "cross" else "each other"
    heads = f"{attention['heads']} heads of {attention['head_width']}"
    return f"lets {attention['query_tokens']} pixels read {tokens}, with {heads}"
