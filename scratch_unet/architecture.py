"""What a UNet is made of, as one frozen configuration: the blog post's two kinds, the steps between, and one more."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Architecture:
    """A UNet and its Tau. Sizes are those of scale 1."""

    channels: tuple[int, ...]  # one entry a level, from the finest
    attends: Literal["two coarsest levels", "all levels"]
    attention: Literal["cross", "transformer"]
    attention_after: Literal["level", "block"]  # once at the end of a level, or behind every ResNet block
    attends_to_itself: bool  # a transformer's first attention; else it is to the context
    middle_attends_to_itself: bool
    heads: int
    scales_heads: bool  # a smaller scale has fewer heads; else it has narrower ones
    blocks_down: int  # ResNet blocks a level
    blocks_middle: int
    blocks_up: int
    skips: Literal["level", "block"]  # the decoder takes the last output of a level, or every block's
    convolves_upsampled: bool
    context_tokens: int
    context_width: int
    time_frequencies: int
    time_width: int
    cosines_first: bool
    groups: int = 32
    normalises_context: bool = False  # each of Tau's tokens to mean 0 and variance 1
    adds_context_to_time: bool = False  # so every ResNet block is told the attributes, also where none attends

    def scaled(self, scale: float) -> "Architecture":
        """The same shape with fewer channels."""
        return replace(
            self,
            channels=tuple(round(width * scale) for width in self.channels),
            heads=max(1, round(self.heads * scale)) if self.scales_heads else self.heads,
            context_tokens=max(2, round(self.context_tokens * scale)),
            context_width=round(self.context_width * scale),
            time_frequencies=round(self.time_frequencies * scale),
            time_width=round(self.time_width * scale),
            groups=round(self.groups * scale),
        )


# The blog post's UNet by hand. It publishes the total (76,464,439) and the down path, not the blocks; the rest is ours.
SCRATCH = Architecture(
    channels=(128, 256, 512, 1024),
    attends="two coarsest levels",
    attention="cross",
    attention_after="level",
    attends_to_itself=False,
    middle_attends_to_itself=False,
    heads=4,
    scales_heads=False,  # a sibling of the blog post never learned colours with one head
    blocks_down=1,
    blocks_middle=1,
    blocks_up=2,
    skips="level",
    convolves_upsampled=False,
    context_tokens=128,
    context_width=256,
    time_frequencies=128,
    time_width=256,
    cosines_first=False,
)

# diffusers' UNet2DConditionModel, as the blog post calls it.
LIBRARY_32 = Architecture(
    channels=(128, 256, 512),
    attends="all levels",
    attention="transformer",
    attention_after="block",
    attends_to_itself=False,
    middle_attends_to_itself=True,
    heads=32,
    scales_heads=True,
    blocks_down=2,
    blocks_middle=2,
    blocks_up=3,
    skips="block",
    convolves_upsampled=True,
    context_tokens=256,
    context_width=1280,
    time_frequencies=128,
    time_width=512,
    cosines_first=True,
)
LIBRARY_16 = replace(LIBRARY_32, attends_to_itself=True, heads=16)
LIBRARY_8 = replace(LIBRARY_32, attends_to_itself=True, heads=8)

# Found by trials: few wide tokens, normalised, read at every level and told to every block, and channels moved from the
# coarsest level to the finest. Which of it helps is not known.
SCRATCH_BEST = replace(
    SCRATCH,
    channels=(192, 320, 512, 640),
    attends="all levels",
    heads=32,
    scales_heads=True,
    context_tokens=24,
    context_width=1280,
    time_width=1024,
    normalises_context=True,
    adds_context_to_time=True,
)

# Between `scratch` and `twin-32`: each change by name, and the fields that it sets as in the other one.
CHANGES = {
    "tau": ("context_tokens", "context_width"),
    "heads": ("heads", "scales_heads"),
    "attention": ("attends", "attention_after"),
    "transformer": ("attention", "middle_attends_to_itself"),
    "blocks": ("blocks_down", "blocks_middle", "blocks_up", "skips"),
    "levels": ("channels",),
    "upsampling": ("convolves_upsampled",),
    "time": ("time_width", "cosines_first"),
}


def changed(architecture: Architecture, other: Architecture, change: str) -> Architecture:
    """The architecture with one change towards the other."""
    return replace(architecture, **{field: getattr(other, field) for field in CHANGES[change]})


NAMED = {
    "scratch": SCRATCH,
    "scratch-best": SCRATCH_BEST,
    "twin-32": LIBRARY_32,
    "twin-16": LIBRARY_16,
    "twin-8": LIBRARY_8,
}


def architecture_of(name: str) -> Architecture:
    """By its name; KeyError if there is none.

    `scratch+tau+heads` is `scratch` with Tau and heads as in `twin-32`, `twin-32-tau` the other way round.
    """
    for start, sign, other in (("scratch", "+", LIBRARY_32), ("twin-32", "-", SCRATCH)):
        if name.startswith(start + sign):
            made = NAMED[start]
            for change in name.removeprefix(start + sign).split(sign):
                made = changed(made, other, change)
            return made
    return NAMED[name]
