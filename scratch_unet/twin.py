"""The library's UNet by hand: the same function from the same weights, so that all else is the implementation's."""

import re

from torch import Tensor, nn

from scratch_unet.unet import ScratchDenoiser

# Ours to the library's, in this order; {last} is the number of the coarsest level.
NAMES = (
    (r"^stem\.", "conv_in."),
    (r"^norm\.", "conv_norm_out."),
    (r"^out\.", "conv_out."),
    (r"^time\.first\.", "time_embedding.linear_1."),
    (r"^time\.second\.", "time_embedding.linear_2."),
    (r"^downsample\.level(\d+)\.", r"down_blocks.\1.downsamplers.0.conv."),
    (r"^upsample\.level(\d+)\.convolution\.", r"up_blocks.\1.upsamplers.0.conv."),
    (r"^(down|up)\.level(\d+)\.(\d+)\.resnet\.", r"\1_blocks.\2.resnets.\3."),
    (r"^(down|up)\.level(\d+)\.(\d+)\.attention\.", r"\1_blocks.\2.attentions.\3."),
    (r"^middle\.(\d+)\.resnet\.", r"mid_block.resnets.\1."),
    (r"^middle\.(\d+)\.attention\.", r"mid_block.attentions.\1."),
    (r"(resnets\.\d+)\.time\.", r"\1.time_emb_proj."),
    (r"(resnets\.\d+)\.skip\.", r"\1.conv_shortcut."),
    (r"(attentions\.\d+)\.into\.", r"\1.proj_in."),
    (r"(attentions\.\d+)\.back\.", r"\1.proj_out."),
    (r"(attentions\.\d+)\.((?:norm|attention)\d|feed_forward)\.", r"\1.transformer_blocks.0.\2."),
    (r"\.attention(\d)\.", r".attn\1."),
    (r"\.(query|key|value)\.", lambda found: f".to_{found[1][0]}."),
    (r"(attn\d)\.out\.", r"\1.to_out.0."),
    (r"\.feed_forward\.wide\.", ".ff.net.0.proj."),
    (r"\.feed_forward\.narrow\.", ".ff.net.2."),
)


def library_name(name: str, last: int) -> str:
    """The library's name of one of our UNet's parameters; `last` is the number of the coarsest level."""
    for ours, theirs in NAMES:
        name = re.sub(ours, theirs, name)
    return re.sub(r"^up_blocks\.(\d+)", lambda found: f"up_blocks.{last - int(found[1])}", name)  # counted from there


def names(twin: ScratchDenoiser) -> dict[str, str]:
    """The library's name of each of a twin's parameters, Tau's among them."""
    last = len(twin.unet.made_of.channels) - 1
    return {
        name: "unet." + library_name(name.removeprefix("unet."), last) if name.startswith("unet.") else name
        for name in twin.state_dict()
    }


def load_library(twin: ScratchDenoiser, library: nn.Module) -> None:
    """Give a twin the weights of the library's denoiser; KeyError or RuntimeError where they do not fit."""
    theirs = library.state_dict()
    ours = {name: theirs.pop(other) for name, other in names(twin).items()}
    if theirs:
        raise KeyError(f"the twin has no place for {', '.join(sorted(theirs))}")
    twin.load_state_dict(ours)


def library_state(twin: ScratchDenoiser) -> dict[str, Tensor]:
    """A twin's weights under the library's names."""
    ours = twin.state_dict()
    return {other: ours[name] for name, other in names(twin).items()}
