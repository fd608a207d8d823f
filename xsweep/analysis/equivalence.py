"""Whether there is nothing to find: two one-sided tests against a margin that was declared before the runs."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from scipy import stats

from xsweep.analysis.design import Design
from xsweep.analysis.estimate import Values
from xsweep.analysis.headline import beyond
from xsweep.analysis.units import Units, difference, family_units

MARGIN = 0.5
"""Points: the smallest gain that would matter."""

EQUIVALENCE = pl.Schema(
    {
        "quantity": pl.String(),
        "margin": pl.Float64(),
        "estimate": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "p_below": pl.Float64(),
        "p_above": pl.Float64(),
        "p": pl.Float64(),
        "verdict": pl.String(),
        "n_seeds": pl.Int64(),
        "reason": pl.String(),
    }
)
"""``low`` and ``high`` are the 90 % interval that the two tests at 5 % amount to; ``p_below`` is of the gain being at
or below -margin, ``p_above`` of it being at or above +margin, ``p`` the larger. ``verdict``: ``no gain that matters``,
``a gain that matters`` or ``a loss that matters`` (the interval is all beyond a margin), or ``not resolved``."""

NOTHING, GAIN, LOSS = "no gain that matters", "a gain that matters", "a loss that matters"
OPEN = "not resolved"


def tost(values: Values, margin: float = MARGIN) -> tuple[float, float]:
    """(p of a mean at or below -margin, p of one at or above +margin) for paired differences (S,), S at least two."""
    count = len(values)
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(count)
    if error < 1e-12:
        return float(mean <= -margin), float(mean >= margin)
    return (
        float(stats.t.sf((mean + margin) / error, count - 1)),
        float(stats.t.cdf((mean - margin) / error, count - 1)),
    )


def equivalence(families: pl.DataFrame, design: Design, margin: float = MARGIN) -> pl.DataFrame:
    """EQUIVALENCE of the gains beyond 1B, and of their difference, from ``family_gains``."""
    nli, qa = (family_units(families, family, design) for family in ("nli", "qa"))
    units = {"gain_beyond_1b_nli": nli, "gain_beyond_1b_qa": qa, "gain_beyond_1b_difference": difference(qa, nli)}
    rows = [_row(name, own, margin) for name, own in units.items()]
    return pl.DataFrame(rows, EQUIVALENCE, orient="row")


def _row(name: str, units: Units, margin: float) -> tuple[object, ...]:
    sizes = units.sizes
    weights = beyond(sizes) if sizes else None
    reason = units.reason or ("a model's size is not known" if sizes is None else "")
    reason = reason or ("no size is above 1B" if weights is None else "")
    if reason or weights is None:
        return (name, margin, None, None, None, None, None, None, OPEN, 0, reason)
    values = units.gains @ weights
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return (name, margin, mean, None, None, None, None, None, OPEN, count, "one seed: no spread to test by")
    below, above = tost(values, margin)
    half = float(stats.t.ppf(0.95, count - 1)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    low, high = mean - half, mean + half
    verdict = NOTHING if max(below, above) < 0.05 else GAIN if low > margin else LOSS if high < -margin else OPEN
    return (name, margin, mean, low, high, below, above, max(below, above), verdict, count, "")
