"""What the page's script knows: every reporting run, its score, where it is tracked, and the points of the figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from xsweep.analysis.design import Design
from xsweep.analysis.examples import Keys
from xsweep.analysis.gains import ENGLISH
from xsweep.report.gallery import Shown


def keys_of(scores: pl.DataFrame) -> Keys:
    """The stages behind SCORES."""
    rows = scores.select("model", "arm", "target", "seed", "key").unique(maintain_order=True).iter_rows()
    return {(model, arm, target, seed): key for model, arm, target, seed, key in rows}


def script_data(
    frame: pl.DataFrame, design: Design, figures: Sequence[Shown], keys: Keys, addresses: Mapping[str, str]
) -> str:
    """JSON that a page may hold: ``runs`` as rows of ``columns``, names by their number, and the ``marks`` of figures.

    A run's score is its mean over languages other than English, in points; null where one is missing. ``addresses``
    says where a stage's run is tracked.
    """
    models, arms, targets = [m.name for m in design.models], list(design.arms), list(design.targets)
    others = frame.filter("primary", pl.col("language") != ENGLISH)
    runs = others.group_by("model", "arm", "target", "seed", "repeat", maintain_order=True).agg(
        score=pl.when(pl.col("score").is_not_null().all()).then(pl.col("score").mean().round(2)),
        status=pl.col("status").filter(pl.col("status") != "ok").first().fill_null("ok"),
    )
    rows = [
        [models.index(model), arms.index(arm), targets.index(target), seed, repeat if design.unit == "repeat" else seed,
         score, status, keys.get((model, arm, target, seed), "")]
        for model, arm, target, seed, repeat, score, status in runs.iter_rows()
    ]  # fmt: skip
    marks = {
        shown.plate.name: {
            way: [[m.panel, m.family, m.model, m.seed, m.x, m.y] for m in places] for way, places in shown.marks.items()
        }
        for shown in figures
        if shown.marks
    }
    used = {row[-1] for row in rows}
    whole: dict[str, Any] = {
        "models": models,
        "arms": arms,
        "families": [design.arms[arm] for arm in arms],
        "targets": targets,
        "same": sorted([arms.index(arm), targets.index(target)] for arm, target in design.same_data),
        "columns": ["model", "arm", "target", "seed", "unit", "score", "status", "key"],
        "runs": rows,
        "unit": design.unit,
        "addresses": {key: address for key, address in addresses.items() if key in used},
        "marks": marks,
    }
    # No tag may end inside a script.
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
