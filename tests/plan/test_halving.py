"""Successive halving played with made-up scores: who goes on, in what order, and what it costs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsweep.plan.halving import Bracket, live, rungs
from xsweep.plan.stage import Hyper
from xsweep.plan.study import Trial
from xsweep.spec.sweep import Halving

Score = Callable[[int, int], tuple[str, float | None]]
"""Trial, epoch -> how its run to that epoch ended."""


def bracket(epochs: list[int], eta: int = 3, first: int = 1) -> Bracket:
    points = [Hyper(1e-5 * (number + 1), count) for number, count in enumerate(epochs)]
    return Bracket(Halving(eta=eta, epochs=first), points)


def play(of: Bracket, score: Score, order: random.Random | None = None) -> dict[int, Trial]:
    ended: dict[int, Trial] = {}
    while pending := of.pending(ended):
        run, hyper = order.choice(pending) if order else pending[0]
        status, value = score(run % len(of.points), hyper.until or hyper.epochs)
        ended[run] = Trial(run, hyper, f"k{run}", status, value)
    return ended


def sound(number: int, epoch: int) -> tuple[str, float | None]:
    return "ok", 10.0 * number + epoch


def test_the_best_third_goes_on() -> None:
    of = bracket([9] * 9)
    ended = play(of, sound)
    epochs = [[ended[run].hyper.until for run in sorted(ended) if run // 9 == rung] for rung in range(3)]
    assert epochs == [[1] * 9, [3] * 3, [None]]
    trials, before = of.trials(ended)
    assert [trial.status for trial in trials] == ["pruned"] * 8 + ["ok"]
    assert [trial.number for trial in trials] == list(range(9))
    assert [run.number for run in before] == [6, 7, 8, 9 + 8]


def test_of_equals_the_lower_number_goes_on() -> None:
    trials, _ = (of := bracket([3] * 6)).trials(play(of, lambda number, epoch: ("ok", 50.0)))
    assert [trial.number for trial in trials if trial.status == "ok"] == [0, 1]


def test_diverged_and_collapsed_trials_end_at_once() -> None:
    def ends(number: int, epoch: int) -> tuple[str, float | None]:
        return ("diverged", None) if number == 5 else ("degenerate", 99.0) if number > 1 else ("pruned", number)

    of = bracket([3] * 6)
    trials, _ = of.trials(play(of, ends))
    assert [trial.hyper.until for trial in trials] == [None, None, 1, 1, 1, 1]
    assert [trial.status for trial in trials][2:] == ["pruned"] * 3 + ["diverged"]


def test_where_all_have_collapsed_the_best_go_on() -> None:
    trials, _ = (of := bracket([3] * 3)).trials(play(of, lambda number, epoch: ("degenerate", float(number))))
    assert [(trial.status, trial.hyper.until) for trial in trials] == [("pruned", 1)] * 2 + [("degenerate", None)]


def test_where_all_have_diverged_nothing_goes_on() -> None:
    ended = play(bracket([9] * 9), lambda number, epoch: ("diverged", None))
    assert len(ended) == 9


def test_a_trial_that_is_over_is_not_run_again_and_not_pruned() -> None:
    of = bracket([1, 2, 9, 9, 9, 9])
    ended = play(of, lambda number, epoch: ("ok", 100.0 - 10 * number))
    assert [run for run in ended if run % 6 == 0] == [0]
    trials, _ = of.trials(ended)
    assert [trial.status for trial in trials] == ["ok", "ok", "pruned", "pruned", "pruned", "pruned"]


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=14), st.integers(2, 4), st.integers(1, 3), st.integers())
def test_no_order_changes_anything(epochs: list[int], eta: int, first: int, seed: int) -> None:
    def ends(number: int, epoch: int) -> tuple[str, float | None]:
        chance = random.Random(f"{seed}/{number}/{epoch}")
        kind = chance.choice(["ok", "ok", "ok", "degenerate", "diverged", "failed"])
        return kind, None if kind in ("diverged", "failed") else chance.choice([1.0, 2.0, chance.random()])

    of = bracket(epochs, eta, first)
    whole = play(of, ends)
    assert play(of, ends, random.Random(seed)) == whole
    half: Mapping[int, Trial] = {run: trial for run, trial in whole.items() if run % 2}
    assert all(hyper == whole[run].hyper for run, hyper in of.pending(half))
    trials, before = of.trials(whole)
    assert len(trials) == len(epochs)
    assert len(trials) + len(before) == len(whole)


def test_what_it_comes_to() -> None:
    halving = Halving(eta=3, epochs=1)
    assert rungs(halving, 9) == [1, 3]
    assert rungs(halving, 10) == [1, 3, 9]
    assert rungs(halving, 1) == []
    assert live(halving, 16, 9) == [(1, 16), (3, 5), (9, 1)]
    assert sum(epochs * alive for epochs, alive in live(halving, 16, 9)) / (16 * 9) == pytest.approx(0.278, abs=1e-3)
