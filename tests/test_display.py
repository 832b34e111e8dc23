"""Progress where there is no terminal: a line a phase, and one every few seconds within a long one."""

import time

from bench import display as module
from bench.display import display


def test_every_phase_has_a_line_and_a_long_one_says_where_it_stands(capsys, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT", 0.5)
    monkeypatch.setattr(module, "SHORT", 0.05)
    with display("scratch") as show:
        show.phase("sampling, main", 8)
        show.advance(3, "loss 0.5")
        time.sleep(2.2)
        show.phase("epoch 1/1", 2)
        show.say("epoch 1/1: loss 0.4")
        show.phase("scoring", 2)
        time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert "scratch sampling, main: 1 s so far, 3 of 8 loss 0.5" in lines or (
        "scratch sampling, main: 2 s so far, 3 of 8 loss 0.5" in lines
    )
    assert [line for line in lines if "so far" not in line] == [
        "scratch sampling, main: 2.2 s",
        "scratch epoch 1/1: loss 0.4",
        "scratch scoring: 0.1 s",
    ]


def test_a_phase_of_unknown_length_has_not_that_of_the_one_before(capsys):
    with display("scratch") as show:
        show.phase("sampling, guidance-9", 2)
        show.phase("drawings of every variant")
        show.advance(704)
        show.say_where_it_stands()
    assert "drawings of every variant: 0 s so far, 704 done" in capsys.readouterr().err


def test_the_summary_names_the_phases_by_their_time_and_those_of_one_kind_together(monkeypatch):
    with display("scratch") as show:
        show.seconds_by_phase = {"epoch 1/2": 1.0, "sampling, main": 2.5, "epoch 2/2": 1.0, "sampling, guidance-3": 0.5}
        assert show.summary().endswith(" s: sampling 3.0 s, training 2.0 s")
