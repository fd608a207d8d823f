"""Word-blind controls beside the models: where a control is as good as every model, the task measures copying."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

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
``arm`` are the best of the sweep by mean over seeds, null where the task is no target; ``copying`` says whether the
control reaches it."""


def controls(word_blind: Mapping[str, Mapping[str, float]], scores: pl.DataFrame) -> pl.DataFrame:
    """CONTROLS from the controls' scores (task -> language -> points) and SCORES."""
    cells = scores.filter("primary").group_by("target", "language", "model", "arm", maintain_order=True)
    best = cells.agg(pl.col("score").mean()).sort("score", descending=True, maintain_order=True)
    found = {(r["target"], r["language"]): r for r in reversed(list(best.iter_rows(named=True)))}
    rows = []
    for task, by_language in word_blind.items():
        for language, control in by_language.items():
            row = found.get((task, language), {})
            score = row.get("score")
            copying = None if score is None else control >= score
            rows.append((task, language, control, row.get("model"), row.get("arm"), score, copying))
    return pl.DataFrame(rows, schema=CONTROLS, orient="row")
