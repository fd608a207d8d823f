"""The plan and the state of a sweep as text and as rows: what `xsweep plan` and `xsweep status` print."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import Any

from xsweep.plan.cells import Plan
from xsweep.plan.cost import estimate
from xsweep.plan.hours import PEAK, Price, assumed_share, prices
from xsweep.plan.levers import lever_rows, lever_text
from xsweep.plan.mixing import described
from xsweep.plan.power import OTHERWISE, SEED_DEVIATIONS, SOURCE, Resolvable, resolvable
from xsweep.plan.records import Record, collect, family
from xsweep.plan.resolve import Resolver
from xsweep.spec.sweep import CONTROL


def plan_rows(plan: Plan, resolver: Resolver | None) -> dict[str, Any]:
    """The plan as JSON: a row per kind of stage, one per model, and what it can resolve.

    ``done`` is None while the data is unverified, and so is whatever else is unknown.
    """
    records = collect(resolver) if resolver else None
    lines = []
    for line in estimate(_filled(plan, resolver)).lines:
        done = None if records is None else _done(records, line.stage)
        lines.append({"stage": line.stage, "needed": line.needed, "runs": line.runs, "done": done, "flops": line.flops})
    priced = prices(_filled(plan, resolver), records or ())
    return {
        "sweep": plan.sweep.name,
        "verified": resolver is not None,
        "lines": lines,
        "models": [asdict(price) for price in priced],
        "resolves": [asdict(found) for found in _resolved(plan)],
        "assumed": _assumptions(plan, priced),
        **lever_rows(plan, resolver),
    }


def plan_text(plan: Plan, resolver: Resolver | None) -> str:
    """The plan on one screen."""
    sweep, rows = plan.sweep, plan_rows(plan, resolver)
    head = (
        f"{sweep.name}   {len(sweep.models)} models · {len(sweep.arms)} arms · {len(sweep.targets)} targets · "
        f"{len(sweep.seeds)} seeds"
    )
    table = [f"  {'stage':<20} {'needed':>7} {'runs':>6} {'done':>6} {'to do':>6} {'FLOPs':>9}"]
    for line in rows["lines"]:
        done = "?" if line["done"] is None else line["done"]
        left = "?" if line["done"] is None else line["runs"] - line["done"]
        flops = "unknown" if line["flops"] is None else f"{line['flops']:.1e}"
        table.append(f"  {line['stage']:<20} {line['needed']:>7} {line['runs']:>6} {done:>6} {left:>6} {flops:>9}")
    table += ["", *lever_text(plan, resolver)]
    effects = [f"  {r['what']}: {_points(r['points'])}" for r in rows["resolves"]]
    if effects:
        effects.insert(0, f"Smallest effects found 4 times in 5 with {len(sweep.seeds)} seeds (two-sided t, .05):")
    notes = [f"  {said}." for arm in sweep.arms if (said := described(arm))]
    notes += [f"  {assumed}" for assumed in rows["assumed"]]
    if resolver is None:
        notes.append(
            "  Data or models are unverified: `xsweep check --data` reads them, and then this knows what is done."
        )
    priced = _priced(rows["models"], bool(sweep.layout.gpus), sweep.layout.gpu_hour_cost)
    parts = [[head], table, priced, effects, notes]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _priced(models: list[dict[str, Any]], gpus: bool, cost: float | None) -> list[str]:
    """The table of models."""
    unit = "GPU-hours" if gpus else "hours"
    rows = [f"  {'model':<20} {'params':>7} {'workers':>7} {'recompute':>9} {'GB':>5} {unit:>10} {'cost':>9}"]
    for row in models:
        params = "unknown" if row["params"] is None else _short(row["params"])
        room = "-" if not gpus else "?" if row["gigabytes"] is None else f"{row['gigabytes']:.0f}"
        price = "-" if cost is None else _number(row["cost"], row["least"])
        again = "yes" if row["recompute"] else "no"
        if row["problem"]:
            rows.append(f"  {row['model']:<20} {params:>7} {row['problem']}")
            continue
        hours = _number(row["hours"], row["least"])
        rows.append(f"  {row['model']:<20} {params:>7} {row['workers']:>7} {again:>9} {room:>5} {hours:>10} {price:>9}")
    known = [row["hours"] for row in models if row["hours"] is not None]
    if len(models) > 1 and known:
        least = len(known) < len(models) or any(row["least"] for row in models)
        price = "-" if cost is None else _number(cost * sum(known), least)
        rows.append(f"  {'all':<20} {'':>7} {'':>7} {'':>9} {'':>5} {_number(sum(known), least):>10} {price:>9}")
    return rows


def _short(count: int) -> str:
    """A number of parameters in three characters and a letter or so."""
    unit, letter = next((u, x) for u, x in ((1e9, "B"), (1e6, "M"), (1e3, "k"), (1, "")) if count >= u)
    return f"{count / unit:.1f}{letter}" if count / unit < 10 else f"{count / unit:.0f}{letter}"


def _number(value: float | None, least: bool) -> str:
    """A number; with the sign of "more than" where something in it is unknown."""
    if value is None:
        return "unknown"
    return ("> " if least else "") + (f"{value:,.0f}" if value >= 10 else f"{value:.2g}")


def _points(value: float | None) -> str:
    return "no number of seeds but two or more says" if value is None else f"{value:.2f} points"


def _filled(plan: Plan, resolver: Resolver | None) -> Plan:
    """The plan with what the folders of its models say of them."""
    if resolver is None:
        return plan
    models = tuple(resolver.model(model.name) for model in plan.sweep.models)
    return replace(plan, sweep=plan.sweep.model_copy(update={"models": models}))


def _resolved(plan: Plan) -> list[Resolvable]:
    """What the sweep's seeds can find; nothing where no target's deviation is published."""
    sweep = plan.sweep
    if not set(SEED_DEVIATIONS) & {target.name for target in sweep.targets}:
        return []
    counts = Counter(family(arm) for arm in sweep.arms if arm.trained and len(arm.tasks) == 1)
    compared = {name: count for name, count in counts.items() if name != CONTROL}
    two = {name: compared[name] for name in (("nli", "qa") if {"nli", "qa"} <= set(compared) else list(compared)[:2])}
    ladders: dict[str, list[int]] = {}
    for model in sweep.models:
        if model.ladder and model.params:
            ladders.setdefault(model.ladder, []).append(model.params)
    return resolvable([target.name for target in sweep.targets], len(sweep.seeds), two, ladders)


def _assumptions(plan: Plan, priced: list[Price]) -> list[str]:
    """What the numbers rest on, a sentence each."""
    layout = plan.sweep.layout
    said = ["FLOPs are training or scoring arithmetic, at most: searched epochs at their upper end, published rows and "
            "mean lengths."]  # fmt: skip
    if layout.gpus:
        said.append(
            f"GB are predicted of a GPU of {layout.gpu_memory:g} GB (layout.gpu_memory), with the whole word table."
        )
    if layout.gpus and any(not price.measured for price in priced):
        guessed = [price for price in priced if price.trunk and not price.measured]
        shares = ", ".join(f"{assumed_share(price.trunk or 0):.0%} ({price.model})" for price in guessed)
        said.append(
            f"GPU-hours assume this share of {PEAK / 1e12:.0f} TFLOP/s: {shares}. Measured rates take its place once "
            "stages have run in the same layout."
        )
    if not layout.gpus:
        said.append("Hours without GPUs come from measured rates alone; none are known before stages have run.")
    if _resolved(plan):
        known = ", ".join(f"{value:g} ({name})" for name, value in SEED_DEVIATIONS.items())
        said.append(
            f"Deviations between seeds are assumed: {known}, else {OTHERWISE:g} points a run; {SOURCE}. Gains are "
            "paired by seed, which may make them smaller."
        )
    return said


def status_rows(plan: Plan, resolver: Resolver | None) -> dict[str, Any]:
    """How far the sweep is, as JSON."""
    records = collect(resolver) if resolver else []
    cells = [r for r in records if r.kind == "evaluate"]
    failed = [{"stage": _label(r), "status": r.manifest.status, "reason": r.manifest.reason}
              for r in records if r.manifest and r.manifest.status not in ("ok", "degenerate", "pruned")]  # fmt: skip
    return {"sweep": plan.sweep.name, "cells": len(plan.cells), "done": sum(_ended(r) for r in cells), "failed": failed}


def status_text(plan: Plan, resolver: Resolver | None) -> str:
    """How far the sweep is, in a few lines."""
    if resolver is None:
        return f"{plan.sweep.name}: data or models are unverified, so nothing of it can have run here yet."
    rows = status_rows(plan, resolver)
    lines = [f"{plan.sweep.name}: {rows['done']} of {rows['cells']} cells scored · {len(rows['failed'])} failed"]
    lines += [f"  {lost}" for lost in [resolver.regret()] if lost]
    return "\n".join(lines + [f"  {f['status']:<9} {f['stage']}  {f['reason']}" for f in rows["failed"]])


def _done(records: list[Record], group: str) -> int:
    """How many stages of a line have ended; one that scores several seeds is one."""
    ended = [record.key for record in records if record.work == group and _ended(record)]
    return len(set(ended)) if group == "evaluate" else len(ended)


def _ended(record: Record) -> bool:
    return record.manifest is not None and record.manifest.final


def _label(record: Record) -> str:
    parts = [record.model.name, record.arm, *([record.target] if record.target else []), f"s{record.seed}"]
    return f"{record.kind} " + " / ".join(parts)
