"""What the figures draw, as a frame: the drawing itself adds nothing to it, and tests look here."""

from __future__ import annotations

import polars as pl

from xsweep.analysis.gains import ALL, HEADLINE

POINTS = pl.Schema(
    {
        "panel": pl.String(),
        "family": pl.String(),
        "scope": pl.String(),
        "ladder": pl.String(),
        "model": pl.String(),
        "params": pl.Int64(),
        "seed": pl.Int64(),
        "gain": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "seeds": pl.Int64(),
    }
)
"""One row per mark. ``panel`` is a target or ``all``. A row with a seed is that seed's gain; one without is the mean
over ``seeds`` seeds, with its 95 % interval where there are two or more."""


def curve_points(gains: pl.DataFrame, means: pl.DataFrame) -> pl.DataFrame:
    """POINTS from ``family_gains`` and their ``intervals``: languages other than English, models of known size.

    The headline is drawn everywhere. Means that include same-data cells are drawn in the panels of single targets
    only, where they are told apart; in an average over targets they could not be.
    """
    seeds = _drawn(gains).with_columns(
        low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64), seeds=pl.lit(1, pl.Int64)
    )
    centres = _drawn(means.rename({"mean": "gain"})).with_columns(seed=pl.lit(None, pl.Int64))
    found = pl.concat([frame.rename({"target": "panel"}).select(POINTS.names()) for frame in (seeds, centres)])
    return found.sort(["panel", "family", "scope", "ladder", "params", "model", "seed"], nulls_last=True)


def _drawn(frame: pl.DataFrame) -> pl.DataFrame:
    apart = pl.col("same_data") & (pl.col("target") != ALL)
    return frame.filter(
        pl.col("languages") == "others",
        pl.col("gain").is_not_null() & pl.col("params").is_not_null(),
        (pl.col("scope") == HEADLINE) | apart,
    )
