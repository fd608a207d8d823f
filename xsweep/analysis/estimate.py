"""One number with its interval: Student's t over independent units, and seeds crossed with languages."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Values = NDArray[np.float64]

NO_BAND = "one seed: there is no spread to see, so no interval"


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval; what cannot be given is None and ``reason`` says why."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    df: float | None = None
    p: float | None = None
    """Two-sided, of no difference from zero."""
    n: int = 0
    reason: str = ""


def t_estimate(values: Values, level: float = 0.95) -> Estimate:
    """Mean of independent ``values`` (S,) with its t interval on S - 1 degrees of freedom."""
    count = len(values)
    if count == 0:
        return Estimate(reason="no value")
    mean = float(np.mean(values))
    if count == 1:
        return Estimate(mean, n=1, reason=NO_BAND)
    return spread(mean, float(np.std(values, ddof=1)) / math.sqrt(count), count - 1, count, level)


def spread(mean: float, error: float, df: float, n: int, level: float = 0.95) -> Estimate:
    """``mean`` +- t ``error``; with no spread at all the interval is a point, and p 1 or 0."""
    half = float(special.stdtrit(df, (1 + level) / 2)) * error
    p = float(2 * special.stdtr(df, -abs(mean) / error)) if error > 1e-12 else float(abs(mean) < 1e-12)
    return Estimate(mean, mean - half, mean + half, float(df), p, n)


def crossed(cells: Values, weights: Values | None = None, level: float = 0.95) -> Estimate:
    """Mean of ``cells`` (seeds, languages) for seeds and languages in general, by Satterthwaite's degrees of freedom.

    ``weights`` (languages,) sum to one, equal where left out; unequal ones enter by the mean's linear form, whose row
    means are the weighted means of the seeds.
    """
    seeds, languages = cells.shape
    if min(seeds, languages) < 2:
        what = "one seed" if seeds < 2 else "one language"
        return Estimate(float(np.mean(cells)), n=seeds, reason=f"{what}: nothing to generalise from")
    if weights is not None:
        grand = float(np.mean(cells @ weights))
        cells = grand + languages * weights * (cells - grand)
    rows, columns, grand = cells.mean(axis=1), cells.mean(axis=0), float(cells.mean())
    residual = cells - rows[:, None] - columns[None, :] + grand
    free = (seeds - 1) * (languages - 1)
    ms_s, ms_l = languages * float(np.var(rows, ddof=1)), seeds * float(np.var(columns, ddof=1))
    ms_e = float(np.sum(residual**2)) / free
    variance = ms_s + ms_l - ms_e
    largest = max(ms_s, ms_l)
    if variance < largest or largest == 0:
        variance, df = largest, float(seeds - 1 if ms_s >= ms_l else languages - 1)
    else:
        df = variance**2 / (ms_s**2 / (seeds - 1) + ms_l**2 / (languages - 1) + ms_e**2 / free)
    return spread(grand, math.sqrt(variance / (seeds * languages)), df, seeds, level)
