"""`bench run --only-missing`: runs whose records are there already, from other days or machines, are not done again."""

from dataclasses import replace

from bench.config import RunConfig, differences
from bench.environment import training_code
from bench.errors import BadInput
from bench.record import Record
from bench.runs.begun import SETTLED
from bench.runs.request import RunRequest, asked_distances
from bench.storage.folder import ResultsFolder
from bench.storage.records import read_record

DECIDED_HERE = ("device", *SETTLED)


def kept_records(request: RunRequest, drafts: list[RunConfig]) -> dict[RunConfig, Record]:
    """The records that stand for drafts; BadInput for one that another configuration or other code has made.

    A draft's device, precision and memory layout are not decided yet, so they are not compared, but for a precision
    that was asked for. A failed run has no record that could stand for it.
    """
    there = {draft: ResultsFolder(request.out).record(draft.name) for draft in drafts}
    records = {draft: read_record(path) for draft, path in there.items() if path.exists()}
    kept = {draft: record for draft, record in records.items() if record.status == "done"}
    for draft, record in kept.items():
        refuse_other(draft, record, request.mixed_precision)
        refuse_unscored(request, record)
    return kept


def refuse_other(
    draft: RunConfig, record: Record, mixed_precision: str | None, remedy: str = "leave out --only-missing"
) -> None:
    """BadInput for a record of another configuration than the draft's, or by other code; `remedy` measures it anew."""
    theirs = {name: getattr(record.run, name) for name in DECIDED_HERE}
    wanted = replace(draft, **theirs | ({"mixed_precision": mixed_precision} if mixed_precision else {}))
    changed = differences(record.run.as_dict(), wanted.as_dict())
    if changed:
        raise BadInput(f"the record of {draft.name} is of another configuration "
                       f"({'; '.join(changed)}): use another --out, or {remedy}")  # fmt: skip
    made_by, code = record.environment.training_code, training_code(draft.contestant)
    if made_by != code:
        raise BadInput(f"the record of {draft.name} was made by other training code "
                       f"({made_by or 'not recorded'}, not {code}): use another --out, or {remedy}")  # fmt: skip


def refuse_unscored(request: RunRequest, record: Record, remedy: str = "leave out --only-missing") -> None:
    """BadInput for a record that lacks a distance that is asked for: its samples may be elsewhere."""
    missing = asked_distances(request) - record.measurements.distance.keys()
    if missing:
        raise BadInput(
            f"the record of {record.run.name} has no distance by {', '.join(sorted(missing))}, and its samples may be "
            f"elsewhere: do not ask for that, or {remedy}"
        )
