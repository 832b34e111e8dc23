"""A twin beside its library model: by turns, with what each of them takes."""

from dataclasses import replace

import pytest
import torch

from bench import contestants
from bench.cost import implementation
from bench.cost.implementation import pair
from bench.cost.turns import PARTS, orders
from bench.duties.candidate import awaken
from bench.render.implementation import implementation_lines
from tests.accounts import remembered_account
from tests.conftest import TINY, tiny_config


@pytest.fixture(scope="module")
def found(avatars):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(implementation, "account", remembered_account)
        return pair(replace(tiny_config(avatars), contestant="twin-32"), avatars, rounds=len(orders(4)), steps=1)


@pytest.mark.slow
def test_four_versions_are_timed_in_turn_and_weighed(found):
    assert list(found["versions"]) == ["library", "twin", "library, checkpointing", "twin, recomputing"]
    for version in found["versions"].values():
        assert all(seconds > 0 for seconds in version["seconds"].values())
        assert version["ratios"].keys() == set(PARTS)
    assert all(ratio["median"] == 1 for ratio in found["versions"]["library"]["ratios"].values())
    library, twin, checkpointing, recomputing = found["versions"].values()
    assert twin["operations"] < library["operations"] < checkpointing["operations"]
    assert twin["operations"] < recomputing["operations"]  # some of them twice
    assert recomputing["peak_bytes"] < twin["peak_bytes"] < library["peak_bytes"]
    assert checkpointing["peak_bytes"] < library["peak_bytes"]
    assert len(set(found["full_parameters"].values())) == 1


@pytest.mark.slow
def test_the_table_has_a_column_for_each_version_and_says_how_it_was_made(found):
    document = {
        "environment": {"device": "a CPU", "threads": 2, "versions": {"torch": "2.14"}},
        "preset": "laptop", "image_size": 32, "scale": 0.125, "batch_size": 16, "memory_format": "channels_last",
        "rounds": len(orders(4)), "steps_per_round": 1, "load_average": 0.04, "pairs": {"twin-32": found},
    }  # fmt: skip
    about, _, head, _, *rows = implementation_lines(document)
    assert "a CPU, 2 threads" in about
    assert head == "|  | diffusers-32 | twin-32 | diffusers-32, checkpointing | twin-32, recomputing |"
    assert [row.count("|") for row in rows] == [6] * 8
    assert rows[-2].startswith("| predicted peak at full size, batch 128, GiB | 95.6 | ")
    assert rows[-1] == "| parameters at full size | 188,511,363 | 188,511,363 | 188,511,363 | – |"


def test_recomputing_changes_nothing_but_memory():
    models = [awaken(contestants.build("twin-32", 11, 16, TINY)) for _ in range(2)]
    models[1].recompute()
    noisy = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for model in models:
        model(noisy, torch.tensor([5, 299]), torch.ones(2, 11)).square().mean().backward()
    for kept, again in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(kept.grad, again.grad)
