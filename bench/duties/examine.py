"""All duties in order, and what became of each when it was held against a contestant."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from bench.contract import no_exit, state_restored
from bench.duties import duties
from bench.duties.candidate import Candidate
from bench.errors import lacks_memory, words_of


class Duty(NamedTuple):
    """What is owed, how to find out, and how bad it is if it is not met; what follows a gate needs it."""

    label: str
    check: Callable[[Candidate], str | None]
    unmet: Literal["broken", "warning", "note"] = "broken"
    gate: bool = False


DUTIES = (
    Duty("is built and called at this size", duties.is_called, gate=True),
    Duty("predicts finite numbers in eval mode", duties.is_finite, gate=True),
    Duty("predicts the same when called again", duties.is_repeatable, gate=True),
    Duty("predicts finite numbers in train mode", duties.is_finite_in_training),
    Duty("takes its weights from the seed", duties.follows_the_seed),
    Duty("has a gradient for every parameter", duties.learns_everywhere),
    Duty("reacts to the timestep", duties.reacts_to_the_timestep),
    Duty("reacts to every attribute", duties.reacts_to_every_attribute),
    Duty("knows what is unconditional", duties.knows_the_unconditional),
    Duty("keeps the images of a batch apart", duties.keeps_images_apart),
    Duty("changes nothing else by a call", duties.changes_nothing_else),
    Duty("is saved and loaded by its state_dict", duties.is_saved_by_its_state_dict),
    Duty("computes in channels_last", duties.computes_in_channels_last, "warning"),
    Duty("computes in bf16", duties.computes_in_bf16, "warning"),
    Duty("keeps them apart in training, too", duties.keeps_images_apart_in_training, "warning"),
    Duty("goes where its weights go", duties.goes_with_its_weights, "warning"),
    Duty("can be built for the other presets", duties.has_other_sizes, "note"),
)


class Finding(NamedTuple):
    """What became of a duty: `ok`, `broken`, `warning`, `note`, or `unchecked` behind a gate that is broken."""

    duty: Duty
    status: str
    sentence: str | None


def examine(candidate: Candidate) -> list[Finding]:
    """Every duty, in order; whatever a plug-in's own code raises is the sentence of the duty that ran it."""
    findings: list[Finding] = []
    for duty in DUTIES:
        closed = next((f.duty.label for f in findings if f.duty.gate and f.sentence), None)
        sentence = f"not checked until it {closed}" if closed else unmet(duty, candidate)
        findings.append(Finding(duty, "unchecked" if closed else duty.unmet if sentence else "ok", sentence))
    return findings


def unmet(duty: Duty, candidate: Candidate) -> str | None:
    """How a duty is not met; None if it is."""
    try:
        with state_restored(), no_exit():
            return duty.check(candidate)
    except Exception as error:
        if lacks_memory(error):
            raise
        return words_of(error)
