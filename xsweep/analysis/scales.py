"""Scales that a gain can be measured on: near a ceiling they disagree, and then no one of them is the finding."""

from __future__ import annotations

import polars as pl

POINTS, ERROR, LOGIT, CHANCE = "points", "error reduction", "logit", "chance-corrected"
SCALES = (POINTS, ERROR, LOGIT, CHANCE)
"""``error reduction`` in percent of the baseline's errors; ``logit`` in units of the log odds; ``chance-corrected`` in
points of (score - chance) / (100 - chance)."""

ROWS = 1000
"""Rows that a score is taken to be of where a file does not say: what keeps a perfect score's odds finite."""


def gain(scale: str) -> pl.Expr:
    """The gain of ``treated`` over ``baseline`` (points, beside ``n`` and ``chance``); null where undefined."""
    treated, baseline = pl.col("treated"), pl.col("baseline")
    if scale == ERROR:
        return pl.when(baseline < 100).then(100 * (treated - baseline) / (100 - baseline))
    if scale == LOGIT:
        return _odds(treated) - _odds(baseline)
    if scale == CHANCE:
        return pl.when(pl.col("chance") < 100).then(100 * (treated - baseline) / (100 - pl.col("chance")))
    return treated - baseline


def _odds(score: pl.Expr) -> pl.Expr:
    """Log odds of a share in points, with half a row added to both its sides."""
    rows = pl.col("n").fill_null(ROWS).cast(pl.Float64)
    right = score / 100 * rows
    return ((right + 0.5) / (rows - right + 0.5)).log()
