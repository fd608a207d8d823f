"""The headline: how much, how it changes with size, and what is left beyond 1B, for NLI and QA and between them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from xsweep.analysis.design import Design
from xsweep.analysis.estimate import Estimate, Values
from xsweep.analysis.multiple import adjusted
from xsweep.analysis.permutation import sign_flip
from xsweep.analysis.scaling import Sizes
from xsweep.analysis.units import Units, difference, family_units, weighed

HEADLINE_TABLE = pl.Schema(
    {
        "quantity": pl.String(),
        "estimate": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "df": pl.Float64(),
        "p": pl.Float64(),
        "p_sign_flip": pl.Float64(),
        "p_holm": pl.Float64(),
        "n_seeds": pl.Int64(),
        "n_sizes": pl.Int64(),
        "reason": pl.String(),
        "covers": pl.String(),
    }
)
"""Estimates in points, slopes in points per decade of parameters; ``low`` and ``high`` are the 95 % t interval over
reporting seeds. What cannot be given is null, with a ``reason``. ``p_holm`` adjusts the primary set alone. ``covers``
says which randomness the interval holds."""

PRIMARY = ("slope_difference", "beyond_1b_nli", "beyond_1b_qa", "mean_gain_difference")
"""Stated before any run: what the sweep is for."""

NO_SLOPE = "no ladder has two sizes"
NO_CONTRAST = "no ladder has sizes both up to 1B and above it"
NO_SIZE = "a model's size is not known"

Weigher = Callable[[Sizes], Values | None]


def headline(families: pl.DataFrame, design: Design) -> pl.DataFrame:
    """HEADLINE_TABLE from ``family_gains``."""
    nli, qa = (family_units(families, family, design) for family in ("nli", "qa"))
    between = difference(qa, nli)
    rows = [_mean(f"mean_gain_{name}", units) for name, units in (("nli", nli), ("qa", qa), ("difference", between))]
    rows += [
        _sized(f"slope_{name}", units, Sizes.slope, NO_SLOPE)
        for name, units in (("nli", nli), ("qa", qa), ("difference", between))
    ]
    rows += [
        _sized(f"beyond_1b_{name}", units, Sizes.contrast, NO_CONTRAST) for name, units in (("nli", nli), ("qa", qa))
    ]
    holm = dict(zip(PRIMARY, adjusted([_p(rows, name) for name in PRIMARY], "holm"), strict=True))
    return pl.DataFrame(
        [
            (name, e.value, e.low, e.high, e.df, e.p, flip, holm.get(name), e.n, sizes, e.reason, design.covers)
            for name, e, flip, sizes in rows
        ],
        HEADLINE_TABLE,
        orient="row",
    )


def beyond(sizes: Sizes) -> Values | None:
    """(M,): the mean gain above 1B itself; None where no size is."""
    far = sizes.beyond
    return far / far.sum() if far.any() else None


Row = tuple[str, Estimate, float | None, int | None]


def _mean(name: str, units: Units) -> Row:
    models = len(units.models)
    found, values = weighed(units, np.full(models, 1 / models) if models else None, "no model")
    return name, found, _flip(values), len({size for size in units.params if size}) or None


def _sized(name: str, units: Units, weigher: Weigher, why: str) -> Row:
    sizes = units.sizes
    found, values = weighed(units, weigher(sizes) if sizes else None, why if sizes else NO_SIZE)
    return name, found, _flip(values), sizes.count if sizes else None


def _flip(values: Values) -> float | None:
    return sign_flip(values) if len(values) > 1 else None


def _p(rows: list[Row], name: str) -> float | None:
    return next(found.p for row, found, _, _ in rows if row == name)
