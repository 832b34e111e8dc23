"""The sharpest rows: samples against the true picture of their condition, and by the exact judge."""

from collections.abc import Callable
from functools import partial

from bench.record import Record
from bench.record.quality import Estimate, Exact, Paired, Reference
from bench.render.table.row import Row, Section, decimals, estimate, resting_on, share, within


def paired(record: Record) -> Paired | None:
    return record.measurements.paired


def exact(record: Record) -> Exact | None:
    return record.measurements.exact


def retrieval(record: Record) -> Reference | None:
    """What the training images with the nearest attributes score."""
    found = record.measurements.references
    return None if found is None else found.retrieval


def found_paired(read: Callable[[Paired], Estimate | None]) -> Callable[[Record], float | None]:
    return within(within(retrieval, lambda found: read(found.paired)), lambda each: each.value)


def found_exact(read: Callable[[Exact], Estimate]) -> Callable[[Record], float | None]:
    return within(within(retrieval, lambda found: found.exact), lambda each: read(each).value)


asked, plain = partial(estimate, Section.ATTRIBUTES), partial(Row, Section.ATTRIBUTES)
RETRIEVED = "the training image with the nearest attributes, in place of a sample: what a look-up scores"

ASKED_ROWS = resting_on("samples", [
    asked("paired_colour", "colour difference to the true picture, ΔE", within(paired, lambda p: p.colour), decimals(2),
          "lower", "mean over pixels of the distance in CIELAB (CIE76); the attributes determine the picture",
          headline=True),
    plain("paired_colour_retrieval", "… of the nearest training image", found_paired(lambda p: p.colour), decimals(2),
          None, RETRIEVED, headline=True),
    asked("paired_structure", "structure as in the true picture, SSIM", within(paired, lambda p: p.structure),
          decimals(3), "higher", "structural similarity; 1 is the true picture"),
    plain("paired_structure_retrieval", "… of the nearest training image", found_paired(lambda p: p.structure),
          decimals(3), None, RETRIEVED),
    asked("all_right", "all attributes right", within(exact, lambda e: e.all_right), share, "higher",
          "samples that show every attribute as asked, by the nearest drawing of all variants; real images: 100 %",
          headline=True),
    plain("all_right_retrieval", "… of the nearest training image", found_exact(lambda e: e.all_right), share, None,
          RETRIEVED),
    asked("exact_accuracy", "attribute accuracy, exact", within(exact, lambda e: e.macro), decimals(3), "higher",
          "mean over attributes, by the nearest drawing of all variants; real images: 1", headline=True),
    plain("exact_accuracy_retrieval", "… of the nearest training image", found_exact(lambda e: e.macro), decimals(3),
          None, RETRIEVED),
    plain("exact_chance", "… its chance level", within(exact, lambda e: e.chance), decimals(3), None,
          "a variant named at random; variants that look alike in a picture count as one"),
    plain("exact_shuffled", "… of real images of other conditions", within(exact, lambda e: e.shuffled), decimals(3),
          None, "real images in the wrong order: some attributes agree by accident"),
])  # fmt: skip

AGREEMENT_ROW = asked("agreement", "… classifier and exact judge agree", within(exact, lambda e: e.agreement), share,
                      None, "share of the answers that both call right, or both wrong; of what both can score",
                      rests_on="classifier")  # fmt: skip
