"""The estimators: gains paired by seed, their means over an arm family, and t intervals over seeds.

The unit of analysis is one reporting seed. Everything inside a seed is averaged with equal weights: languages inside a
target, then targets, then the arms of a family. A seed in which any part is missing has no average at all, since
a mean over other parts would be another quantity; it stays in the frame with the reason.
"""

from __future__ import annotations

import polars as pl
from scipy import stats

from xsweep.analysis.design import BASELINE, Design
from xsweep.spec.sweep import CONTROL

ENGLISH = "en"
ALL = "all"
"""Name of the rows that average over every target of the sweep."""
HEADLINE, WITH_SAME_DATA = "headline", "with same-data"
"""Scopes: the headline leaves out cells whose arm and target train on a common data set."""

_MODEL = ["model", "ladder", "params"]
_ARM = [*_MODEL, "arm", "family"]
_ORDER = ["params", "model"]
_FLAGS = ["same_data", "degenerate", "reason"]


def paired_gains(scores: pl.DataFrame, design: Design) -> pl.DataFrame:
    """Gain of each arm over the baseline at the same model, target and seed, in points.

    ``scores`` is SCORES; ``design`` says what there should be, so that what is missing is known. Returns model,
    ladder, params, arm, family, target (``all`` for the mean over every target), languages (``others`` than English,
    or ``english``), seed, gain, treated, baseline, same_data, degenerate (either run was), reason. ``gain`` is null
    where ``reason`` says what is missing.
    """
    runs = _run_means(scores, design)
    treated = runs.rename({"score": "treated", "degenerate": "treated_degenerate"})
    baseline = runs.filter(arm=BASELINE).drop("arm").rename({"score": "baseline", "degenerate": "base_degenerate"})
    on = ["model", "target", "languages", "seed"]
    pairs = _grid(design).join(treated, [*on, "arm"], "left").join(baseline, on, "left")
    pairs = pairs.with_columns(
        gain=pl.col("treated") - pl.col("baseline"),
        degenerate=pl.any_horizontal(pl.col("treated_degenerate", "base_degenerate").fill_null(False)),
        reason=pl.when(pl.col("treated").is_null())
        .then(pl.lit("no score"))
        .when(pl.col("baseline").is_null())
        .then(pl.lit("no baseline score"))
        .otherwise(pl.lit("")),
    )
    pairs = pairs.sort([*_ORDER, "arm", "target", "languages", "seed"])  # so that sums have one order, and one value
    pairs = pairs.select([*_ARM, "target", "languages", "seed", "gain", "treated", "baseline", *_FLAGS])
    over = _average(pairs, [*_ARM, "languages", "seed"], ["gain", "treated", "baseline"], "target")
    over = over.with_columns(target=pl.lit(ALL)).select(pairs.columns)
    return pl.concat([pairs, over]).sort([*_ORDER, "arm", "target", "languages", "seed"])


def family_gains(gains: pl.DataFrame) -> pl.DataFrame:
    """Mean gain of each arm family per seed, from ``paired_gains``; controls are no family to average over.

    Returns model, ladder, params, family, scope (``headline`` or ``with same-data``), target, languages, seed, gain,
    arms (how many are averaged), same_data, degenerate, reason. For ``all``, an arm is first averaged over the
    targets that its scope leaves it. A family with no cell in a scope has no row there.
    """
    cells = gains.filter(pl.col("target") != ALL, pl.col("family") != CONTROL)
    order = [*_MODEL, "family", "scope", "target", "languages", "seed"]
    frames = []
    for scope, kept in ((HEADLINE, cells.filter(~pl.col("same_data"))), (WITH_SAME_DATA, cells)):
        over = _average(kept, [*_ARM, "languages", "seed"], ["gain"], "target").with_columns(target=pl.lit(ALL))
        columns = [*_ARM, "target", "languages", "seed", "gain", *_FLAGS]
        arms = pl.concat([kept.select(columns), over.select(columns)]).with_columns(scope=pl.lit(scope))
        frames.append(_average(arms, order, ["gain"], "arm"))
    found = pl.concat(frames).rename({"parts": "arms"})
    return found.select([*order, "gain", "arms", *_FLAGS]).sort([*_ORDER, *order[3:]])


def intervals(gains: pl.DataFrame, level: float = 0.95) -> pl.DataFrame:
    """Mean gain over seeds with its t interval, from ``paired_gains`` or ``family_gains``.

    Per everything but the seed: seeds (that have a gain), missing, degenerate (seeds with a degenerate run in the
    pair), mean, sd, low, high. ``sd``, ``low`` and ``high`` are null below two seeds: one run has no spread to see.
    """
    by = [*_MODEL, "arm", "family", "scope", "target", "languages", "same_data"]
    gain = pl.col("gain")
    found = gains.group_by([name for name in by if name in gains.columns], maintain_order=True).agg(
        seeds=gain.count().cast(pl.Int64),
        missing=gain.null_count().cast(pl.Int64),
        degenerate=(pl.col("degenerate") & gain.is_not_null()).sum().cast(pl.Int64),
        mean=gain.mean(),
        sd=gain.std(ddof=1),  # null below two values
    )
    widths = [
        None if sd is None else float(stats.t.ppf((1 + level) / 2, n - 1)) * sd / n**0.5
        for n, sd in found.select("seeds", "sd").iter_rows()
    ]
    half = pl.Series(widths, dtype=pl.Float64)
    return found.with_columns(low=pl.col("mean") - half, high=pl.col("mean") + half)


def _run_means(scores: pl.DataFrame, design: Design) -> pl.DataFrame:
    """model, arm, target, languages, seed, score, degenerate: a run has a mean only when every language is there."""
    rows = [(target, language) for target, languages in design.targets.items() for language in languages]
    wanted = pl.DataFrame(rows, schema={"target": pl.String, "language": pl.String}, orient="row")
    group = pl.when(pl.col("language") == ENGLISH).then(pl.lit("english")).otherwise(pl.lit("others"))
    wanted = wanted.with_columns(languages=group).with_columns(wanted=pl.len().over("target", "languages"))
    primary = scores.filter("primary").join(wanted, ["target", "language"]).sort(["target", "language"])
    means = primary.group_by(["model", "arm", "target", "languages", "seed"], maintain_order=True).agg(
        score=pl.col("score").mean(),
        degenerate=(pl.col("status") == "degenerate").any(),
        scored=pl.len(),
        wanted=pl.col("wanted").first(),
    )
    return means.filter(pl.col("scored") == pl.col("wanted")).drop("scored", "wanted")


def _grid(design: Design) -> pl.DataFrame:
    """Every pair that there should be: model, ladder, params, arm, family, target, same_data, languages, seed."""
    rows = [
        (model.name, model.ladder, model.params, arm, family, target, (arm, target) in design.same_data, group, seed)
        for model in design.models
        for arm, family in design.arms.items()
        if arm != BASELINE
        for target, languages in design.targets.items()
        if (arm, target) not in design.left_out
        for group in sorted({"english" if code == ENGLISH else "others" for code in languages})
        for seed in design.seeds
    ]
    words = dict.fromkeys(["model", "ladder", "arm", "family", "target", "languages"], pl.String)
    types = words | {"params": pl.Int64, "same_data": pl.Boolean, "seed": pl.Int64}
    names = [*_ARM, "target", "same_data", "languages", "seed"]
    return pl.DataFrame(rows, schema={name: types[name] for name in names}, orient="row")


def _average(frame: pl.DataFrame, by: list[str], values: list[str], part: str) -> pl.DataFrame:
    """Means of ``values`` over the parts inside ``by``: null, with the first reason, when any part is missing."""
    missing = pl.col("gain").is_null()
    return frame.group_by(by, maintain_order=True).agg(
        *(pl.when(~missing.any()).then(pl.col(value).mean()).alias(value) for value in values),
        parts=pl.len().cast(pl.Int64),
        same_data=pl.col("same_data").any(),
        degenerate=pl.col("degenerate").any(),
        reason=pl.format("{}: {}", part, "reason").filter(missing).first().fill_null(""),
    )
