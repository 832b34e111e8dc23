"""A twin beside its library model: by turns, with what each of them takes."""

from dataclasses import replace

import pytest

from bench.config import TWINS
from bench.cost import implementation
from bench.cost.account import Setting
from bench.cost.implementation import PARTS, pair
from bench.render.implementation import implementation_lines
from tests.accounts import remembered_account
from tests.conftest import tiny_config


@pytest.fixture(scope="module")
def found(avatars):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(implementation, "account", remembered_account)
        return pair(replace(tiny_config(avatars), contestant="twin-32"), avatars, rounds=7, steps=1)


def test_three_versions_are_timed_in_turn_and_weighed(found):
    assert list(found["versions"]) == ["library", "keeps all", "twin"]
    for version in found["versions"].values():
        assert all(seconds > 0 for seconds in version["seconds"].values())
        assert version["ratios"].keys() == set(PARTS)
    assert all(ratio["median"] == 1 for ratio in found["versions"]["library"]["ratios"].values())
    library, keeps_all, twin = found["versions"].values()
    assert keeps_all["operations"] < library["operations"]
    assert twin["operations"] > keeps_all["operations"]  # some of them twice
    assert twin["peak_bytes"] < keeps_all["peak_bytes"] < library["peak_bytes"]
    assert len(set(found["full_parameters"].values())) == 1


def test_the_table_has_a_column_for_each_version_and_says_how_it_was_made(found):
    document = {
        "environment": {"device": "a CPU", "threads": 2, "versions": {"torch": "2.14"}},
        "preset": "laptop", "image_size": 32, "scale": 0.125, "batch_size": 16, "memory_format": "channels_last",
        "rounds": 7, "steps_per_round": 1, "load_average": 0.04, "pairs": {"twin-32": found},
    }  # fmt: skip
    about, _, head, _, *rows = implementation_lines(document)
    assert "a CPU, 2 threads" in about
    assert head == "|  | diffusers-32 | twin-32, nothing recomputed | twin-32 |"
    assert [row.count("|") for row in rows] == [5] * 7
    assert rows[-1].startswith("| predicted peak at full size, batch 128, GiB | 95.6 | – | ")


@pytest.mark.parametrize("twin", ["twin-32", *(pytest.param(t, marks=pytest.mark.slow) for t in ("twin-16", "twin-8"))])
def test_a_twin_takes_at_most_six_tenths_of_its_library_models_memory(twin):
    setting = Setting(98, 32, 1 / 8, 16)
    ours, theirs = (remembered_account(name, setting)["predicted_peak"]["bytes"] for name in (twin, TWINS[twin]))
    assert ours < 0.6 * theirs
