"""A made-up record, and what the table made of it says in a row."""

from dataclasses import replace

import pytest

from tests.made_up import complete_record


@pytest.fixture
def record(config):
    """A made-up but complete record: the renderer is tested here, not the measurements."""

    def make(contestant="scratch", seed=0, accuracy=0.8, **more):
        run = replace(config, contestant=contestant, seed=seed, data_hash="0123456789abcdef")
        return complete_record(run, accuracy, **more)

    return make


def cells_of(made, label):
    return next(made.cells(row) for row in made.rows if row.label == label)


def words_of(made):
    return [[cell.text for cell in cells_of(made, label)] for label in ("strength", "weakness")]
