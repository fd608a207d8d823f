"""Runs that ended badly: how many of each arm, and whether leaving them out or counting them as guesses matters."""

from __future__ import annotations

import polars as pl
from scipy import stats

from xsweep.analysis.design import BASELINE, Design
from xsweep.analysis.frame import LOST
from xsweep.analysis.gains import family_gains, paired_gains
from xsweep.analysis.headline import headline

FAILURES = pl.Schema(
    {
        "model": pl.String(),
        "params": pl.Int64(),
        "arm": pl.String(),
        "runs": pl.Int64(),
        "ok": pl.Int64(),
        "degenerate": pl.Int64(),
        "diverged": pl.Int64(),
        "failed": pl.Int64(),
        "missing": pl.Int64(),
        "rate": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "p_fisher": pl.Float64(),
    }
)
"""One row per model and arm. ``runs`` counts those made; ``rate`` the share of them that was degenerate, diverged or
failed, with Wilson's 95 % interval; ``p_fisher`` compares it with the baseline's at the same model. A run that ended in
several ways in its languages counts as the worst of them."""

COMPLETED, HEALTHY, INTENDED = "completed runs", "healthy runs", "lost runs at chance"
"""Three analyses: every run with a score (the headline); without degenerate ones; with runs that have no score, though
they were made, taken as guesses."""

THREE_WAYS = pl.Schema(
    {
        "quantity": pl.String(),
        "analysis": pl.String(),
        "estimate": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "n_seeds": pl.Int64(),
        "reason": pl.String(),
    }
)
"""Each quantity of the headline in the three analyses: of completed runs, of healthy runs alone, and with lost runs
taken as guesses. ``low`` and ``high`` are the 95 % t interval over reporting seeds."""

_WORST = ("missing", "failed", "diverged", "degenerate", "ok")


def failures(frame: pl.DataFrame) -> pl.DataFrame:
    """FAILURES of a FRAME."""
    from statsmodels.stats.proportion import proportion_confint

    rank = pl.col("status").replace_strict({name: place for place, name in enumerate(_WORST)}, return_dtype=pl.Int64)
    runs = frame.group_by("model", "params", "arm", "target", "seed", "repeat", maintain_order=True).agg(rank.min())
    counts = runs.group_by("model", "params", "arm", maintain_order=True).agg(
        **{name: (pl.col("status") == place).sum().cast(pl.Int64) for place, name in enumerate(_WORST)}
    )
    rows = list(counts.iter_rows(named=True))
    bad = {(r["model"], r["arm"]): (r["degenerate"] + r["diverged"] + r["failed"], r["ok"]) for r in rows}
    found = []
    for row in rows:
        lost, fine = bad[row["model"], row["arm"]]
        made = lost + fine
        low, high = (float(end) for end in proportion_confint(lost, made, method="wilson")) if made else (None, None)
        base = bad.get((row["model"], BASELINE), (0, 0))
        tested = row["arm"] != BASELINE and made and sum(base)
        p = float(stats.fisher_exact([[lost, fine], list(base)])[1]) if tested else None
        found.append(
            row | {"runs": made, "rate": lost / made if made else None, "low": low, "high": high, "p_fisher": p}
        )
    return pl.DataFrame(found, FAILURES).sort("params", "model", maintain_order=True)


def three_ways(frame: pl.DataFrame, design: Design) -> pl.DataFrame:
    """THREE_WAYS: the headline by each analysis; empty where every run is healthy and has its score."""
    if frame["status"].is_in(["ok", "missing"]).all():
        return pl.DataFrame(schema=THREE_WAYS)
    odd, lost = pl.col("status") == "degenerate", pl.col("status").is_in(LOST)
    guess = pl.when(lost & pl.col("primary")).then(pl.col("chance")).otherwise(pl.col("score"))
    ways = {
        COMPLETED: frame,
        HEALTHY: frame.with_columns(score=pl.when(odd).then(None).otherwise(pl.col("score"))),
        INTENDED: frame.with_columns(score=guess),
    }
    parts = [
        headline(family_gains(paired_gains(own, design)), design)
        .with_columns(analysis=pl.lit(name)).select(THREE_WAYS.names())
        for name, own in ways.items()
    ]  # fmt: skip
    return pl.concat(parts).sort("quantity", maintain_order=True)


def disagreeing(table: pl.DataFrame) -> list[str]:
    """Quantities whose sign is not the same by all of the three analyses."""
    signs = table.filter(pl.col("estimate").is_not_null()).group_by("quantity", maintain_order=True).agg(
        ways=(pl.col("estimate") > 0).n_unique()
    )  # fmt: skip
    return signs.filter(pl.col("ways") > 1)["quantity"].to_list()
