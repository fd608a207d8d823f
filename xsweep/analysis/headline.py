"""The headline: how much, how it changes with size, and what is left beyond 1B, for NLI and QA and between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import polars as pl

from xsweep.analysis.design import Design
from xsweep.analysis.estimate import Values
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


def headline(families: pl.DataFrame, design: Design) -> pl.DataFrame:
    """HEADLINE_TABLE from ``family_gains``."""
    rows = []
    for name, units, weights, why in quantities(primary_units(families, design)):
        found, values = weighed(units, weights, why)
        sizes = units.sizes.count if units.sizes else None
        rows.append((name, found, sign_flip(values) if len(values) > 1 else None, sizes))
    ps = {name: found.p for name, found, _, _ in rows}
    holm = dict(zip(PRIMARY, adjusted([ps[name] for name in PRIMARY], "holm"), strict=True))
    return pl.DataFrame(
        [
            (name, e.value, e.low, e.high, e.df, e.p, flip, holm.get(name), e.n, sizes, e.reason, design.covers)
            for name, e, flip, sizes in rows
        ],
        HEADLINE_TABLE,
        orient="row",
    )


def primary_units(families: pl.DataFrame, design: Design) -> dict[str, Units]:
    """``nli``, ``qa`` and their ``difference``, from ``family_gains``."""
    nli, qa = (family_units(families, family, design) for family in ("nli", "qa"))
    return {"nli": nli, "qa": qa, "difference": difference(qa, nli)}


def quantities(units: Mapping[str, Units]) -> Iterator[tuple[str, Units, Values | None, str]]:
    """Every row of the headline: its name, its units, the weights of their models, and why there are none."""
    for name, own in units.items():
        count = len(own.models)
        yield f"mean_gain_{name}", own, np.full(count, 1 / count) if count else None, "no model"
    for name, own in units.items():
        yield f"slope_{name}", own, *_sized(own, Sizes.slope, NO_SLOPE)
    for name in ("nli", "qa"):
        yield f"beyond_1b_{name}", units[name], *_sized(units[name], Sizes.contrast, NO_CONTRAST)


def beyond(sizes: Sizes) -> Values | None:
    """(M,): the mean gain above 1B itself; None where no size is."""
    far = sizes.beyond
    return far / far.sum() if far.any() else None


def _sized(units: Units, weigher: Callable[[Sizes], Values | None], why: str) -> tuple[Values | None, str]:
    return (weigher(units.sizes), why) if units.sizes else (None, NO_SIZE)
