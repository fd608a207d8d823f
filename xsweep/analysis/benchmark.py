"""Scores as XTREME and XTREME-R count them: languages -> task -> group -> overall, equal weights at each step.

English counts where the benchmark has it, and a task's score is the mean of its metrics (of exact match and F1 for
question answering). Nothing is averaged over what happens to be there: where a part is missing, so is the mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from xsweep.spec.sweep import Sweep, Target
from xsweep.tasks.benchmarks import BENCHMARKS, Entry, scored_as

HERE, OFFICIAL = "here", "official"
"""How it is counted. ``here``: the benchmark's languages that the sweep scores, by the metrics that count here.
``official``: all the benchmark's languages and rows, by its own retrieval procedures."""

RETRIEVAL = "retrieval"
OVER_TASKS, OVER_GROUPS = "mean over tasks", "mean over groups"
"""Both published averages; "XTREME" without more may be either."""
WITHOUT_RETRIEVAL = " without retrieval"

BENCHMARK = pl.Schema(
    {
        "model": pl.String(),
        "arm": pl.String(),
        "seed": pl.Int64(),
        "benchmark": pl.String(),
        "counted": pl.String(),
        "level": pl.String(),
        "group": pl.String(),
        "name": pl.String(),
        "score": pl.Float64(),
        "parts": pl.Int64(),
        "degenerate": pl.Boolean(),
        "reason": pl.String(),
    }
)
"""One row per run (model, arm, seed), benchmark, way of counting, and task, group or average (``level`` is ``task``,
``group`` or ``overall``). ``score`` in points, null where ``reason`` says what is missing; ``parts`` counts what
should be in the mean: languages, tasks or groups. ``degenerate``: one of the runs behind it was."""

NAMED = 5
"""Languages without a score that a reason names; more are counted."""

_RUN = ["model", "arm", "seed"]
_COUNT = [*_RUN, "benchmark", "counted"]
_WANTED = {
    "benchmark": pl.String,
    "counted": pl.String,
    "group": pl.String,
    "task": pl.String,
    "why": pl.String,
    "target": pl.String,
    "language": pl.String,
    "metric": pl.String,
}


def benchmark_scores(
    scores: pl.DataFrame, sweep: Sweep, benchmarks: Mapping[str, Sequence[Entry]] = BENCHMARKS
) -> pl.DataFrame:
    """BENCHMARK from SCORES: every run of the sweep, in each benchmark that it scores two tasks of or more."""
    wanted = pl.DataFrame(list(_wanted(sweep, benchmarks)), schema=_WANTED, orient="row")
    runs = [(m.name, a.name, s) for m in sweep.models for a in sweep.arms for s in sweep.seeds]
    grid = pl.DataFrame(runs, schema={"model": pl.String, "arm": pl.String, "seed": pl.Int64}, orient="row")
    measured = scores.select(*_RUN, "target", "language", "metric", "score", "status")
    on = [*_RUN, "target", "language", "metric"]
    cells = grid.join(wanted, how="cross").join(measured, on, "left", maintain_order="left")
    tasks = _tasks(cells)
    groups = _means(tasks, "group").with_columns(level=pl.lit("group"), name=pl.col("group"))
    frames = [tasks, groups, *_overall(tasks, groups)]
    return pl.concat([frame.select(BENCHMARK.names()) for frame in frames])


def _wanted(sweep: Sweep, benchmarks: Mapping[str, Sequence[Entry]]) -> Iterator[tuple[str | None, ...]]:
    """What each task's score is made of, a row per language and metric; one with ``why`` where it cannot have one."""
    targets: dict[str, list[Target]] = {}
    for target in sweep.targets:
        targets.setdefault(scored_as(target.task), []).append(target)
    for name, entries in benchmarks.items():
        if sum(entry.task in targets for entry in entries) < 2:
            continue
        for counted in (HERE, OFFICIAL):
            for entry in entries:
                where = (name, counted, entry.group, entry.task)
                found = targets.get(entry.task, [])
                if why := _unfit(found, entry, counted):
                    yield (*where, why, None, None, None)
                    continue
                own = counted == OFFICIAL
                languages = [code for code in entry.languages if own or code in found[0].languages]
                for metric in entry.own_metrics if own else entry.metrics:
                    yield from ((*where, "", found[0].name, code, metric) for code in languages)


def _unfit(found: Sequence[Target], entry: Entry, counted: str) -> str:
    """Why the targets that score a task give it no score of its own, or ""."""
    if not found:
        return "not in this sweep"
    if len(found) > 1:
        return "scored by more than one target: " + ", ".join(target.name for target in found)
    if not set(entry.languages) & set(found[0].languages):
        return "scored in none of its languages"
    rows = found[0].score_examples
    partly = f"scored on {rows} rows of each language, not on all" if rows else ""
    return entry.unofficial or partly if counted == OFFICIAL else ""


def _tasks(cells: pl.DataFrame) -> pl.DataFrame:
    lost = pl.col("score").is_null()
    languages, lacking = (pl.col("language").drop_nulls(), pl.col("language").filter(lost).unique(maintain_order=True))
    named = pl.format("no score in {}", lacking.str.join(", "))
    counted = pl.format("no score in {} of its {} languages", lacking.len(), languages.n_unique())
    return cells.group_by([*_COUNT, "group", "task"], maintain_order=True).agg(
        level=pl.lit("task"),
        name=pl.col("task").first(),
        score=pl.when(~lost.any()).then(pl.col("score").mean()),
        parts=languages.n_unique().cast(pl.Int64),
        degenerate=(pl.col("status") == "degenerate").any(),
        reason=pl.when(pl.col("why").first() != "")
        .then(pl.col("why").first())
        .when(~lost.any())
        .then(pl.lit(""))
        .when(lost.all())
        .then(pl.lit("no score"))
        .otherwise(pl.when(lacking.len() <= NAMED).then(named).otherwise(counted)),
    )


def _means(frame: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Means over the rows of each run inside ``by``: null, with the first reason, when any is missing."""
    lost = pl.col("score").is_null()
    why = pl.when(pl.col("level") == "group").then(pl.col("reason")).otherwise(pl.format("{}: {}", "name", "reason"))
    return frame.group_by([*_COUNT, *by], maintain_order=True).agg(
        score=pl.when(~lost.any()).then(pl.col("score").mean()),
        parts=pl.len().cast(pl.Int64),
        degenerate=pl.col("degenerate").any(),
        reason=why.filter(lost).first().fill_null(""),
    )


def _overall(tasks: pl.DataFrame, groups: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Both averages, of all groups and without retrieval."""
    for scope in ("", WITHOUT_RETRIEVAL):
        for over, parts in ((OVER_TASKS, tasks), (OVER_GROUPS, groups)):
            kept = parts.filter(pl.col("group") != RETRIEVAL) if scope else parts
            yield _means(kept).with_columns(level=pl.lit("overall"), group=pl.lit(""), name=pl.lit(over + scope))
