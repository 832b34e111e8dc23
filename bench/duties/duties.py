"""What every contestant owes the harness, whoever wrote it: each duty says in one sentence how it is not met, or None.

Most are held against an awakened model: what starts at zero would hide behind its zeros.
"""

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from bench import contestants
from bench.config import PRESETS
from bench.contract import RANDOM_STATE, predict, state_restored
from bench.duties.candidate import OTHER_SEED, SEED, Candidate, Inputs, answer
from bench.errors import words_of

FORWARDS, IMAGES = 3, 8  # in one of which a parameter must have taken part: dropout, or a choice by image, may hide it
MOST_NAMED = 6
# Of the largest number predicted: the least change, in each image, that counts as a reaction.
LEAST_BY_TIMESTEP, LEAST_BY_CONDITION, LEAST_BY_ATTRIBUTE = 2e-4, 2e-5, 2e-6
ROUNDING = 2e-5  # of the largest number predicted; ten times what the published models need
MIXING = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def is_called(candidate: Candidate) -> str | None:
    """It is built and called at this size; raises a BadContestant that says why not."""
    contestants.check(candidate.name, candidate.image_size, candidate.scale, candidate.condition_width)
    return None


def is_finite(candidate: Candidate) -> str | None:
    """In eval mode it returns an image of finite numbers for each image."""
    if wrong := not_finite(answer(candidate.build().eval(), candidate.inputs)):
        return wrong
    wrong = not_finite(answer(candidate.denoiser, candidate.inputs))
    return wrong and f"{wrong} as soon as its weights have moved by 0.05 or so: is a normalisation missing?"


def is_finite_in_training(candidate: Candidate) -> str | None:
    """The same in train mode."""
    return not_finite(answer(candidate.build().train(), candidate.inputs))


def not_finite(prediction: Tensor) -> str | None:
    count = int((~prediction.isfinite()).sum())
    return f"{count:,} of the {prediction.numel():,} numbers it returns are NaN or Inf" if count else None


def is_repeatable(candidate: Candidate) -> str | None:
    """In eval mode equal calls give equal predictions."""
    first, second = (answer(candidate.denoiser, candidate.inputs) for _ in range(2))
    if torch.equal(first, second):
        return None
    return "in eval mode two equal calls differ: draw nothing at random there, and keep nothing from call to call"


def follows_the_seed(candidate: Candidate) -> str | None:
    """The same seed gives the same weights, and another one other weights."""
    first, second, other = (candidate.build(seed).state_dict() for seed in (SEED, SEED, OTHER_SEED))
    if changed := different(first, second):
        return f"the same seed gives other weights ({listed(changed)}): draw them from torch's global generator alone"
    if not different(first, other):
        return "another seed gives the same weights: draw them from torch's global generator, and do not seed it"
    return None


def different(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    """The names of what only one of two models has, or has otherwise."""
    return [n for n in sorted(one | other) if n not in one or n not in other or not torch.equal(one[n], other[n])]


def listed(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def learns_everywhere(candidate: Candidate) -> str | None:
    """Every trainable parameter gets a finite gradient."""
    denoiser = candidate.awake().train()
    for seed in range(FORWARDS):
        inputs = candidate.drawn(seed, torch.linspace(0, 299, IMAGES).long())
        predict(denoiser, *inputs).float().square().mean().backward()
    idle = [name for name, parameter in denoiser.named_parameters() if parameter.requires_grad and is_idle(parameter)]
    return f"no gradient, or NaN, reaches {listed(idle)}: use it, remove it or freeze it" if idle else None


def is_idle(parameter: Tensor) -> bool:
    return parameter.grad is None or not 0 < parameter.grad.abs().max() < torch.inf


def reacts_to_the_timestep(candidate: Candidate) -> str | None:
    inputs = candidate.inputs
    (change,) = reactions(candidate, inputs._replace(timestep=inputs.timestep.roll(1)))
    if change > LEAST_BY_TIMESTEP:
        return None
    return "another timestep changes nothing: it has to know how noisy the image is"


def reacts_to_every_attribute(candidate: Candidate) -> str | None:
    """Each column of the condition, asked for or not, makes a difference."""
    width, (noisy, timestep, condition) = candidate.condition_width, candidate.inputs
    flipped = (Inputs(noisy, timestep, (condition - column).abs()) for column in torch.eye(width))
    ignored = [str(i) for i, change in enumerate(reactions(candidate, *flipped)) if not change > LEAST_BY_ATTRIBUTE]
    return f"columns of the condition that change nothing: {listed(ignored)} (of {width})" if ignored else None


def knows_the_unconditional(candidate: Candidate) -> str | None:
    """A row of zeros gives another prediction than a condition."""
    inputs = candidate.inputs
    (change,) = reactions(candidate, inputs._replace(condition=torch.zeros_like(inputs.condition)))
    if change > LEAST_BY_CONDITION:
        return None
    return "a row of zeros, which means unconditional, gives the same prediction as a condition"


def reactions(candidate: Candidate, *others: Inputs) -> list[float]:
    """The largest change by each of other inputs, in the image that changes least; of the largest number predicted."""
    before = answer(candidate.denoiser, candidate.inputs)
    changes = ((answer(candidate.denoiser, other) - before).flatten(1).abs().amax(1).min() for other in others)
    return [float(change / before.abs().max().clamp_min(1e-30)) for change in changes]


def keeps_images_apart(candidate: Candidate) -> str | None:
    """In eval mode an image's prediction does not depend on the others of its batch."""
    if are_apart(candidate.denoiser, candidate.inputs):
        return None
    return "an image alone gives another prediction than in a batch: compute nothing across images in eval mode"


def are_apart(denoiser: nn.Module, inputs: Inputs) -> bool:
    """Whether each image's prediction is the same alone and in a batch."""
    whole = answer(denoiser, inputs)
    rows = [Inputs(*(each[i : i + 1] for each in inputs)) for i in range(len(whole))]
    alone = torch.cat([answer(denoiser, row) for row in rows])
    return torch.allclose(whole, alone, rtol=1e-4, atol=ROUNDING * float(alone.abs().max()))


def changes_nothing_else(candidate: Candidate) -> str | None:
    """A call leaves its arguments as they are; in eval mode torch's global state, too."""
    with state_restored() as by_building:
        denoiser = candidate.awake()
    with state_restored() as by_calling:
        arguments = changed_arguments(denoiser, candidate.inputs)
    with torch.no_grad():
        arguments += changed_arguments(denoiser.train(), candidate.inputs)
    changed = [*(name for name in by_building if name != RANDOM_STATE), *by_calling, *arguments]
    return (
        f"building or calling it changes {listed([*dict.fromkeys(changed)])}: leave it as it was" if changed else None
    )


def changed_arguments(denoiser: nn.Module, inputs: Inputs) -> list[str]:
    given = Inputs(*(each.clone() for each in inputs))
    predict(denoiser, *given)
    return [f"its argument '{n}'" for n, each in given._asdict().items() if not torch.equal(each, getattr(inputs, n))]


def is_saved_by_its_state_dict(candidate: Candidate) -> str | None:
    """Its weights, stored as the harness stores them, make another model of the same size predict the same."""
    weights = {name: each.detach().clone().contiguous() for name, each in candidate.denoiser.state_dict().items()}
    other = candidate.awake(OTHER_SEED)
    other.load_state_dict(load(save(weights)))
    if torch.equal(*(answer(denoiser, candidate.inputs) for denoiser in (candidate.denoiser, other))):
        return None
    return "loaded into another model, its state_dict gives other predictions: register what is missing as a buffer"


def keeps_images_apart_in_training(candidate: Candidate) -> str | None:
    """No batch normalisation, and nothing of our own that does the same; where training is random, that is not seen."""
    found = [name for name, module in candidate.denoiser.named_modules() if isinstance(module, MIXING)]
    if found:
        return f"in training, {listed(found)} mixes the images of a batch: GroupNorm does not"
    inputs, denoiser = candidate.inputs, candidate.awake().train()
    random = not torch.equal(answer(denoiser, inputs), answer(denoiser, inputs))
    if random or are_apart(denoiser, inputs) or not are_apart(candidate.denoiser, inputs):  # in eval mode: said above
        return None
    return "in training, an image alone gives another prediction than in a batch"


def goes_with_its_weights(candidate: Candidate) -> str | None:
    """On another device, here one without memory, it makes its tensors there; what cannot be called is not seen."""
    inputs = (each.to("meta") for each in candidate.inputs)
    try:
        with torch.no_grad():
            predict(candidate.build().to("meta"), *inputs)
    except Exception as error:
        if "is not on the expected device meta" in str(error):
            return "a tensor that it makes stays on the CPU: register it as a buffer, or make it on its inputs' device"
    return None


def computes_in_channels_last(candidate: Candidate) -> str | None:
    """A training step in the layout that runs have unless the other is clearly faster, or the only one that works."""
    denoiser = candidate.awake().train().to(memory_format=torch.channels_last)
    noisy = candidate.inputs.noisy.to(memory_format=torch.channels_last)
    return stepped(denoiser, candidate.inputs._replace(noisy=noisy))


def computes_in_bf16(candidate: Candidate) -> str | None:
    """A training step under autocast; a run has it where it is faster for all contestants."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return stepped(candidate.awake().train(), candidate.inputs)


def stepped(denoiser: nn.Module, inputs: Inputs) -> str | None:
    prediction = predict(denoiser, *(each.clone() for each in inputs)).float()
    prediction.square().mean().backward()
    return not_finite(prediction)


def has_other_sizes(candidate: Candidate) -> str | None:
    """It is built and called at the sizes of all presets; several refusals are one sentence."""
    asked = {(sizes.image_size, sizes.scale) for sizes in PRESETS.values()} - {(candidate.image_size, candidate.scale)}
    return "; ".join(filter(None, (refusal(candidate, *size) for size in sorted(asked)))) or None


def refusal(candidate: Candidate, image_size: int, scale: float) -> str | None:
    try:
        contestants.check(candidate.name, image_size, scale, candidate.condition_width)
    except Exception as error:
        size = "full size" if scale == 1 else "the small size"
        return f"not at {size} ({image_size}×{image_size}, scale {scale:g}): {words_of(error)}"
    return None
