"""What each figure shows, in a sentence made from its points: for those who do not see it."""

from __future__ import annotations

import polars as pl

from xsweep.analysis.design import BASELINE
from xsweep.analysis.gains import ALL, HEADLINE
from xsweep.analysis.slopes import scale_dependent
from xsweep.report.points import GAP
from xsweep.report.words import count, decimals, family_name, listed, points

NOTHING = "No point can be drawn yet."


def by_panel(drawn: pl.DataFrame, what: str) -> str:
    """Where each family gains most and least at the largest model."""
    own = drawn.filter(pl.col("seed").is_null(), pl.col("scope") == HEADLINE)
    if own.is_empty():
        return NOTHING
    top = own.sort("params", "model")["model"][-1]
    said = []
    for (family,), rows in own.filter(model=top).sort("gain").group_by("family", maintain_order=True):
        low, high = rows.row(0, named=True), rows.row(-1, named=True)
        said.append(f"{family_name(str(family))} between {points(low['gain'], True)} ({low['panel']}) and "
                    f"{points(high['gain'], True)} ({high['panel']})")  # fmt: skip
    return f"At {top}, mean gain in points by {what}: {listed(said)}."


def scales(slopes: pl.DataFrame) -> str:
    """Whether a family's slope has the same sign in points and in log odds."""
    turned = scale_dependent(slopes)
    if turned:
        return f"The slope of {listed(map(family_name, turned))} has another sign in log odds than in points."
    if slopes["estimate"].null_count() == slopes.height:
        return "Mean gains in log odds and in percent of the baseline's errors; there is no slope to compare."
    return "Every slope has the same sign in points and in log odds."


def gap(drawn: pl.DataFrame) -> str:
    """What the transfer gap grows by at the largest model."""
    own = drawn.filter(pl.col("seed").is_null(), panel=GAP).sort("params", "model")
    if own.is_empty():
        return NOTHING
    last = own.filter(model=own["model"][-1])
    said = [_with_interval(row["family"], row["gain"], row["low"], row["high"]) for row in last.iter_rows(named=True)]
    return f"At {last['model'][0]}, gain in English minus gain in other languages, in points: {listed(said)}."


def heat(drawn: pl.DataFrame) -> str:
    """The largest and the smallest gain."""
    own = drawn.filter(pl.col("gain").is_not_null()).sort("gain", maintain_order=True)
    if own.is_empty():
        return NOTHING
    low, high = (own.row(place, named=True) for place in (0, -1))
    ends = [f"{points(row['gain'], True)} ({row['arm']} on {row['target']}, {row['panel']})" for row in (low, high)]
    return f"Gains of {count(own.height, 'cell')} lie between {ends[0]} and {ends[1]} points."


def forest(drawn: pl.DataFrame) -> str:
    """How many slopes are marked, and the pooled ones."""
    cells = drawn.filter(pl.col("target") != ALL)
    said = [
        _with_interval(row["family"], row["slope"], row["low"], row["high"], 2)
        for row in drawn.filter(target=ALL).iter_rows(named=True)
    ]
    pooled = f"Over all targets, points per decade of parameters: {listed(said)}." if said else ""
    if cells.is_empty():
        return pooled or NOTHING
    marked = (
        f"Marked among the slopes of single targets and language families: {cells['marked'].sum()} of {cells.height}."
    )
    return f"{pooled} {marked}".strip()


def levels(drawn: pl.DataFrame) -> str:
    """The range of the baseline's scores at the smallest and the largest model."""
    base = drawn.filter(series=BASELINE).sort("params", "model")
    if base.is_empty():
        return NOTHING
    said = []
    for model in dict.fromkeys((base["model"][0], base["model"][-1])):
        own = base.filter(model=model).sort("score")["score"]
        spread = points(own[0]) if own.len() == 1 else f"from {points(own[0])} to {points(own[-1])}"
        said.append(f"{spread} points at {model}")
    return f"The baseline scores {listed(said)}."


def budget(drawn: pl.DataFrame) -> str:
    """What each arm is to expect at the equal budget of the largest model."""
    if drawn.is_empty():
        return NOTHING
    last = drawn.filter(panel=drawn["panel"][-1])
    even = last.filter(pl.col("k") == pl.col("equal"))
    said = [f"{row['arm']} {points(row['expected'])}" for row in even.iter_rows(named=True)]
    trials = count(last["equal"][0], "trial")
    return f"At {last['panel'][0]} with {trials} each, expected best score on held-out rows: {listed(said)}."


def ends(drawn: pl.DataFrame) -> str:
    """How many runs ended in which way."""
    totals = drawn.group_by("status", maintain_order=True).agg(pl.col("runs").sum()).filter(pl.col("runs") > 0)
    said = [f"{runs} {status}" for status, runs in totals.iter_rows()]
    models = drawn.select("panel", "params").n_unique()
    return f"Of {count(sum(drawn['runs'].to_list()), 'run')} at {count(models, 'size')}: {listed(said)}."


def _with_interval(family: str, value: float, low: float | None, high: float | None, digits: int = 1) -> str:
    ends = [decimals(end, digits, True) for end in (low, high)]
    spread = "no interval" if low is None else f"95 % interval {' to '.join(ends)}"
    return f"{family_name(family)} {decimals(value, digits, True)} ({spread})"
