from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from xsweep.analysis.estimate import NO_BAND, crossed, t_estimate
from xsweep.analysis.multiple import adjusted
from xsweep.analysis.permutation import labels, sign_flip

VALUES = arrays(np.float64, st.integers(2, 9), elements=st.floats(-20, 20, width=32))


@settings(max_examples=40, deadline=None)
@given(VALUES)
def test_t_is_scipys(values: np.ndarray) -> None:
    found = t_estimate(values)
    assert found.value == pytest.approx(values.mean(), abs=1e-9)
    if values.std() > 1e-6:
        wanted = stats.ttest_1samp(values, 0.0)
        assert found.p == pytest.approx(wanted.pvalue)
        low, high = wanted.confidence_interval()
        assert found.low == pytest.approx(low, abs=1e-9)
        assert found.high == pytest.approx(high, abs=1e-9)


def test_one_value_has_no_interval_and_none_no_value() -> None:
    assert t_estimate(np.array([2.0])).reason == NO_BAND
    assert t_estimate(np.zeros(0)).value is None


def test_crossed_by_hand() -> None:
    """Rows 1, 3; columns 0, 2, 4: MS_s = 3 * 2, MS_l = 2 * 4, no residual."""
    found = crossed(np.array([[-1.0, 1.0, 3.0], [1.0, 3.0, 5.0]]))
    variance, df = 14.0, 14.0**2 / (6.0**2 / 1 + 8.0**2 / 2)
    half = stats.t.ppf(0.975, df) * (variance / 6) ** 0.5
    assert found.value == pytest.approx(2.0)
    assert found.df == pytest.approx(df)
    assert found.low == pytest.approx(2 - half)
    assert found.high == pytest.approx(2 + half)


def test_crossed_falls_back_on_the_larger_mean_square() -> None:
    cells = np.array([[1.0, 3.0], [3.0, 1.0], [2.0, 2.0]])
    found = crossed(cells)
    assert found.df in (1.0, 2.0)
    assert crossed(np.array([[1.0, 2.0]])).reason == "one seed: nothing to generalise from"
    assert crossed(np.array([[1.0], [2.0]])).reason == "one language: nothing to generalise from"


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (3, 4), elements=st.floats(-9, 9, width=32)))
def test_equal_weights_are_no_weights_and_any_weights_keep_the_mean(cells: np.ndarray) -> None:
    plain, even = crossed(cells), crossed(cells, np.full(4, 0.25))
    assert even.value == pytest.approx(plain.value, abs=1e-9)
    assert even.low == pytest.approx(plain.low, abs=1e-6)
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    assert crossed(cells, weights).value == pytest.approx(float((cells @ weights).mean()), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(VALUES)
def test_sign_flip_is_every_sign(values: np.ndarray) -> None:
    seen = abs(values.mean()) - 1e-12
    every = [abs(np.mean(np.array(signs) * values)) >= seen for signs in product((1, -1), repeat=len(values))]
    assert sign_flip(values) == pytest.approx(np.mean(every))


def test_sign_flip_has_a_floor_and_goes_on_beyond_twenty() -> None:
    assert sign_flip(np.ones(5)) == 2 / 2**5
    assert sign_flip(np.zeros(0)) is None
    many = np.random.default_rng(0).normal(0.9, 1, 24)
    assert sign_flip(many) == sign_flip(many)
    assert (sign_flip(many) or 1) < 0.01


def test_three_tasks_against_three_cannot_be_significant() -> None:
    assert labels(np.array([1.0, 2.0, 3.0]), np.array([11.0, 12.0, 13.0])) == pytest.approx(1 / 10)
    assert labels(np.arange(4.0), np.arange(10.0, 14.0)) == pytest.approx(1 / 35)
    assert labels(np.array([1.0]), np.zeros(0)) is None


def test_adjusted_p_by_hand_and_null_is_not_counted() -> None:
    assert adjusted([0.01, None, 0.04, 0.03], "holm") == [pytest.approx(0.03), None, pytest.approx(0.06),
                                                          pytest.approx(0.06)]  # fmt: skip
    assert adjusted([0.01, None, 0.04, 0.03], "fdr_bh") == [pytest.approx(0.03), None, pytest.approx(0.04),
                                                            pytest.approx(0.04)]  # fmt: skip
    assert adjusted([None], "holm") == [None]
