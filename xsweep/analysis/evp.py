"""Expected validation performance: the best of k trials, so that arms are compared at equal budgets."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import polars as pl

from xsweep.plan.records import Record
from xsweep.tracking.facts import COUNTS, finite

EVP = pl.Schema(
    {
        "model": pl.String(),
        "arm": pl.String(),
        "stage": pl.String(),
        "target": pl.String(),
        "trials": pl.Int64(),
        "k": pl.Int64(),
        "expected": pl.Float64(),
        "unbiased": pl.Float64(),
    }
)
"""Best development score in points to expect of ``k`` of the search's ``trials``, those of all its repeats:
``expected`` by drawing with replacement, ``unbiased`` without. Trials without a score count as none: 0 points. Exact
for random search alone."""


def expected_best(scores: Sequence[float], k: int) -> tuple[float, float]:
    """(plug-in, unbiased) expected maximum of ``k`` of ``scores``; ``k`` from 1 to their number."""
    ranked, count = sorted(scores), len(scores)
    plug = sum(v * ((i / count) ** k - ((i - 1) / count) ** k) for i, v in enumerate(ranked, 1))
    free = sum(v * comb(i - 1, k - 1) for i, v in enumerate(ranked, 1)) / comb(count, k)
    return plug, free


def evp(records: Sequence[Record]) -> pl.DataFrame:
    """EVP of every search of a sweep."""
    searches: dict[tuple[str, str, str, str | None], dict[tuple[int, int], float]] = {}
    for record in records:
        if record.trial is None or record.manifest is None or not record.judged:
            continue
        score = record.manifest.metrics.get("score")
        known = record.manifest.status in COUNTS and finite(score)
        where = (record.model.name, record.arm, record.kind, record.target)
        searches.setdefault(where, {})[record.repeat, record.trial] = (
            float(score) if known and score is not None else 0.0
        )
    rows = [
        (*where, len(trials), k, *expected_best(list(trials.values()), k))
        for where, trials in searches.items()
        for k in range(1, len(trials) + 1)
    ]
    return pl.DataFrame(rows, EVP, orient="row")
