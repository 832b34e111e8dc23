"""What whole runs measure less often in tests that only ask whether it is measured: their numbers mean nothing anyway.

Slow tests start real processes, which do everything as often as a user's run does.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from bench.cost import account, costs, doctor, machine, probe, steps
from bench.quality import interval, score
from bench.quality.features import EfficientNetLite0
from bench.render.images import plots
from bench.runs import request
from tests.accounts import remembered_account


def without_layout(width: float, height: float) -> Any:
    """A figure that is drawn as it is, and not measured before: that takes half of the time of its plot."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


LESS: list[tuple[Any, str, Any]] = [
    (interval, "RESAMPLES", 20),  # of an interval
    (score, "RESAMPLES", 10),
    (account, "account", remembered_account),  # for who imports it when it is asked
    (costs, "account", remembered_account),
    (doctor, "account", remembered_account),
    (request, "account", remembered_account),
    (plots, "blank", without_layout),
    (machine, "TIMES", 1),  # that a peak is measured
    (probe, "ROUNDS", {"cpu": 1}),
    (probe, "SECONDS", 0.0),
    (steps, "FEWEST", 1),
    (steps, "MOST", 2),  # steps that are timed
    (EfficientNetLite0, "SIDE", 32),  # of the pictures that the features are of
]


@contextlib.contextmanager
def measured_less() -> Iterator[None]:
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in LESS]
    measure_less()
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def measure_less() -> None:
    for owner, name, value in LESS:
        setattr(owner, name, value)
