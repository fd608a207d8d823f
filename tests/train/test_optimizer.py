from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsweep.train.optimizer import rate


@given(steps=st.integers(1, 500), warmup=st.floats(0, 0.9))
def test_the_rate_rises_to_one_and_falls(steps: int, warmup: float) -> None:
    rates = [rate(step, steps, warmup) for step in range(steps)]
    top = rates.index(max(rates))
    assert all(0 < value <= 1 for value in rates)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert max(rates) == 1.0


def test_a_tenth_of_warmup() -> None:
    rates = [rate(step, 20, 0.1) for step in range(20)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[-1] == pytest.approx(1 / 18)
