"""Exact tests by exchange: signs of seeds, family labels of intermediate tasks."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from xsweep.analysis.estimate import Values

EXACT = 20
"""Units up to which every sign is tried; beyond, DRAWS at random."""
DRAWS = 100_000
_SLACK = 1e-12


def sign_flip(values: Values) -> float | None:
    """Two-sided p that differences (S,) scatter symmetrically about zero; its floor is 2 / 2^S. None for no values."""
    count = len(values)
    if count == 0:
        return None
    seen = abs(float(np.sum(values))) / count - _SLACK
    if count <= EXACT:
        means = np.zeros(1)
        for value in values:
            means = np.concatenate((means + value, means - value))
        return float(np.mean(np.abs(means) / count >= seen))
    signs = np.random.Generator(np.random.PCG64(count)).integers(0, 2, (DRAWS, count), dtype=np.int8) * 2.0 - 1.0
    return (float(np.sum(np.abs(signs @ values) / count >= seen)) + 1) / (DRAWS + 1)


def labels(one: Values, other: Values) -> float | None:
    """Two-sided p that two families of tasks, a value each, do not differ: by every split of the tasks.

    Its floor is 1 / 10 for three against three, so such a test cannot say anything at .05. None beyond a
    million splits.
    """
    both = np.concatenate((one, other))
    if not len(one) or not len(other) or comb(len(both), len(one)) > 1_000_000:
        return None
    seen = abs(float(np.mean(one) - np.mean(other))) - _SLACK
    chosen = np.array(list(combinations(range(len(both)), len(one))))
    first = both[chosen].sum(axis=1)
    second = both.sum() - first
    return float(np.mean(np.abs(first / len(one) - second / len(other)) >= seen))
