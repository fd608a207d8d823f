from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsweep.report.words import count, interval, listed, points, size


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (1.26, True, "+1.3"),
        (1.26, False, "1.3"),
        (-0.24, True, "−0.2"),
        (-0.24, False, "−0.2"),
        (0.04, True, "0.0"),
        (-0.04, True, "0.0"),
        (None, True, "–"),
        (math.nan, False, "–"),
        (math.inf, True, "–"),
    ],
)
def test_points(value: float | None, signed: bool, text: str) -> None:
    assert points(value, signed) == text


def test_interval_is_a_dash_where_it_is_not_defined() -> None:
    assert interval(-0.24, 2.81) == "−0.2 to +2.8"
    assert interval(None, None) == "–"


@pytest.mark.parametrize(
    ("params", "text"),
    [(None, "size unknown"), (7, "7"), (560, "560"), (1_234, "1.23k"), (103_400_000, "103M"), (99_900_000, "99.9M"),
     (999_900_000, "1B"), (1_280_000_000, "1.28B"), (10_700_000_000, "10.7B")],
)  # fmt: skip
def test_size(params: int | None, text: str) -> None:
    assert size(params) == text


@given(st.integers(1, 10**13))
def test_size_is_within_its_three_digits(params: int) -> None:
    text = size(params)
    unit = {"B": 10**9, "M": 10**6, "k": 10**3}.get(text[-1], 1)
    assert float(text.rstrip("BMk")) * unit == pytest.approx(params, rel=0.006)
    assert "e" not in text or params > 10**11


def test_lists_and_counts() -> None:
    assert [listed([]), listed("a"), listed("ab"), listed("abc")] == ["", "a", "a and b", "a, b and c"]
    assert (count(1, "seed"), count(2, "seed")) == ("1 seed", "2 seeds")
