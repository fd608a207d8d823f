"""Gains paired by seed and their means, in the one order of aggregation; their t intervals.

The unit of analysis is one reporting seed, or one repeat of the search where there are three. Everything inside it is
averaged with equal weights: a repeat's seeds, languages inside a target, targets inside a group, groups, then the arms
of a family. A unit in which any part is missing has no average at all, since a mean over other parts would be another
quantity; it stays in the frame with the reason.
"""

from __future__ import annotations

import polars as pl
from scipy import special

from xsweep.analysis.design import BASELINE, Design
from xsweep.analysis.scales import POINTS, gain
from xsweep.spec.sweep import CONTROL

ENGLISH = "en"
ALL = "all"
"""Name of the rows that average over every target."""
HEADLINE, WITH_SAME_DATA = "headline", "with same-data"
"""Scopes: the headline leaves out cells whose arm and target train on a common data set."""

_SIZE = {"model": pl.String(), "ladder": pl.String(), "params": pl.Int64()}
_MARKS = {"same_data": pl.Boolean(), "degenerate": pl.Boolean(), "reason": pl.String()}
PAIRED_GAINS = pl.Schema(
    {
        **_SIZE,
        **dict.fromkeys(("arm", "family", "target", "group", "languages"), pl.String()),
        "seed": pl.Int64(),
        **dict.fromkeys(("gain", "treated", "baseline"), pl.Float64()),
        **_MARKS,
    }
)
"""Gain of an arm over the baseline per seed (with three repeats of the search, per repeat), averaged over languages, in
points, and the two scores that it is of. Target ``all`` averages targets in groups, then groups; its ``group`` is
empty. ``gain`` is null where ``reason`` says what is missing."""
FAMILY_GAINS = pl.Schema(
    {
        **_SIZE,
        **dict.fromkeys(("family", "scope", "target", "languages"), pl.String()),
        "seed": pl.Int64(),
        "gain": pl.Float64(),
        "arms": pl.Int64(),
        **_MARKS,
    }
)
"""Mean gain of a family's arms per seed, in points, in the headline's scope and with same-data cells. ``arms``: how
many are averaged."""
FAMILY_INTERVALS = pl.Schema(
    {
        **_SIZE,
        **dict.fromkeys(("family", "scope", "target", "languages"), pl.String()),
        "same_data": pl.Boolean(),
        **dict.fromkeys(("seeds", "missing", "degenerate"), pl.Int64()),
        **dict.fromkeys(("mean", "sd", "low", "high"), pl.Float64()),
    }
)
"""Mean of FAMILY_GAINS over seeds with its 95 % t interval. ``missing`` counts seeds without a gain, ``degenerate``
those with a degenerate run in a pair. Below two seeds ``sd``, ``low`` and ``high`` are null."""

_MODEL = ["model", "ladder", "params"]
_ARM = [*_MODEL, "arm", "family"]
_ORDER = ["params", "model"]
_FLAGS = ["same_data", "degenerate", "reason"]
_VALUES = ["gain", "treated", "baseline"]


def language_gains(frame: pl.DataFrame, design: Design, scale: str = POINTS) -> pl.DataFrame:
    """Gain of each arm over the baseline at the same model, target, language, seed and repeat, from a FRAME.

    Returns model, ladder, params, arm, family, target, group, language, languages (``others`` than English, or
    ``english``), seed (the unit: with three repeats of the search a repeat, averaged over its seeds), gain (on
    ``scale``), treated, baseline (points), same_data, degenerate (either run was), reason. ``gain`` is null where
    ``reason`` says what is missing.
    """
    on = ["model", "target", "language", "seed", "repeat"]
    scored = frame.filter("primary").select(*on, "arm", "score", "n", "chance", "status")
    scored = scored.with_columns(odd=pl.col("status") == "degenerate").drop("status")
    base = scored.filter(arm=BASELINE).select(*on, baseline="score", base_odd="odd")
    cells = _grid(design).join(scored.rename({"score": "treated"}), [*on, "arm"], "left").join(base, on, "left")
    lost, lost_base = pl.col("treated").is_null(), pl.col("baseline").is_null()
    cells = cells.with_columns(
        gain=gain(scale),
        degenerate=pl.any_horizontal(pl.col("odd", "base_odd").fill_null(False)),
        reason=pl.when(lost)
        .then(pl.lit("no score"))
        .when(lost_base)
        .then(pl.lit("no baseline score"))
        .when(gain(scale).is_null())
        .then(pl.lit(f"{scale} is not defined there"))
        .otherwise(pl.lit("")),
    )
    order = [*_ORDER, "arm", "target", "languages", "language", "repeat", "seed"]
    cells = cells.sort(order)  # so that sums have one order, and one value
    if len(design.repeats) > 1:
        unit, within = ("repeat", "seed") if design.unit == "repeat" else ("seed", "repeat")
        keys = [*_ARM, "target", "group", "languages", "language", unit]
        cells = _average(cells, keys, _VALUES, within).rename({unit: "seed"})
    return cells.select([*_ARM, "target", "group", "language", "languages", "seed", *_VALUES, *_FLAGS])


def paired_gains(frame: pl.DataFrame, design: Design, scale: str = POINTS) -> pl.DataFrame:
    """``over_languages`` of ``language_gains``."""
    return over_languages(language_gains(frame, design, scale))


def over_languages(cells: pl.DataFrame) -> pl.DataFrame:
    """``language_gains`` averaged over languages, and over targets too in the rows of target ``all``.

    Returns model, ladder, params, arm, family, target, group (empty for ``all``), languages, seed, gain, treated,
    baseline, same_data, degenerate, reason.
    """
    by = [*_ARM, "target", "group", "languages", "seed"]
    pairs = _average(cells, by, _VALUES).select([*by, *_VALUES, *_FLAGS])
    over = over_targets(pairs, [*_ARM, "languages", "seed"], _VALUES)
    over = over.with_columns(target=pl.lit(ALL), group=pl.lit("")).select(pairs.columns)
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
        over = over_targets(kept, [*_ARM, "languages", "seed"], ["gain"]).with_columns(target=pl.lit(ALL))
        columns = [*_ARM, "target", "languages", "seed", "gain", *_FLAGS]
        arms = pl.concat([kept.select(columns), over.select(columns)]).with_columns(scope=pl.lit(scope))
        frames.append(_average(arms, order, ["gain"], "arm"))
    found = pl.concat(frames).rename({"parts": "arms"})
    return found.select([*order, "gain", "arms", *_FLAGS]).sort([*_ORDER, *order[3:]])


def over_targets(pairs: pl.DataFrame, by: list[str], values: list[str]) -> pl.DataFrame:
    """Targets -> groups -> one mean inside ``by``: null, with the first reason, where any target is missing."""
    groups = _average(pairs, [*by, "group"], values, "target")
    return _average(groups, by, values)


def intervals(gains: pl.DataFrame, level: float = 0.95) -> pl.DataFrame:
    """Mean gain over seeds with its t interval, from ``paired_gains`` or ``family_gains``.

    Per everything but the seed: seeds (that have a gain), missing, degenerate (seeds with a degenerate run in the
    pair), mean, sd, low, high. ``sd``, ``low`` and ``high`` are null below two seeds: one run has no spread to see.
    """
    by = [*_MODEL, "arm", "family", "scope", "target", "languages", "same_data"]
    value = pl.col("gain")
    found = gains.group_by([name for name in by if name in gains.columns], maintain_order=True).agg(
        seeds=value.count().cast(pl.Int64),
        missing=value.null_count().cast(pl.Int64),
        degenerate=(pl.col("degenerate") & value.is_not_null()).sum().cast(pl.Int64),
        mean=value.mean(),
        sd=value.std(ddof=1),  # null below two values
    )
    widths = [
        None if sd is None else float(special.stdtrit(n - 1, (1 + level) / 2)) * sd / n**0.5
        for n, sd in found.select("seeds", "sd").iter_rows()
    ]
    half = pl.Series(widths, dtype=pl.Float64)
    return found.with_columns(low=pl.col("mean") - half, high=pl.col("mean") + half)


def _grid(design: Design) -> pl.DataFrame:
    """Every pair that there should be, a row per language and draw of seed and repeat."""
    arms = [
        (arm, family, target, (arm, target) in design.same_data, design.groups[target], language)
        for arm, family in design.arms.items()
        if arm != BASELINE
        for target, languages in design.targets.items()
        if (arm, target) not in design.left_out
        for language in languages
    ]
    words = dict.fromkeys(["arm", "family", "target"], pl.String)
    kinds = {**words, "same_data": pl.Boolean, "group": pl.String, "language": pl.String}
    models = [(model.name, model.ladder, model.params) for model in design.models]
    sizes = {"model": pl.String, "ladder": pl.String, "params": pl.Int64}
    grid = pl.DataFrame(models, sizes, orient="row").join(pl.DataFrame(arms, kinds, orient="row"), how="cross")
    draws = pl.DataFrame(list(design.draws), {"seed": pl.Int64, "repeat": pl.Int64}, orient="row")
    grid = grid.join(draws, how="cross")
    english = pl.when(pl.col("language") == ENGLISH).then(pl.lit("english")).otherwise(pl.lit("others"))
    return grid.with_columns(languages=english)


def _average(frame: pl.DataFrame, by: list[str], values: list[str], part: str = "") -> pl.DataFrame:
    """Means of ``values`` over the rows inside ``by``: null, with the first reason, when any is missing.

    ``part`` is the column that a reason names what is missing by.
    """
    missing = pl.col("gain").is_null()
    named = pl.format("{}: {}", part, "reason") if part else pl.col("reason")
    return frame.group_by(by, maintain_order=True).agg(
        *(pl.when(~missing.any()).then(pl.col(value).mean()).alias(value) for value in values),
        parts=pl.len().cast(pl.Int64),
        same_data=pl.col("same_data").any(),
        degenerate=pl.col("degenerate").any(),
        reason=named.filter(missing).first().fill_null(""),
    )
