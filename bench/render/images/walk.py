"""The drawing of a walk: the UNets as boxes in the order of the forward pass, and the cost of each box under it."""

from typing import Any, NamedTuple

from bench.cost import terms
from bench.cost.terms import Block, Place, Walk, joined
from bench.render.images.figures import blank, look_of, rendered
from bench.render.walk import COSTS, NONE, numbers_of

Positions = dict[Place, int]  # from the left
HALF = 0.33  # of a box's height; levels are 1 apart


class Style(NamedTuple):
    """How the boxes of a role look."""

    label: str
    color: str


STYLES = {
    terms.RESNET: Style("ResNet block", "#a9c9e8"),
    terms.ATTENTION: Style("attention", "#b8dfb0"),
    terms.DOWNSAMPLE: Style("down or up sampling", "#f4b6a6"),
    terms.UPSAMPLE: Style("down or up sampling", "#f4b6a6"),
    terms.TAU: Style("Tau", "#f6d186"),
    terms.TIME: Style("time embedding (t)", "#d9d9d9"),
    terms.INPUT: Style("input, output", "#ffffff"),
    terms.OUTPUT: Style("input, output", "#ffffff"),
}
TITLES = (("parameters, M", 1e6), ("forward GFLOP / image", 1e9), ("saved MiB / image", 2**20))  # of `COSTS`, units


def draw_walk(walks: list[Walk]) -> bytes:
    """A panel for each UNet and for each cost, one above the other, as a PNG."""
    blocks = [joined(walk.blocks) for walk in walks]
    places = sorted({block.place for each in blocks for block in each})
    positions = {place: number for number, place in enumerate(places)}
    heights = [2.3] * len(walks) + [1.0] * len(COSTS)
    figure = blank(8.6, 9)
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    for panel, walk, each in zip(panels, walks, blocks, strict=False):
        draw_unet(panel, walk.name, each, positions)
    for cost, panel in enumerate(panels[len(walks) :]):
        draw_bars(panel, cost, walks, blocks, positions)
    panels[len(walks)].legend(loc="upper center", fontsize=8, ncols=len(walks))
    numbers = numbers_of(walks[0])
    labels = [numbers.get(place, NONE).replace(", ", "–") for place in places]
    panels[-1].set_xticks(range(len(places)), labels, fontsize=7)
    panels[-1].set_xlabel(f"number of the block in {walks[0].name}, in the order of the forward pass", fontsize=8)
    panels[-1].set_xlim(-0.7, len(places) - 0.3)
    figure.legend(handles=boxes_explained(), loc="outside upper center", ncols=6, fontsize=8, frameon=False)
    return rendered(figure)


def draw_unet(panel: Any, name: str, blocks: list[Block], positions: Positions) -> None:
    """A box a block: as high up as its resolution, and in it the number of its channels."""
    for block in blocks:
        x, y = positions[block.place], level_of(block)
        panel.add_patch(box(x, y, STYLES[block.role].color))
        words = {terms.TAU: "Tau", terms.TIME: "t"}.get(block.role, str(block.output[0]))
        panel.text(x, y, words, ha="center", va="center", fontsize=7)
    for start, end, y in skips(blocks, positions):
        corners = [y + HALF, y + HALF + 0.2, y + HALF + 0.2, y + HALF]
        panel.plot([start, start, end, end], corners, color="#777777", linestyle="--", linewidth=1)
    ticks = {level_of(block): terms.square(block.output[-1]) for block in blocks if len(block.output) == 3}
    panel.set_yticks(list(ticks), list(ticks.values()), fontsize=8)
    panel.set_ylim(3.4, 7.7)
    panel.set_title(f"{name} (in a box: channels; dashed: skip connection)", loc="left", fontsize=9)


def box(x: float, y: float, color: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.46, y - HALF), 0.92, 2 * HALF, facecolor=color, edgecolor="#444444", linewidth=0.6)


def level_of(block: Block) -> float:
    """One more for each doubling of the image; what has no image stands between two levels."""
    return block.output[-1].bit_length() if len(block.output) == 3 else 5.5


def skips(blocks: list[Block], positions: Positions) -> list[tuple[int, int, float]]:
    """From where to where, and at which height, the skip connections lead."""
    ends = {level_of(b): positions[b.place] for b in blocks if b.path == "up" and b.role == terms.RESNET}
    starts = {level_of(b): positions[b.place] for b in blocks if b.path == "down" and b.role != terms.DOWNSAMPLE}
    return [(starts[y], end, y) for y, end in ends.items()]


def draw_bars(panel: Any, cost: int, walks: list[Walk], blocks: list[list[Block]], positions: Positions) -> None:
    """One cost of every block, the models side by side."""
    read, (title, unit) = list(COSTS.values())[cost], TITLES[cost]
    width = 0.8 / len(walks)
    for number, (walk, each) in enumerate(zip(walks, blocks, strict=True)):
        x = [positions[block.place] + width * (number - (len(walks) - 1) / 2) for block in each]
        images = 1 if cost == 0 else walk.batch_size
        panel.bar(
            x, [read(block) / unit / images for block in each], width, color=look_of(number).color, label=walk.name
        )
    panel.set_title(title, loc="left", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(axis="y", alpha=0.25)


def boxes_explained() -> list[Any]:
    """The legend of the boxes, each look once."""
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=style.color, edgecolor="#444444", linewidth=0.6, label=style.label)
        for style in dict.fromkeys(STYLES.values())
    ]
