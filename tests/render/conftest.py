"""A made-up record, and what the table made of it says in a row."""

from dataclasses import replace

import pytest

from bench.config import MATCHED, Budget
from tests.made_up import complete_record


@pytest.fixture
def record(config):
    """A made-up but complete record: the renderer is tested here, not the measurements."""

    def make(contestant="scratch", seed=0, accuracy=0.8, **more):
        sizes = replace(config.sizes, budgets=(Budget("images", 300), Budget("images", 200), Budget("seconds", 9)))
        of_seed = replace(config, contestant=contestant, seed=seed, data_hash="0123456789abcdef")
        run = replace(of_seed, sizes=sizes, recipe=MATCHED)
        return complete_record(run, accuracy, **more)

    return make


def cells_of(made, label):
    return next(made.cells(row) for row in made.rows if row.label == label)
