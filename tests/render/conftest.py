"""Made-up records for what is drawn from records."""

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
