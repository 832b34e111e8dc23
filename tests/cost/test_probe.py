"""The probe: which precision and memory layout it chooses, and for which runs its timings hold."""

import math
from dataclasses import replace

import pytest

from bench.contestants import MEMORY_FORMATS
from bench.cost.out_of_memory import is_out_of_memory
from bench.cost.probe import as_record, choose, probe, read_probes, settle


def test_the_probe_takes_one_precision_for_all_and_each_ones_faster_layout():
    def seconds(no, bf16):
        return {"no": dict(zip(("channels_last", "contiguous"), no, strict=True)),
                "bf16": dict(zip(("channels_last", "contiguous"), bf16, strict=True))}  # fmt: skip

    much_faster = {"a": seconds((1.0, 2.0), (0.3, 0.4)), "b": seconds((2.0, 1.0), (0.5, 0.3))}
    assert choose(much_faster, "cpu") == ("bf16", {"a": "channels_last", "b": "contiguous"})
    hardly_faster = {"a": seconds((1.0, 2.0), (0.95, 1.0)), "b": seconds((2.0, 1.0), (0.9, 0.9))}
    assert choose(hardly_faster, "cpu") == ("no", {"a": "channels_last", "b": "contiguous"})
    about_as_fast = {"a": seconds((1.0, 0.85), (1.0, 1.0)), "b": seconds((1.0, 0.75), (1.0, 1.0))}
    assert choose(about_as_fast, "cpu") == ("no", {"a": "channels_last", "b": "contiguous"})  # a seventh may be chance
    assert choose(about_as_fast, "cuda") == ("no", {"a": "contiguous", "b": "contiguous"})  # there it is none
    about_as_fast_only_without = {"a": seconds((1.0, 0.81), (0.65, 0.65))}
    assert choose(about_as_fast_only_without, "cpu") == (
        "bf16",
        {"a": "channels_last"},
    )  # 0.65 against 1.0, not against 0.81


def test_the_probe_times_a_contestant_anew_at_another_size(config, parts, tmp_path, monkeypatch):
    """Seconds of a step at one scale would make a budget of seconds wrong at another."""
    timed = []
    monkeypatch.setattr("bench.cost.probe.seconds_per_step", lambda asked, train: timed.append(asked) or 1.0)
    larger = replace(config, sizes=replace(config.sizes, scale=config.sizes.scale * 2))
    for asked, count in ((config, 4), (replace(config, seed=5), 4), (larger, 8), (config, 8)):
        settle(tmp_path, "no", [asked], parts.train)
        assert len(timed) == count
    assert read_probes(tmp_path).has(larger, ["no"])
    assert not read_probes(tmp_path).has(replace(larger, contestant="diffusers-32"), ["no"])


@pytest.mark.parametrize("error", [RuntimeError(404), RuntimeError(), RuntimeError(["no", "text"])])
def test_an_error_that_tells_nothing_in_words_is_no_lack_of_memory(error):
    assert not is_out_of_memory(error)
    assert is_out_of_memory(MemoryError())


def test_the_probe_lets_all_take_turns_and_keeps_the_fastest_of_each(config, parts, monkeypatch):
    """On a machine that is ten times as slow from the second trial to the fifth."""
    asked = []

    def taken(config, train):
        asked.append((config.mixed_precision, config.memory_format))
        return len(asked) * (10.0 if 2 <= len(asked) <= 5 else 1.0)

    monkeypatch.setattr("bench.cost.probe.seconds_per_step", taken)
    seconds = probe(config, parts.train, ["no", "bf16"])
    assert asked[:4] == asked[4:] == [(p, layout) for p in ("no", "bf16") for layout in MEMORY_FORMATS]
    assert [seconds[p][layout] for p, layout in asked[:4]] == [1.0, 6.0, 7.0, 8.0]


def test_a_setting_that_a_contestant_cannot_compute_in_is_never_chosen(config, parts):
    """Its forward takes a view that no channels_last image has; a bf16 that fails counts as endlessly slow."""
    viewing = replace(config, contestant="tests.breaking_plug_in:build_viewing")
    told: list[str] = []
    seconds = probe(viewing, parts.train, ["no"], told.append)
    (said,) = told
    assert "build_viewing cannot compute in channels_last, precision no: RuntimeError: view size" in said
    assert seconds["no"]["channels_last"] == math.inf
    assert choose({"viewing": seconds}, "cpu") == ("no", {"viewing": "contiguous"})
    assert as_record(seconds).keys() == {"no/contiguous"}
    none = dict.fromkeys(MEMORY_FORMATS, math.inf)
    assert choose({"viewing": seconds | {"bf16": none}}, "cpu")[0] == "no"
    with pytest.raises(ValueError, match="no such token"):
        probe(replace(config, contestant="tests.breaking_plug_in:build_raises"), parts.train, ["no"])
