"""Frames -> what the page prints, in words and strings. The template decides nothing."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import polars as pl

from xsweep.analysis.design import BASELINE, Design
from xsweep.analysis.gains import ALL, ENGLISH, HEADLINE
from xsweep.models.catalog import confounds
from xsweep.plan.mixing import described
from xsweep.report.words import DASH, count, draws, family_name, interval, points, size
from xsweep.spec.sweep import Sweep


@dataclass(frozen=True)
class GainCell:
    """One arm's gain on one target, ready to print."""

    mean: str
    interval: str
    seeds: str
    """``2 of 3 seeds`` where some are missing."""
    marks: str
    reason: str


def gain_rows(design: Design, means: pl.DataFrame, gains: pl.DataFrame, group: str) -> list[dict[str, Any]]:
    """One row per model and arm: ``cells`` for all targets together, then each target, in ``design``'s order."""
    table = {(r["model"], r["arm"], r["target"]): r for r in means.filter(languages=group).iter_rows(named=True)}
    why = gains.filter(pl.col("reason") != "", languages=group).unique(
        ["model", "arm", "target"], keep="first", maintain_order=True
    )
    reasons = {(r["model"], r["arm"], r["target"]): r["reason"] for r in why.iter_rows(named=True)}
    rows = []
    for model in design.models:
        for arm, family in design.arms.items():
            if arm != BASELINE:
                keys = [(model.name, arm, target) for target in columns(design)]
                cells = [_gain_cell(table.get(key), reasons.get(key, ""), design.unit) for key in keys]
                rows.append({"model": model, "arm": arm, "family": family, "cells": cells})
    return rows


def columns(design: Design) -> list[str]:
    """Targets as columns: all of them together first, where there is more than one."""
    return [ALL, *design.targets] if len(design.targets) > 1 else list(design.targets)


def _gain_cell(row: Mapping[str, Any] | None, reason: str, unit: str) -> GainCell:
    if row is None:
        return GainCell(DASH, "", "", "", "not scored in these languages")
    marks = ("†" if row["same_data"] else "") + ("‡" if row["degenerate"] else "")
    planned = row["seeds"] + row["missing"]
    seeds = f"{row['seeds']} of {draws(planned, unit)}" if row["missing"] else ""
    spread = interval(row["low"], row["high"]) if row["low"] is not None else ""
    return GainCell(points(row["mean"], signed=True), spread, seeds, marks, reason)


def score_tables(design: Design, scores: pl.DataFrame) -> list[dict[str, Any]]:
    """One table per target: mean over seeds of the metric that counts, per model, arm and language."""
    primary = scores.filter("primary")
    cells = primary.group_by("target", "model", "arm", "language").agg(pl.col("score").mean())
    means = {(target, model, arm, code): mean for target, model, arm, code, mean in cells.iter_rows()}
    runs = primary.group_by("target", "model", "arm").agg(
        pl.col("seed").n_unique(), odd=(pl.col("status") == "degenerate").any()
    )
    made = {(target, model, arm): (seeds, odd) for target, model, arm, seeds, odd in runs.iter_rows()}
    metrics = dict(primary.select("target", "metric").unique("target", keep="first").iter_rows())
    planned = len(design.seeds)
    tables = []
    for target, languages in design.targets.items():
        order = sorted(languages, key=lambda code: (code != ENGLISH, code))
        rows = []
        for model, arm in product(design.models, (a for a in design.arms if (a, target) not in design.left_out)):
            own = {code: means.get((target, model.name, arm, code)) for code in order}
            others = [mean for code, mean in own.items() if code != ENGLISH]
            known = [mean for mean in others if mean is not None]
            seeds, odd = made.get((target, model.name, arm), (0, False))
            rows.append(
                {
                    "model": model,
                    "arm": arm,
                    "cells": [points(mean) for mean in own.values()],
                    "others": points(statistics.fmean(known)) if known and len(known) == len(others) else DASH,
                    "seeds": "" if seeds == planned else f"{seeds} of {count(planned, 'seed')}",
                    "degenerate": odd,
                }
            )
        tables.append({"target": target, "metric": metrics.get(target, ""), "languages": order, "rows": rows})
    return tables


def control_rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per task of the artificial world: the control and the best of the models, by language."""
    rows = []
    for (task,), own in table.group_by("task", maintain_order=True):
        lines = list(own.iter_rows(named=True))
        others = [line for line in lines if line["language"] != ENGLISH]
        scored = all(line["score"] is not None for line in lines)
        compared = ("control", "score") if scored and others else ()
        means = [statistics.fmean(line[name] for line in others) for name in compared]
        rows.append(
            {
                "task": task,
                "languages": [line["language"] for line in lines],
                "control": [points(line["control"]) for line in lines],
                "best": [points(line["score"]) for line in lines],
                "scored": scored,
                "held_out": not scored and any(line["score"] is not None for line in lines),
                "copying": [line["language"] for line in lines if line["copying"]],
                "all_copying": bool(means) and means[0] >= means[1],
            }
        )
    return rows


def point_rows(drawn: pl.DataFrame, panel: str) -> list[dict[str, str]]:
    """The means that a panel draws, as a table beside it."""
    rows = drawn.filter(pl.col("seed").is_null(), panel=panel).iter_rows(named=True)
    return [
        {
            "family": family_name(row["family"]) + ("" if row["scope"] == HEADLINE else ", with same-data cells"),
            "model": row["model"],
            "params": size(row["params"]),
            "gain": points(row["gain"], signed=True),
            "interval": interval(row["low"], row["high"]),
            "seeds": str(row["seeds"]),
        }
        for row in rows
    ]


def budget_rows(budgets: pl.DataFrame, sweep: Sweep | None) -> list[dict[str, str]]:
    """The budgets table as strings."""
    blind = {arm.name for arm in sweep.arms if arm.control == "shuffled-labels"} if sweep else set()
    rows = []
    for row in budgets.iter_rows(named=True):
        lost = [f"{row[name]} {name}" for name in ("degenerate", "pruned", "diverged", "failed") if row[name]]
        if row["degenerate"] and row["arm"] in blind and row["stage"] == "intermediate":
            lost[0] += ", as this control should be"
        rows.append(
            {
                "model": row["model"],
                "arm": row["arm"],
                "search": _stages(row),
                "trials": _trials(row),
                "lost": ", ".join(lost) or DASH,
                "dev": points(row["dev_score"]),
                "lr": DASH if row["lr"] is None else f"{row['lr']:.2g}",
                "epochs": DASH if row["epochs"] is None else str(row["epochs"]),
                "runs": f"{row['runs_done']} of {row['runs_planned']}",
            }
        )
    return rows


def _stages(row: Mapping[str, Any]) -> str:
    """What a search chose for: a target, the intermediate stage of all, or in a joint search that of one."""
    if row["stage"] == "intermediate":
        return " before ".join(filter(None, ("intermediate", row["target"])))
    return str(row["target"])


def _trials(row: Mapping[str, Any]) -> str:
    if row["trials_planned"] is None:  # a file of scores tells what was done at most
        return DASH if row["trials_done"] is None else str(row["trials_done"])
    return f"{row['trials_done']} of {row['trials_planned']}" if row["trials_planned"] else "baseline's"


def declared(sweep: Sweep) -> list[str]:
    """What a reader of its numbers must know of the sweep: its models, and where it differs from a full fine-tune."""
    said = confounds(sweep.models)
    if sweep.train.freeze != "none":
        said.append(f"frozen in every stage: {sweep.train.freeze}")
    if sweep.train.lora:
        said.append(f"trained in every stage: adapters of rank {sweep.train.lora.rank} and the head alone")
    said += [f"{arm.name} trains on {arm.examples:,} rows" for arm in sweep.arms if arm.examples]
    said += [f"{arm.name} trains on shuffled labels" for arm in sweep.arms if arm.control == "shuffled-labels"]
    said += [f"{arm.name} trains each target as long as both stages of {arm.of}" for arm in sweep.arms if arm.of]
    said += [f"{target.name} trains on {target.examples:,} English rows" for target in sweep.targets if target.examples]
    said += [f"{t.name} is scored on {t.score_examples:,} rows per language" for t in sweep.targets if t.score_examples]
    numbered = [text.replace(",", "\N{NARROW NO-BREAK SPACE}") for text in said]
    return _searched(sweep) + numbered + [told for arm in sweep.arms if (told := described(arm))]


def _searched(sweep: Sweep) -> list[str]:
    """What makes its searches differ from every trial in full for every size."""
    search, said = sweep.search, list[str]()
    if search.mode == "joint":
        said.append(
            "both stages are searched at once (joint), for each arm and target, and judged by the target's score"
        )
    if sweep.train.schedule == "wsd":
        said.append(
            f"the learning rate stays after its warm-up, and falls in the last {sweep.train.cooldown:.0%} alone"
        )
    if search.halving:
        what = (
            f"the best 1/{search.halving.eta} of the trials go on, first after {count(search.halving.epochs, 'epoch')}"
        )
        how = "asynchronous (ASHA)" if search.halving.asynchronous else "synchronous"
        said.append(f"trials stop early, by {how} successive halving on English held-out data: {what}")
        if search.halving.asynchronous:
            said.append("which trials went on depended on timing, so the same sweep run again may decide otherwise")
    if search.transfer:
        what = f"tries the best {search.transfer.trials} configurations of the model before"
        said.append(
            f"each larger model of a ladder {what}, learning rates by width to the power {search.transfer.power:g}"
        )
    if search.repeats > 1:
        said.append(f"the search is done {search.repeats} times, and reporting seeds take turns with its decisions")
    return said
