from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from tests.engine.stubs import score
from xsweep.engine.studies import Suggestions, decide
from xsweep.plan.stage import Hyper
from xsweep.plan.study import Study, Trial
from xsweep.spec.sweep import Halving, IntRange, LogUniform, Space

Sampler = Literal["quasi-random", "random", "tpe"]
SAMPLERS: tuple[Sampler, ...] = ("quasi-random", "random", "tpe")


def study(sampler: Sampler, trials: int = 8, seed: int = 0, batch: int = 4, address: str = "a") -> Study:
    space = Space(trials=trials, lr=LogUniform(low=1e-6, high=1e-3), epochs=IntRange(low=1, high=5))
    return Study(address, "m / nli", "intermediate", "m", "nli", None, space, sampler, seed, batch)


def ended(number: int, hyper: Hyper) -> Trial:
    """A trial whose result is a function of its values; some of them fail in one way or another."""
    status = "diverged" if hyper.lr > 6e-4 else "ok"
    return Trial(number, hyper, f"k{number}", status, score(hyper) if status == "ok" else None)


def finish(suggestions: Suggestions, finished: dict[int, Trial], order: random.Random) -> dict[int, Trial]:
    """Run the study to its end, whatever may run in any order."""
    while pending := suggestions.pending(finished):
        number, hyper = order.choice(pending)
        finished[number] = ended(number, hyper)
    return finished


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_suggestions_stay_inside_and_are_readable(sampler: Sampler) -> None:
    done = finish(Suggestions(study(sampler, trials=20)), {}, random.Random(0))
    assert sorted(done) == list(range(20))
    for trial in done.values():
        assert 1e-6 <= trial.hyper.lr <= 1e-3
        assert trial.hyper.lr == float(f"{trial.hyper.lr:.6g}")
        assert type(trial.hyper.lr) is float
        assert trial.hyper.epochs in range(1, 6)
        assert type(trial.hyper.epochs) is int
    assert len({trial.hyper.lr for trial in done.values()}) == 20
    assert len({trial.hyper.epochs for trial in done.values()}) >= 3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_fixed_ranges_are_constants(sampler: Sampler) -> None:
    space = Space(trials=5, lr=LogUniform(low=3.3e-5, high=3.3e-5), epochs=IntRange(low=2, high=2))
    done = finish(Suggestions(replace(study(sampler), space=space)), {}, random.Random(0))
    assert {trial.hyper for trial in done.values()} == {Hyper(3.3e-5, 2)}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_only_the_seed_moves_the_points(sampler: Sampler) -> None:
    def first(**changes: int | str) -> list[tuple[int, Hyper]]:
        return Suggestions(study(sampler, **changes)).pending({})[:4]  # type: ignore[arg-type]

    assert first() == first(address="another arm") == first(trials=13)
    assert first() != first(seed=1)


@settings(deadline=None, max_examples=25)
@given(sampler=st.sampled_from(SAMPLERS), order=st.integers(), holes=st.sets(st.integers(0, 11)), again=st.integers())
def test_neither_order_nor_restart_changes_a_suggestion(
    sampler: Sampler, order: int, holes: set[int], again: int
) -> None:
    whole = finish(Suggestions(study(sampler, trials=12)), {}, random.Random(order))
    left = {number: trial for number, trial in whole.items() if number not in holes}
    assert finish(Suggestions(study(sampler, trials=12)), left, random.Random(again)) == whole


def test_tpe_waits_for_its_batch_and_learns_from_it() -> None:
    tpe = Suggestions(study("tpe", trials=10))
    first = dict(tpe.pending({}))
    assert list(first) == [0, 1, 2, 3]
    good = {number: Trial(number, hyper, "k", "ok", score(hyper)) for number, hyper in first.items()}
    assert list(dict(tpe.pending({0: good[0]}))) == [1, 2, 3]
    second = tpe.pending(good)
    assert [number for number, _ in second] == [4, 5, 6, 7]
    best = max(good, key=lambda number: good[number].score or 0.0)
    other = good | {best: replace(good[best], score=None, status="diverged")}
    assert tpe.pending(other) != second
    third = good | {number: ended(number, hyper) for number, hyper in second}
    assert [number for number, _ in tpe.pending(third)] == [8, 9]  # the last batch is short


def test_tpe_finds_more_than_chance() -> None:
    def mean_score(sampler: Sampler) -> float:
        runs = [finish(Suggestions(study(sampler, trials=24, seed=s)), {}, random.Random(0)) for s in range(8)]
        return float(np.mean([score(trial.hyper) for run in runs for trial in run.values() if trial.number >= 12]))

    assert mean_score("tpe") > mean_score("random") + 3


def test_quasi_random_points_are_spread() -> None:
    """Every half of the learning rates holds half of the points, and they fill the square better than chance."""

    def square(sampler: Sampler, seed: int) -> np.ndarray:
        hypers = [hyper for _, hyper in Suggestions(study(sampler, trials=16, seed=seed)).pending({})]
        return np.array([[math.log(h.lr / 1e-6) / math.log(1e3), (h.epochs - 0.5) / 5] for h in hypers])

    for seed in range(10):
        assert sorted(int(x * 16 - 1e-9) for x in square("quasi-random", seed)[:, 0]) == list(range(16))
    worst = max(qmc.discrepancy(square("quasi-random", seed)) for seed in range(10))
    assert worst < np.mean([qmc.discrepancy(square("random", seed)) for seed in range(10)])


def trial(number: int, status: str, value: float | None) -> Trial:
    return Trial(number, Hyper(1e-5 * (number + 1), 2), f"key{number}", status, value)


def test_the_best_finite_score_wins_and_ties_go_to_the_lower_number() -> None:
    trials = [
        trial(5, "ok", 70.0),
        trial(4, "ok", 70.0),
        trial(3, "diverged", 99.0),
        trial(2, "ok", math.inf),
        trial(1, "ok", math.nan),
        trial(0, "failed", None),
    ]
    decision = decide(study("random"), trials)
    assert decision is not None
    assert (decision["trial"], decision["key"], decision["score"]) == (4, "key4", 70.0)
    assert decision["hyper"] == {"lr": 5e-5, "epochs": 2}
    assert [t["number"] for t in decision["trials"]] == list(range(6))
    assert [t["score"] for t in decision["trials"]] == [None, None, None, 99.0, 70.0, 70.0]


def test_a_degenerate_trial_counts_and_no_counting_trial_is_no_decision() -> None:
    lone = decide(study("random"), [trial(0, "failed", None), trial(1, "degenerate", 33.3)])
    assert lone is not None
    assert lone["trial"] == 1
    assert decide(study("random"), [trial(0, "failed", None), trial(1, "pruned", 60.0), trial(2, "ok", None)]) is None
    assert decide(study("random"), []) is None


@given(st.lists(st.tuples(st.sampled_from(["ok", "degenerate", "diverged"]), st.floats() | st.none()), max_size=12))
def test_a_decision_does_not_depend_on_the_order_of_trials(outcomes: list[tuple[str, float | None]]) -> None:
    trials = [trial(number, *outcome) for number, outcome in enumerate(outcomes)]
    assert decide(study("random"), trials) == decide(study("random"), reversed(trials))


def test_a_stopped_trial_is_known_as_soon_as_its_rung_is_over() -> None:
    halved = replace(study("random", trials=4), halving=Halving(eta=2))
    halved = replace(halved, space=halved.space.model_copy(update={"epochs": IntRange(low=4, high=4)}))
    suggestions, finished = Suggestions(halved), dict[int, Trial]()
    for number, hyper in suggestions.pending({}):
        assert suggestions.stopped(finished) == []
        finished[number] = Trial(number, hyper, "k", "pruned", float(number))
    assert [number for number, _ in suggestions.pending(finished)] == [4 + 2, 4 + 3]
    assert [trial.number for trial in suggestions.stopped(finished)] == [0, 1]
    number, hyper = suggestions.pending(finished)[0]
    finished[number] = Trial(number, hyper, "k", "pruned", 9.0)
    assert [trial.number for trial in suggestions.stopped(finished)] == [0, 1], "its rung is not over"


def test_what_comes_from_a_smaller_model_comes_first() -> None:
    mine = (Hyper(5e-7, 9), Hyper(2e-5, 2))  # the first lies outside the ranges
    for sampler in SAMPLERS:
        seeded = replace(study(sampler, trials=7), seeded=mine)
        done = finish(Suggestions(seeded), {}, random.Random(0))
        assert [done[number].hyper for number in (0, 1)] == list(mine)
        assert sorted(done) == list(range(7))
        assert finish(Suggestions(seeded), {0: done[0], 3: done[3]}, random.Random(1)) == done


def joint(sampler: Sampler, trials: int = 8, **changes: Any) -> Study:
    before = Space(trials=trials, lr=LogUniform(low=1e-5, high=1e-2), epochs=IntRange(low=1, high=3))
    return replace(study(sampler, trials, **changes), before=before, kind="target", target="xnli")


def judged(number: int, hyper: Hyper) -> Trial:
    """A trial that both of its stages count for, the first more."""
    return Trial(number, hyper, f"k{number}", "ok", score(hyper) / 10 + score(hyper.before))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_joint_point_is_of_both_ranges(sampler: Sampler) -> None:
    suggestions, done = Suggestions(joint(sampler, trials=16)), dict[int, Trial]()
    while pending := suggestions.pending(done):
        done |= {number: judged(number, hyper) for number, hyper in pending}
    pairs = [(trial.hyper, trial.hyper.before) for trial in done.values()]
    assert len(pairs) == 16
    for after, before in pairs:
        assert before
        assert 1e-6 <= after.lr <= 1e-3
        assert 1e-5 <= before.lr <= 1e-2
        assert (after.epochs in range(1, 6), before.epochs in range(1, 4)) == (True, True)
        assert before.before is None
    correlated = np.corrcoef([(math.log(a.lr), math.log(b.lr)) for a, b in pairs if b], rowvar=False)[0, 1]
    assert abs(correlated) < 0.7, "the two rates are drawn apart"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_joint_decision_tells_both_and_is_read_back(sampler: Sampler) -> None:
    of = joint(sampler)
    suggestions, done = Suggestions(of), dict[int, Trial]()
    while pending := suggestions.pending(done):
        done |= {number: judged(number, hyper) for number, hyper in pending}
    decision = suggestions.decide(done)
    assert decision
    best = max(done.values(), key=lambda trial: (trial.score, -trial.number))
    assert Hyper.of(decision["hyper"]) == best.hyper
    assert [Hyper.of(told) for told in decision["trials"]] == [done[number].hyper for number in sorted(done)]


def test_tpe_learns_both_stages() -> None:
    def mean_score(sampler: Sampler) -> float:
        found = []
        for seed in range(8):
            suggestions, done = Suggestions(joint(sampler, trials=24, seed=seed)), dict[int, Trial]()
            while pending := suggestions.pending(done):
                done |= {number: judged(number, hyper) for number, hyper in pending}
            found += [trial.score or 0.0 for trial in done.values() if trial.number >= 12]
        return float(np.mean(found))

    assert mean_score("tpe") > mean_score("random") + 3


@settings(deadline=None, max_examples=25)
@given(sampler=st.sampled_from(SAMPLERS), order=st.integers(), holes=st.sets(st.integers(0, 11)), again=st.integers())
def test_neither_order_nor_restart_changes_a_joint_suggestion(
    sampler: Sampler, order: int, holes: set[int], again: int
) -> None:
    whole = finish(Suggestions(joint(sampler, trials=12)), {}, random.Random(order))
    left = {number: trial for number, trial in whole.items() if number not in holes}
    assert finish(Suggestions(joint(sampler, trials=12)), left, random.Random(again)) == whole
