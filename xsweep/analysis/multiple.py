"""Adjusting p for how many were looked at: Holm for the primary set, Benjamini and Hochberg for the rest."""

from __future__ import annotations

from collections.abc import Sequence


def adjusted(ps: Sequence[float | None], method: str) -> list[float | None]:
    """``ps`` adjusted by ``holm`` or ``fdr_bh``; null ones are not counted and stay null."""
    from statsmodels.stats.multitest import multipletests

    known = [p for p in ps if p is not None]
    if not known:
        return list(ps)
    found = iter(float(p) for p in multipletests(known, method=method)[1])
    return [None if p is None else next(found) for p in ps]
