"""Successive halving played with made-up scores: who goes on, in what order, and what it costs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsweep.plan.halving import Bracket, live, rungs
from xsweep.plan.stage import Hyper
from xsweep.plan.study import Trial
from xsweep.spec.sweep import Halving

Score = Callable[[int, int], tuple[str, float | None]]
"""Trial, epoch -> how its run to that epoch ended."""


def bracket(epochs: list[int], eta: int = 3, first: int = 1, asynchronous: bool = False) -> Bracket:
    points = [Hyper(1e-5 * (number + 1), count) for number, count in enumerate(epochs)]
    return Bracket(Halving(eta=eta, epochs=first, asynchronous=asynchronous), points)


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


def chance(seed: int) -> Score:
    """Ends of every kind, the same for the same trial and epoch."""

    def ends(number: int, epoch: int) -> tuple[str, float | None]:
        drawn = random.Random(f"{seed}/{number}/{epoch}")
        kind = drawn.choice(["ok", "ok", "ok", "degenerate", "diverged", "failed"])
        return kind, None if kind in ("diverged", "failed") else drawn.choice([1.0, 2.0, drawn.random()])

    return ends


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=14), st.integers(2, 4), st.integers(1, 3), st.integers())
def test_no_order_changes_anything(epochs: list[int], eta: int, first: int, seed: int) -> None:
    of = bracket(epochs, eta, first)
    whole = play(of, chance(seed))
    assert play(of, chance(seed), random.Random(seed)) == whole
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


def crowd(of: Bracket, score: Score, order: random.Random, groups: int) -> tuple[dict[int, Trial], list[set[int]]]:
    """What several groups at once would do, each taking the first run that may start; what had ended at each moment."""
    ended: dict[int, Trial] = {}
    running: dict[int, Hyper] = {}
    moments: list[set[int]] = []
    while True:
        for run, hyper in of.pending(ended):
            if len(running) < groups and run not in running:
                running[run] = hyper
        if not running:
            return ended, moments
        run = order.choice(sorted(running))
        status, value = score(run % len(of.points), running[run].until or running[run].epochs)
        ended[run] = Trial(run, running.pop(run), f"k{run}", status, value)
        moments.append(set(ended))


def test_asynchronously_the_best_third_goes_on_at_once() -> None:
    of = bracket([9] * 9, asynchronous=True)
    ended: dict[int, Trial] = {}
    for number, score in enumerate([50.0, 60.0, 55.0]):
        assert [run for run, _ in of.pending(ended)] == list(range(number, 9)), "nobody is the best of three yet"
        ended[number] = Trial(number, replace(of.points[number], until=1), "k", "pruned", score)
    assert of.pending(ended)[0] == (9 + 1, replace(of.points[1], until=3)), "before any that has not begun"
    ended[9 + 1] = Trial(9 + 1, replace(of.points[1], until=3), "k", "pruned", 70.0)
    ended[3] = Trial(3, replace(of.points[3], until=1), "k", "pruned", 99.0)
    assert [run for run, _ in of.pending(ended)] == [9 + 3, *range(4, 9)], "a better one goes on beside it"
    assert of.stopped(ended) == [], "more may go on yet"


def test_asynchronously_somebody_comes_to_the_end() -> None:
    for trials in (1, 2, 4, 9):
        of = bracket([9] * trials, asynchronous=True)
        found, _ = of.trials(crowd(of, sound, random.Random(0), 2)[0])
        assert [trial.number for trial in found if trial.status == "ok"][-1] == trials - 1


def test_asynchronously_a_collapsed_trial_goes_on_only_if_all_have() -> None:
    def ends(number: int, epoch: int) -> tuple[str, float | None]:
        return ("ok", 10.0) if number == 5 else ("degenerate", 50.0 + number)

    of = bracket([3] * 6, asynchronous=True)
    trials, _ = of.trials(play(of, ends))
    assert [trial.number for trial in trials if trial.hyper.until is None] == [5]
    alone = bracket([3] * 3, asynchronous=True)
    trials, _ = alone.trials(play(alone, lambda number, epoch: ("degenerate", float(number))))
    assert [trial.hyper.until for trial in trials] == [1, 1, None]


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=14),
    st.integers(2, 4),
    st.integers(1, 3),
    st.integers(),
    st.integers(1, 5),
    st.floats(0, 1),
)
def test_asynchronous_halving_goes_on_from_the_store(
    epochs: list[int], eta: int, first: int, seed: int, groups: int, share: float
) -> None:
    """Whatever had ended when a launch was killed is found again, counted once, and not run again."""
    of, order = bracket(epochs, eta, first, asynchronous=True), random.Random(seed)
    whole, moments = crowd(of, chance(seed), order, groups)
    stored = moments[int(share * (len(moments) - 1))]
    found: dict[int, Trial] = {}
    while there := {run: whole[run] for run, _ in of.possible(found) if run in stored and run not in found}:
        found |= there
    assert set(found) == stored
    assert all(hyper == whole[run].hyper for run, hyper in of.possible(found) if run in whole)
    assert not {run for run, _ in of.pending(found)} & stored
    trials, before = of.trials(whole)
    assert [trial.number for trial in trials] == list(range(len(epochs)))
    assert len(trials) + len(before) == len(whole)
    waiting = play(bracket(epochs, eta, first), chance(seed))
    second = range(len(epochs), 2 * len(epochs))
    assert {run for run in waiting if run in second} <= set(whole), "those that waiting for the others would choose"
