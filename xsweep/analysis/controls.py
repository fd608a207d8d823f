"""Word-blind controls beside the models: where a control is as good as every model, the task measures copying."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from xsweep.analysis.gains import ENGLISH
from xsweep.spec.sweep import Sweep

CONTROLS = pl.Schema(
    {
        "task": pl.String(),
        "language": pl.String(),
        "control": pl.Float64(),
        "model": pl.String(),
        "arm": pl.String(),
        "score": pl.Float64(),
        "copying": pl.Boolean(),
    }
)
"""One row per task of the artificial world and language; scores in points, of the task's own metric. ``model`` and
``arm`` are the best of the sweep: on the test rows of a target by mean over seeds, on the English held-out rows of a
task that is an arm; null elsewhere. ``copying`` says whether the control reaches it."""


def controls(
    word_blind: Mapping[str, Mapping[str, float]], scores: pl.DataFrame, budgets: pl.DataFrame, sweep: Sweep
) -> pl.DataFrame:
    """CONTROLS from the controls' scores (task -> language -> points), SCORES and BUDGETS."""
    cells = scores.filter("primary").group_by("target", "language", "model", "arm", maintain_order=True)
    best = cells.agg(pl.col("score").mean()).sort("score", descending=True, maintain_order=True)
    tested = {(r["target"], r["language"]): r for r in reversed(list(best.iter_rows(named=True)))}
    found = _held_out(budgets, sweep) | tested
    rows = []
    for task, by_language in word_blind.items():
        for language, control in by_language.items():
            row = found.get((task, language), {})
            score = row.get("score")
            copying = None if score is None else control >= score
            rows.append((task, language, control, row.get("model"), row.get("arm"), score, copying))
    return pl.DataFrame(rows, schema=CONTROLS, orient="row")


def _held_out(budgets: pl.DataFrame, sweep: Sweep) -> dict[tuple[str, str], dict[str, Any]]:
    """(task, English) -> the best development score of an arm of that task alone."""
    tasks = {arm.name: arm.tasks[0].name for arm in sweep.arms if len(arm.tasks) == 1}
    searched = budgets.filter(pl.col("target").is_null(), pl.col("dev_score").is_not_null()).sort("dev_score")
    rows = searched.iter_rows(named=True)
    return {(tasks[r["arm"]], ENGLISH): {**r, "score": r["dev_score"]} for r in rows if r["arm"] in tasks}
