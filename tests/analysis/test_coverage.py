"""The intervals hold what they say they hold; a small version of ``tests/benchmarks/coverage.py``.

1,500 draws have a standard error of .006 about .95, so .93 to .97 is three of them either side.
"""

from __future__ import annotations

import pytest

from tests.benchmarks.coverage import UNITS, covered, false_slopes


@pytest.mark.parametrize("units", UNITS)
def test_primary_intervals_cover(units: int) -> None:
    for name, share in covered(units, 1500):
        assert 0.93 <= share <= 0.97, name


@pytest.mark.parametrize("units", UNITS)
def test_equal_slopes_are_called_different_one_time_in_twenty(units: int) -> None:
    assert 0.03 <= false_slopes(units, 1500) <= 0.07
