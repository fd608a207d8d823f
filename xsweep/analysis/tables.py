"""The tables of gains and of plain averages that other programs read: one row per model, arm and target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from xsweep.analysis.design import Design
from xsweep.analysis.estimate import NO_BAND, Estimate, Values, crossed, t_estimate
from xsweep.analysis.gains import ALL, ENGLISH
from xsweep.analysis.multiple import adjusted
from xsweep.tasks.catalog import CATALOG

_NAMED = {
    "model": pl.String(),
    "params": pl.Int64(),
    "arm": pl.String(),
    "family": pl.String(),
    "target": pl.String(),
    "estimate": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n_seeds": pl.Int64(),
}
GAINS = pl.Schema(
    {
        **_NAMED,
        "p": pl.Float64(),
        "q": pl.Float64(),
        "missing": pl.Int64(),
        "degenerate": pl.Int64(),
        "same_data": pl.Boolean(),
        "reason": pl.String(),
        "covers": pl.String(),
    }
)
"""Gain in points in languages other than English: the mean over seeds and its 95 % t interval. ``q``: p adjusted by
Benjamini and Hochberg over all rows of one target; exploratory. ``missing`` counts seeds without a gain, ``degenerate``
those with a degenerate run in the pair. Target ``all`` averages targets in groups, then groups."""

GAINS_ALL_LANGUAGES = pl.Schema(
    {**_NAMED, "low_languages": pl.Float64(), "high_languages": pl.Float64(), "df_languages": pl.Float64(),
     "n_languages": pl.Int64(), "reason": pl.String()}
)  # fmt: skip
"""The same gains, with an interval for seeds and languages in general (Satterthwaite) beside the one for these
languages."""

AVERAGES = pl.Schema(
    {
        "model": pl.String(),
        "params": pl.Int64(),
        "arm": pl.String(),
        "target": pl.String(),
        "metric": pl.String(),
        "english": pl.Float64(),
        "others": pl.Float64(),
        "every": pl.Float64(),
        "n_languages": pl.Int64(),
        "n_seeds": pl.Int64(),
    }
)
"""Mean scores in points: in English, in the other languages, and in every language as benchmarks print it. Question
answering has a row ``exact match and F1`` where both are given. Null where a language has no score; the mean of seeds
that have them all."""

BOTH = "exact match and F1"
_EXACT = {"exact_match", "em"}


def gains_table(means: pl.DataFrame, gains: pl.DataFrame, design: Design, languages: str = "others") -> pl.DataFrame:
    """GAINS from ``paired_gains`` and their ``intervals``."""
    why = gains.filter(pl.col("reason") != "", languages=languages)
    why = why.unique(["model", "arm", "target"], keep="first", maintain_order=True)
    reasons = {(m, a, t): r for m, a, t, r in why.select("model", "arm", "target", "reason").iter_rows()}
    rows: list[dict[str, Any]] = []
    values = gains.filter(pl.col("gain").is_not_null(), languages=languages)
    by_cell = {key: own["gain"].to_numpy() for key, own in values.group_by("model", "arm", "target")}
    for line in means.filter(languages=languages).iter_rows(named=True):
        key = (line["model"], line["arm"], line["target"])
        found = t_estimate(by_cell[key]) if key in by_cell else Estimate()
        reason = reasons.get(key, "") or (NO_BAND if line["seeds"] == 1 else "")
        rows.append(line | {"estimate": found.value, "low": found.low, "high": found.high, "p": found.p, "q": None,
                            "n_seeds": line["seeds"], "reason": reason, "covers": design.covers})  # fmt: skip
    table = pl.DataFrame(rows, GAINS) if rows else pl.DataFrame(schema=GAINS)
    cells = table.with_row_index().filter(pl.col("target") != ALL)
    q = dict(zip(cells["index"], adjusted(cells["p"].to_list(), "fdr_bh"), strict=True))
    return table.with_columns(q=pl.Series([q.get(index) for index in range(table.height)], dtype=pl.Float64))


def gains_all_languages(table: pl.DataFrame, cells: pl.DataFrame) -> pl.DataFrame:
    """GAINS_ALL_LANGUAGES from GAINS and ``language_gains``."""
    others = cells.filter(languages="others").sort("target", "language", "seed")
    seeds = others["seed"].n_unique()
    by_arm = {}
    for (model, arm), own in others.group_by("model", "arm", maintain_order=True):
        places = list(own.select("target", "group", "language").gather_every(seeds).iter_rows())
        by_arm[model, arm] = places, own["gain"].to_numpy().reshape(len(places), seeds)
    rows = []
    for line in table.iter_rows(named=True):
        places, gains = by_arm[line["model"], line["arm"]]
        kept = [n for n, (target, *_) in enumerate(places) if line["target"] in (ALL, target)]
        found, count = _in_general(gains[kept], [places[n] for n in kept])
        reason = line["reason"] or found.reason
        rows.append(line | {"low_languages": found.low, "high_languages": found.high, "df_languages": found.df,
                            "n_languages": count, "reason": reason})  # fmt: skip
    return pl.DataFrame(rows, GAINS_ALL_LANGUAGES) if rows else pl.DataFrame(schema=GAINS_ALL_LANGUAGES)


def _in_general(gains: Values, places: Sequence[tuple[str, str, str]]) -> tuple[Estimate, int]:
    """The crossed estimate of ``gains`` (places, seeds), languages weighed as the mean over targets weighs them.

    A place is a target, its group and a language; returns how many languages there are too.
    """
    whole = gains[:, ~np.isnan(gains).any(axis=0)]
    codes = list(dict.fromkeys(language for *_, language in places))
    if not whole.size:
        return Estimate(reason="no seed has every language"), len(codes)
    tasks = Counter(group for _, group in {(target, group) for target, group, _ in places})
    spoken = Counter(target for target, *_ in places)
    shares = np.array([1 / (len(tasks) * tasks[group] * spoken[target]) for target, group, _ in places])
    parts = shares * np.array([[language == code for *_, language in places] for code in codes])
    weights = parts.sum(axis=1)
    return crossed((parts @ whole / weights[:, None]).T, weights / weights.sum()), len(codes)


def averages(frame: pl.DataFrame, design: Design) -> pl.DataFrame:
    """AVERAGES of a FRAME."""
    english = pl.col("language") == ENGLISH
    whole = ~pl.col("score").is_null().any()
    by = ["model", "params", "arm", "target", "metric"]
    runs = frame.group_by([*by, "seed", "repeat"], maintain_order=True).agg(
        english=pl.col("score").filter(english).mean(),
        others=pl.when(whole).then(pl.col("score").filter(~english).mean()),
        every=pl.when(whole).then(pl.col("score").mean()),
        languages=pl.col("language").n_unique(),
    )
    wanted = {target: len(codes) for target, codes in design.targets.items()}
    runs = runs.filter(pl.col("languages") == pl.col("target").replace_strict(wanted, return_dtype=pl.UInt32))
    answers = [name for name, task in CATALOG.items() if task.format == "span"]
    both = runs.filter(pl.col("target").is_in(answers), pl.col("metric").is_in([*_EXACT, "f1"]))
    both = both.group_by([*by[:-1], "seed", "repeat"], maintain_order=True).agg(
        *(pl.col(name).mean() for name in ("english", "others", "every")), metric=pl.lit(BOTH), parts=pl.len(),
        languages=pl.col("languages").first(),
    ).filter(pl.col("parts") == 2)  # fmt: skip
    runs = pl.concat([runs, both.select(runs.columns)])
    found = runs.group_by(by, maintain_order=True).agg(
        *(pl.col(name).mean() for name in ("english", "others", "every")),
        n_languages=pl.col("languages").first().cast(pl.Int64),
        n_seeds=pl.col("every").count().cast(pl.Int64),
    )
    return found.select(AVERAGES.names()).cast(AVERAGES)
