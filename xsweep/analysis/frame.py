"""The one frame that every estimate starts from, whether a sweep made the scores or a file brought them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from xsweep.analysis.outcomes import holes
from xsweep.plan.records import Record
from xsweep.spec.sweep import Sweep
from xsweep.tasks.benchmarks import BENCHMARKS, scored_as
from xsweep.tasks.task import Task

FRAME = pl.Schema(
    {
        "model": pl.String(),
        "ladder": pl.String(),
        "params": pl.Int64(),
        "embedding_params": pl.Int64(),
        "arm": pl.String(),
        "family": pl.String(),
        "target": pl.String(),
        "group": pl.String(),
        "same_data": pl.Boolean(),
        "repeat": pl.Int64(),
        "seed": pl.Int64(),
        "language": pl.String(),
        "metric": pl.String(),
        "primary": pl.Boolean(),
        "chance": pl.Float64(),
        "score": pl.Float64(),
        "n": pl.Int64(),
        "status": pl.String(),
        "trials": pl.Int64(),
        "gpu_hours": pl.Float64(),
        "dev_score": pl.Float64(),
    }
)
"""One row per run, language and metric, the runs without a score among them. ``score``, ``chance`` and ``dev_score`` in
points. ``status``: ``ok``, ``degenerate``, ``diverged``, ``failed`` or ``missing``; the first two have scores.
``group``: what a target is averaged with first. ``repeat``: the repeat of the search whose decisions the run reports;
a sweep's seeds take turns, so that each belongs to one. The last three are of files only: a
sweep has tables of its own for them."""

SCORED = ("ok", "degenerate")
LOST = ("diverged", "failed")
"""Statuses of runs that were made and have no score; ``missing`` ones were not made."""

_GROUPS = {
    "pair": "classification",
    "choice": "classification",
    "tag": "structured prediction",
    "span": "question answering",
    "retrieval": "retrieval",
}
_TWO_CHOICES = 50.0
_RUN = ["model", "arm", "target", "seed"]


def group_of(task: Task) -> str:
    """The group that a target counts in: its benchmark's, else that of its format."""
    name = scored_as(task)
    found = (entry.group for entries in BENCHMARKS.values() for entry in entries if entry.task == name)
    return next(found, _GROUPS.get(task.format, task.format))


def chance_of(task: Task) -> float | None:
    """Points that guessing gives; None where the task does not say among how many it chooses."""
    if task.format == "pair":
        return 100 / len(task.labels) if task.labels else None
    if task.format == "choice":
        options = task.test.columns.get("choices") if task.test else None
        if isinstance(options, tuple):
            return 100 / len(options)
        return _TWO_CHOICES if scored_as(task) == "xcopa" else None
    return 0.0


def frame_of(sweep: Sweep, records: Sequence[Record], scores: pl.DataFrame) -> pl.DataFrame:
    """FRAME of a sweep: its SCORES, and a row without one for each language of every reporting cell that has none."""
    targets = {target.name: target for target in sweep.targets}
    reported = [r for r in records if r.kind == "evaluate" and r.role == "report"]
    turns = {r.seed: r.repeat for r in reported}
    rows = [
        (r.model.name, r.model.ladder, r.model.params, r.model.embedding_params, r.arm, r.family, r.target,
         r.same_data, seed, language, r.metric)
        for r in reported if r.target
        for seed in r.seeds for language in targets[r.target].languages
    ]  # fmt: skip
    turns = {r.seed: r.repeat for r in records if r.role == "report" and r.kind != "pretrain"}
    names = ["model", "ladder", "params", "embedding_params", "arm", "family", "target", "same_data", "seed",
             "language", "metric"]  # fmt: skip
    grid = pl.DataFrame(rows, {name: FRAME[name] for name in names}, orient="row")
    grid = grid.unique([*_RUN, "language"], keep="first", maintain_order=True).with_columns(primary=pl.lit(True))
    measured = scores.select(*_RUN, "language", "metric", "score", "n", "status")
    others = grid.drop("metric", "primary").join(
        scores.filter(~pl.col("primary")).select(*_RUN, "language", "metric", "primary"),
        [*_RUN, "language"],
        maintain_order="left_right",
    )
    whole = pl.concat([grid, others.select(grid.columns)])
    whole = whole.join(measured, [*_RUN, "language", "metric"], "left", maintain_order="left")
    ended = holes(records, sweep).select(*_RUN, ended="status").unique(_RUN, keep="first", maintain_order=True)
    known = pl.when(pl.col("ended").is_in(LOST)).then("ended").otherwise(pl.lit("missing"))
    whole = whole.join(ended, _RUN, "left", maintain_order="left").with_columns(
        status=pl.coalesce("status", known),
        group=pl.col("target").replace_strict(
            {n: group_of(t.task) for n, t in targets.items()}, return_dtype=pl.String
        ),
        chance=pl.col("target").replace_strict(
            {n: chance_of(t.task) for n, t in targets.items()}, return_dtype=pl.Float64
        ),
        repeat=pl.col("seed").replace_strict(turns, default=0, return_dtype=pl.Int64),
        trials=pl.lit(None, pl.Int64),
        gpu_hours=pl.lit(None, pl.Float64),
        dev_score=pl.lit(None, pl.Float64),
    )
    return whole.select(FRAME.names())
