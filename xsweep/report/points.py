"""What every figure but the main curve draws, as a frame: the drawing itself adds nothing to it."""

from __future__ import annotations

import polars as pl

from xsweep.analysis.analyse import Analysis
from xsweep.analysis.design import BASELINE, Design
from xsweep.analysis.gains import ALL, HEADLINE, family_gains, intervals, paired_gains
from xsweep.analysis.scales import ERROR, LOGIT, POINTS
from xsweep.analysis.slopes import PER_SEED
from xsweep.report.curve import curve_points
from xsweep.spec.sweep import CONTROL

OTHERS, IN_ENGLISH, GAP = "Other languages", "English", "English minus others"
FALSE_DISCOVERIES = 0.10
"""Share of false findings among those marked in the forest of slopes."""

HEAT = pl.Schema(
    {
        "panel": pl.String(),
        "params": pl.Int64(),
        "arm": pl.String(),
        "family": pl.String(),
        "target": pl.String(),
        "gain": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "seeds": pl.Int64(),
        "same_data": pl.Boolean(),
    }
)
"""One row per cell of the heat map; ``panel`` is the model, ``gain`` null where a run is missing."""

FOREST = pl.Schema(
    {
        "target": pl.String(),
        "family": pl.String(),
        "slope": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "q": pl.Float64(),
        "marked": pl.Boolean(),
        "seeds": pl.Int64(),
    }
)
"""One row per slope in points per decade of parameters; target ``all`` pools. ``marked``: q is at most 0.10."""

LEVELS = pl.Schema(
    {
        "panel": pl.String(),
        "series": pl.String(),
        "ladder": pl.String(),
        "model": pl.String(),
        "params": pl.Int64(),
        "score": pl.Float64(),
        "chance": pl.Float64(),
        "seeds": pl.Int64(),
    }
)
"""One row per mean score in points, languages other than English; ``series`` is ``none`` or a family, whose arms are
averaged without same-data cells."""

BUDGET = pl.Schema(
    {
        "panel": pl.String(),
        "arm": pl.String(),
        "family": pl.String(),
        "k": pl.Int64(),
        "expected": pl.Float64(),
        "targets": pl.Int64(),
        "equal": pl.Int64(),
    }
)
"""Best development score to expect after ``k`` trials, mean over the targets that were searched as long; ``panel`` is
the model, ``equal`` the most trials that all its arms have."""

ENDS = pl.Schema(
    {"panel": pl.String(), "params": pl.Int64(), "arm": pl.String(), "status": pl.String(), "runs": pl.Int64()}
)
STATUSES = ("ok", "degenerate", "diverged", "failed", "missing")


def scale_points(found: Analysis) -> pl.DataFrame:
    """POINTS of the curve on the two other scales; a panel for each."""
    parts = []
    for scale in (LOGIT, ERROR):
        families = family_gains(paired_gains(found.tables["scores"], found.design, scale))
        drawn = curve_points(families, intervals(families)).filter(panel=ALL)
        parts.append(drawn.with_columns(panel=pl.lit(scale)))
    return pl.concat(parts)


def group_points(found: Analysis) -> pl.DataFrame:
    """POINTS of each group of targets, its targets averaged."""
    cells = found.gains.filter(pl.col("target") != ALL)
    parts = []
    for group in dict.fromkeys(found.design.groups[target] for target in found.design.targets):
        families = family_gains(cells.filter(group=group)).filter(target=ALL)
        parts.append(curve_points(families, intervals(families)).with_columns(panel=pl.lit(group)))
    return pl.concat(parts)


def gap_points(families: pl.DataFrame) -> pl.DataFrame:
    """POINTS of the gain in other languages, in English, and of English minus the others seed by seed.

    From ``family_gains``; the last is what the transfer gap grows by.
    """
    own = families.filter(target=ALL, scope=HEADLINE)
    on = [name for name in own.columns if name not in ("languages", "gain", "same_data", "degenerate", "reason")]
    sides = {name: own.filter(languages=name) for name in ("others", "english")}
    gap = sides["english"].join(sides["others"].select(*on, other="gain"), on, maintain_order="left")
    gap = gap.with_columns(gain=pl.col("gain") - pl.col("other")).select(own.columns)
    parts = []
    for panel, rows in ((OTHERS, sides["others"]), (IN_ENGLISH, sides["english"]), (GAP, gap)):
        alike = rows.with_columns(languages=pl.lit("others"))
        parts.append(curve_points(alike, intervals(alike)).with_columns(panel=pl.lit(panel)))
    return pl.concat(parts)


def heat_points(gains: pl.DataFrame, design: Design) -> pl.DataFrame:
    """HEAT from the table of gains: arms by family, targets by group."""
    families, groups = (list(dict.fromkeys(own.values())) for own in (design.arms, design.groups))
    arms = sorted(design.arms, key=lambda arm: families.index(design.arms[arm]))
    targets = sorted(design.targets, key=lambda target: groups.index(design.groups[target]))
    places = {"arm": arms, "target": targets}
    ranks = [pl.col(name).replace_strict({one: n for n, one in enumerate(own)}, return_dtype=pl.Int64)
             for name, own in places.items()]  # fmt: skip
    cells = gains.filter(pl.col("target") != ALL).sort("params", "model", *ranks, maintain_order=True)
    return cells.select(panel="model", params="params", arm="arm", family="family", target="target", gain="estimate",
                        low="low", high="high", seeds="n_seeds", same_data="same_data").cast(HEAT)  # fmt: skip


def forest_points(slopes: pl.DataFrame) -> pl.DataFrame:
    """FOREST from the table of slopes."""
    own = slopes.filter(pl.col("estimate").is_not_null(), pl.col("family") != CONTROL, scale=POINTS, method=PER_SEED)
    marked = (pl.col("q") <= FALSE_DISCOVERIES).fill_null(False)
    return own.select(
        "target", "family", "low", "high", "q", slope="estimate", marked=marked, seeds="n_seeds"
    ).select(FOREST.names()).cast(FOREST)  # fmt: skip


def level_points(found: Analysis) -> pl.DataFrame:
    """LEVELS of every target, from models of known size."""
    cells = found.gains.filter(
        pl.col("target") != ALL, pl.col("params").is_not_null(), pl.col("family") != CONTROL, languages="others"
    )
    model = ["target", "ladder", "model", "params"]
    base = cells.filter(pl.col("baseline").is_not_null()).unique([*model, "seed"], keep="first", maintain_order=True)
    base = base.with_columns(series=pl.lit(BASELINE), score=pl.col("baseline"))
    arms = cells.filter(~pl.col("same_data")).with_columns(series=pl.col("family"), score=pl.col("treated"))
    whole = pl.when(~pl.col("score").is_null().any()).then(pl.col("score").mean())
    scored = found.tables["scores"].filter("primary")
    chance = scored.group_by("target", maintain_order=True).agg(pl.col("chance").first())
    rows = (
        pl.concat([base, arms])
        .group_by([*model, "series", "seed"], maintain_order=True)
        .agg(score=whole)
        .group_by([*model, "series"], maintain_order=True)
        .agg(pl.col("score").mean(), seeds=pl.col("score").count().cast(pl.Int64))
        .filter(pl.col("score").is_not_null())
        .join(chance, "target", "left", maintain_order="left")
    )
    rows = rows.rename({"target": "panel"}).select(LEVELS.names()).cast(LEVELS)
    return rows.sort("panel", "series", "ladder", "params")


def budget_points(evp: pl.DataFrame, design: Design) -> pl.DataFrame:
    """BUDGET from EVP, of the target stage: other stages are judged on other data."""
    own = evp.filter(stage="target")
    if own.is_empty():
        return pl.DataFrame(schema=BUDGET)
    least = own.group_by("model", "arm").agg(own=pl.col("trials").min())
    shared = least.group_by("model").agg(equal=pl.col("own").min())
    kept = own.join(least, ["model", "arm"], maintain_order="left").filter(pl.col("k") <= pl.col("own"))
    means = kept.group_by("model", "arm", "k", maintain_order=True).agg(
        expected=pl.col("unbiased").mean(), targets=pl.col("target").n_unique().cast(pl.Int64)
    )
    means = means.join(shared, "model", maintain_order="left").with_columns(
        family=pl.col("arm").replace_strict(dict(design.arms), return_dtype=pl.String)
    )
    return means.rename({"model": "panel"}).select(BUDGET.names()).cast(BUDGET)


def end_points(failures: pl.DataFrame) -> pl.DataFrame:
    """ENDS from the table of failures: runs by how they ended."""
    where = ["model", "params", "arm"]
    long = failures.select(*where, *STATUSES).unpivot(STATUSES, index=where, variable_name="status", value_name="runs")
    return long.rename({"model": "panel"}).select(ENDS.names()).cast(ENDS)
