"""Whether English held-out data, by which everything is chosen, ranks configurations as the other languages do."""

from __future__ import annotations

import polars as pl
from scipy import stats

from xsweep.analysis.gains import ENGLISH

PROXY = pl.Schema(
    {
        "target": pl.String(),
        "configurations": pl.Int64(),
        "rho": pl.Float64(),
        "rho_within": pl.Float64(),
        "reason": pl.String(),
    }
)
"""One row per target: Spearman's correlation, over its models and arms, of the best English held-out score of the
search with the mean test score in other languages; ``rho_within`` the same about each model's own mean, since larger
models are better at both."""

FEWEST = 4
"""Configurations below which nothing is said."""


def proxy(frame: pl.DataFrame, budgets: pl.DataFrame) -> pl.DataFrame:
    """PROXY from a FRAME and BUDGETS."""
    on = ["model", "arm", "target"]
    primary = frame.filter("primary", pl.col("language") != ENGLISH, pl.col("score").is_not_null())
    scores = primary.group_by(on, maintain_order=True).agg(pl.col("score").mean())
    chosen = budgets.filter(pl.col("dev_score").is_not_null(), stage="target").select(*on, "dev_score")
    both = scores.join(chosen, on, maintain_order="left")
    about = both.with_columns(
        pl.col("score", "dev_score") - pl.col("score", "dev_score").mean().over("model", "target")
    )
    rows = []
    for target in frame["target"].unique(maintain_order=True):
        own, within = (table.filter(target=target) for table in (both, about))
        count = own.height
        reason = "" if count >= FEWEST else f"fewer than {FEWEST} configurations have both scores"
        compared = own.group_by("model").len()["len"].max() if count else None
        rhos = (_rho(own), _rho(within) if isinstance(compared, int) and compared > 1 else None)
        rows.append((target, count, *((None, None) if reason else rhos), reason))
    return pl.DataFrame(rows, PROXY, orient="row")


def _rho(table: pl.DataFrame) -> float | None:
    """Spearman's correlation; None where one side does not differ."""
    if min(table[name].round(9).n_unique() for name in ("dev_score", "score")) < 2:
        return None
    return float(stats.spearmanr(table["dev_score"].round(9), table["score"].round(9)).statistic)
