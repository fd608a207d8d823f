from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from xsweep.plan.power import OTHERWISE, POWER, SEED_DEVIATIONS, resolvable, smallest_effect


@pytest.mark.parametrize(("seeds", "effect"), [(3, 3.26), (5, 1.68), (8, 1.16), (10, 1.00), (34, 0.50)])
def test_the_smallest_effect_is_that_of_published_tables(seeds: int, effect: float) -> None:
    found = smallest_effect(seeds)
    assert found == pytest.approx(effect, abs=0.006)
    assert found is not None


@pytest.mark.parametrize("seeds", [3, 8])
def test_a_simulated_test_finds_it_as_often_as_said(seeds: int) -> None:
    effect = smallest_effect(seeds)
    assert effect is not None
    drawn = np.random.default_rng(0).normal(effect, 1.0, (20_000, seeds))
    found = float((ttest_1samp(drawn, 0.0, axis=1).pvalue < 0.05).mean())
    assert found == pytest.approx(POWER, abs=0.01)


def test_one_seed_resolves_nothing() -> None:
    assert smallest_effect(1) is None
    assert {found.points for found in resolvable(["xnli"], 1, {"nli": 1, "qa": 1}, {})} == {None}


def test_what_a_sweep_can_find() -> None:
    effect = smallest_effect(8)
    assert effect is not None
    sizes = {"a": [10**8, 10**9, 10**10], "b": [10**9]}
    found = {one.what: one.points for one in resolvable(["xnli", "xcopa"], 8, {"nli": 4, "qa": 2}, sizes)}
    run, other = SEED_DEVIATIONS["xnli"], OTHERWISE
    mean = (run**2 + other**2) ** 0.5 / 2
    assert found["gain of one arm on xnli"] == pytest.approx(effect * run * 2**0.5)
    assert found["gain of one arm, mean of 2 targets"] == pytest.approx(effect * mean * 2**0.5)
    between = mean * (1 / 4 + 1 / 2) ** 0.5
    assert found["nli against qa, mean gain"] == pytest.approx(effect * between)
    # Three sizes a tenfold apart: squared distances from their mean sum to 2.
    assert found["nli against qa, mean gain per tenfold size (a)"] == pytest.approx(effect * between / 2**0.5)
    assert not any("(b)" in what for what in found)


def test_a_slope_is_found_as_often_as_said() -> None:
    """Simulated: per seed, two families' mean gains at each size, and a line through their differences."""
    sizes = np.array([8.0, 9.0, 10.0])
    (points,) = [one.points for one in resolvable(["xnli"], 8, {"nli": 4, "qa": 4}, {"a": [10**8, 10**9, 10**10]})
                 if "tenfold" in one.what]  # fmt: skip
    assert points is not None
    random = np.random.default_rng(1)
    runs = random.normal(0.0, SEED_DEVIATIONS["xnli"], (10_000, 8, 3, 8))
    difference = runs[..., :4].mean(-1) - runs[..., 4:].mean(-1) + points * sizes
    slopes = ((sizes - sizes.mean()) * difference).sum(-1) / ((sizes - sizes.mean()) ** 2).sum()
    assert (ttest_1samp(slopes, 0.0, axis=1).pvalue < 0.05).mean() == pytest.approx(POWER, abs=0.015)
