"""What became of every planned cell and search: holes with their reasons, and what each arm was allowed to spend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product

import polars as pl

from xsweep.analysis.design import BASELINE, Design
from xsweep.plan.cells import build_plan
from xsweep.plan.records import Record
from xsweep.plan.transfer import Regret
from xsweep.spec.sweep import Sweep
from xsweep.tracking.facts import COUNTS, finite, seconds

HOLES = pl.Schema(
    {
        "model": pl.String(),
        "arm": pl.String(),
        "target": pl.String(),
        "seed": pl.Int64(),
        "stage": pl.String(),
        "status": pl.String(),
        "reason": pl.String(),
    }
)
"""One row per reporting cell without its score. ``stage`` is where it stopped; ``status`` that stage's, ``not run``,
or ``no score`` where some language has none."""

BUDGETS = pl.Schema(
    {
        "model": pl.String(),
        "arm": pl.String(),
        "stage": pl.String(),
        "target": pl.String(),
        "trials_planned": pl.Int64(),
        "trials_done": pl.Int64(),
        **{status: pl.Int64() for status in ("ok", "degenerate", "pruned", "diverged", "failed")},
        "dev_score": pl.Float64(),
        "lr": pl.Float64(),
        "epochs": pl.Int64(),
        "runs_planned": pl.Int64(),
        "runs_done": pl.Int64(),
        "gpu_hours": pl.Float64(),
    }
)
"""One row per search that the reporting runs depend on, its repeats together. The five statuses count its trials;
``dev_score`` is the best trial's, in points, ``lr`` and ``epochs`` what was chosen, null where repeats chose otherwise.
A joint search has a row for each of its stages, that of the intermediate with a target and without a score.
No trials planned: it uses the baseline's search. Under halving a trial is as its last run left it; its earlier runs,
and a search in full that nothing is chosen by, are in BUDGET_TIMES alone. A file of scores gives trials, GPU-hours and
the best score at most; a sweep's hours are among BUDGET_TIMES."""

BUDGET_TIMES = pl.Schema(
    {
        "model": pl.String(),
        "arm": pl.String(),
        "stage": pl.String(),
        "target": pl.String(),
        "role": pl.String(),
        "stages": pl.Int64(),
        "seconds": pl.Float64(),
    }
)
"""Seconds spent on the stages that ended. Apart from BUDGETS, as they differ from one run to the next."""

REGRET = pl.Schema(
    {
        "model": pl.String(),
        "target": pl.String(),
        "transferred": pl.Float64(),
        "full": pl.Float64(),
        "regret": pl.Float64(),
        "trials_transferred": pl.Int64(),
        "trials_full": pl.Int64(),
    }
)
"""What a search among a smaller model's configurations lost against one in full: best scores of the two on English
held-out data, and how much better the one in full was, in points. One row, where such a check was declared and has
ended."""


def holes(records: Sequence[Record], sweep: Sweep) -> pl.DataFrame:
    """HOLES of the sweep, in the order of its cells."""
    languages = {target.name: target.languages for target in sweep.targets}
    matched = {arm.name: arm.of for arm in sweep.arms if arm.of}
    reported = [record for record in records if record.role == "report"]
    by_cell = {(str(r.kind), r.model.name, r.arm, r.target, r.seed): r for r in reported}
    pretrained = {record.model.name: record for record in reported if record.kind == "pretrain"}
    rows = []
    for cell in (record for record in reported if record.kind == "evaluate"):
        behind = [("intermediate", None), ("intermediate", cell.target), ("target", cell.target)]
        arms = [cell.arm, *([matched[cell.arm]] if cell.arm in matched else [])]
        before = [by_cell.get((kind, cell.model.name, a, target, cell.seed)) for a in arms for kind, target in behind]
        stage = "target" if before[2] else "intermediate"
        found = _unscored(cell, languages[cell.target or ""], stage, matched.get(cell.arm))
        if found:
            before.insert(0, pretrained.get(cell.model.name))
            broken = (_broken(record, cell.arm) for record in before if record)
            where = next((row for row in broken if row), found)
            rows.append((cell.model.name, cell.arm, cell.target, cell.seed, *where))
    return pl.DataFrame(rows, schema=HOLES, orient="row")


def holes_of_file(frame: pl.DataFrame, design: Design) -> pl.DataFrame:
    """HOLES of a FRAME that no records stand behind: runs without a score in each language of their target."""
    by_cell = dict(iter(frame.filter("primary").group_by("model", "arm", "target", "seed", maintain_order=True)))
    rows = []
    pairs = [(a, t) for a in design.arms for t in design.targets if (a, t) not in design.left_out]
    for model, (arm, target), seed in product(design.models, pairs, design.seeds):
        own = by_cell.get((model.name, arm, target, seed))
        scored = [] if own is None else own.filter(pl.col("score").is_not_null())["language"].to_list()
        lost = [code for code in design.targets[target] if code not in scored]
        if lost:
            ended = next((s for s in own["status"] if s not in COUNTS), "no score") if own is not None else "missing"
            where = "" if ended == "missing" else f"no score in {', '.join(lost)}"
            rows.append((model.name, arm, target, seed, "evaluate", "not run" if ended == "missing" else ended, where))
    return pl.DataFrame(rows, schema=HOLES, orient="row")


def _broken(record: Record, arm: str) -> tuple[str, str, str] | None:
    """Stage, status, reason of a stage that ended without weights that can be scored; of another arm, which one."""
    manifest = record.manifest
    if manifest is None or manifest.status in COUNTS:
        return None
    reason = manifest.reason if record.arm in (arm, BASELINE) else f"{record.arm}: {manifest.reason}"
    return record.kind, manifest.status, reason


def _unscored(cell: Record, languages: Sequence[str], scores: str, of: str | None) -> tuple[str, str, str] | None:
    """The same for an evaluation of a stage of kind ``scores``; None when it has a score in each of ``languages``.

    ``of`` is the arm whose steps that stage waits for, if any.
    """
    if cell.key is None:
        what = "a search that it depends on has no decision"
        return scores, "not run", what if of is None else f"{what}, or {of}, whose steps it has, has not ended"
    if cell.manifest is None:
        return cell.kind, "not run", ""
    test = cell.manifest.metrics.get("test", {})
    missing = [code for code in languages if not finite(test.get(code, {}).get(cell.metric))]
    if cell.manifest.status in COUNTS and missing:
        return cell.kind, "no score", f"no {cell.metric} in {', '.join(missing)}"
    return _broken(cell, cell.arm)


def budgets(records: Sequence[Record], sweep: Sweep) -> pl.DataFrame:
    """BUDGETS of the sweep, in the order of its searches."""
    plan = build_plan(sweep)
    planned: Counter[tuple[str, str, str | None]] = Counter()
    for cell in plan.searches:
        if cell.role == "search":  # of a joint one, what each of its stages is given
            planned[cell.model, cell.arm, cell.target] += plan.space(cell).trials
    trained = [record for record in records if record.kind in ("intermediate", "target")]
    groups: dict[tuple[str, str, str, str | None], list[Record]] = {}
    for record in trained:
        groups.setdefault((record.model.name, record.arm, record.kind, record.target), []).append(record)
    rows = []
    for (model, arm, kind, target), group in groups.items():
        trials = [r.manifest for r in group if r.trial is not None and r.manifest]
        runs = [r for r in group if r.role == "report"]
        status = Counter(manifest.status for manifest in trials)
        # `finite` here, since a trial that diverged has no score, and one that degenerated may have none either.
        dev = [float(m.metrics["score"]) for m in trials if m.status in COUNTS and finite(m.metrics.get("score"))]
        dev = dev if all(record.judged for record in group) else []
        lrs, epochs = ({getattr(r.hyper, name) for r in runs if r.hyper} for name in ("lr", "epochs"))
        counts = [status[name] for name in ("ok", "degenerate", "pruned", "diverged", "failed")]
        chosen = [values.pop() if len(values) == 1 else None for values in (lrs, epochs)]
        done = sum(r.manifest is not None and r.manifest.status in COUNTS for r in runs)
        best = max(dev, default=None)
        asked = planned[model, arm, target]
        rows.append((model, arm, kind, target, asked, len(trials), *counts, best, *chosen, len(runs), done, None))
    return pl.DataFrame(rows, schema=BUDGETS, orient="row")


def budgets_of_file(frame: pl.DataFrame) -> pl.DataFrame:
    """BUDGETS that a FRAME itself tells: a row per model, arm and target."""
    by = ["model", "arm", "target"]
    told = [pl.col("trials").max(), pl.col("dev_score").max(), pl.col("gpu_hours").max(), pl.col("score").count()]
    runs = frame.group_by([*by, "seed", "repeat"], maintain_order=True).agg(told)
    found = runs.group_by(by, maintain_order=True).agg(
        stage=pl.lit("target"),
        trials_done=pl.col("trials").max(),
        dev_score=pl.col("dev_score").max(),
        gpu_hours=pl.when(pl.col("gpu_hours").is_not_null().all()).then(pl.col("gpu_hours").sum()),
        runs_planned=pl.len().cast(pl.Int64),
        runs_done=(pl.col("score") > 0).sum().cast(pl.Int64),
    )
    absent = [pl.lit(None, kind).alias(name) for name, kind in BUDGETS.items() if name not in found.columns]
    return found.with_columns(absent).select(BUDGETS.names())


def uneven(table: pl.DataFrame) -> list[str]:
    """``model / arm / target`` of each target search that has not as many trials as the baseline's, from BUDGETS."""
    own = table.filter(pl.col("stage") == "target", pl.col("trials_done").is_not_null())
    own = own.filter(pl.col("trials_planned").fill_null(1) > 0)  # the others use the baseline's
    base = own.filter(arm=BASELINE).select("model", "target", base="trials_done")
    odd = own.join(base, ["model", "target"], maintain_order="left").filter(pl.col("trials_done") != pl.col("base"))
    return [" / ".join(row) for row in odd.select("model", "arm", "target").iter_rows()]


def regrets(found: Regret | None) -> pl.DataFrame:
    """REGRET of a sweep."""
    rows = [(r.model, r.target, r.transferred, r.full, r.points, *r.trials) for r in (found,) if r]
    return pl.DataFrame(rows, REGRET, orient="row")


def budget_times(records: Sequence[Record]) -> pl.DataFrame:
    """BUDGET_TIMES of every stage that has ended; a stage that several records share is counted once."""
    groups: dict[tuple[str, str, str, str | None, str], list[float]] = {}
    for record in {record.key: record for record in reversed(records) if record.key}.values():
        if record.manifest:
            where = (record.model.name, record.arm, record.kind, record.target, record.role)
            groups.setdefault(where, []).append(seconds(record.manifest))
    rows = [(*where, len(spent), sum(spent)) for where, spent in groups.items()]
    return pl.DataFrame(rows, schema=BUDGET_TIMES, orient="row").sort(BUDGET_TIMES.names()[:5], nulls_last=False)
