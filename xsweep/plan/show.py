"""The plan and the state of a sweep as text and as rows: what `xsweep plan` and `xsweep status` print."""

from __future__ import annotations

import textwrap
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
from xsweep.spec.sweep import CONTROL, Layouts


def plan_rows(plan: Plan, resolver: Resolver | None) -> dict[str, Any]:
    """The plan as JSON: a row per kind of stage, one per model, and what it can resolve.

    ``done`` is None while the data is unverified, and so is whatever else is unknown.
    """
    records = collect(resolver) if resolver else None
    lines = []
    for line in estimate(filled(plan, resolver)).lines:
        done = None if records is None else _done(records, line.stage)
        lines.append({"stage": line.stage, "needed": line.needed, "runs": line.runs, "done": done, "flops": line.flops})
    priced = prices(filled(plan, resolver), records or ())
    return {
        "sweep": plan.sweep.name,
        "verified": resolver is not None,
        "lines": lines,
        "models": [asdict(price) for price in priced],
        "resolves": [asdict(found) for found in _resolved(plan)],
        "arms": [said for arm in plan.sweep.arms if (said := described(arm))],
        "assumed": _assumptions(plan, priced),
        **lever_rows(plan, resolver),
    }


def plan_text(plan: Plan, resolver: Resolver | None) -> str:
    """The plan on one screen."""
    sweep, rows = plan.sweep, plan_rows(plan, resolver)
    sizes = {"model": sweep.models, "arm": sweep.arms, "target": sweep.targets, "seed": sweep.seeds}
    head = f"{sweep.name}: " + ", ".join(f"{len(of)} {name}{'s' * (len(of) != 1)}" for name, of in sizes.items())
    effects = [f"  {r['what']}: {_points(r['points'])}" for r in rows["resolves"]]
    if effects:
        effects.insert(0, f"True effects that {len(sweep.seeds)} seeds find 4 times in 5 (two-sided t test at 5 %):")
    models = _priced(rows["models"], sweep.layout.gpus, sweep.layout.gpu_hour_cost)
    notes = ["Notes:", *(wrapped for said in _notes(plan, rows) for wrapped in _wrapped(said))]
    parts = [[head], _counted(rows["lines"]), lever_text(plan, resolver), models, effects, notes]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _counted(lines: list[dict[str, Any]]) -> list[str]:
    """The table of stages."""
    table = [f"  {'stages':<34} {'separate':>9} {'shared':>9} {'done':>6} {'to do':>9} {'FLOPs':>8}"]
    for line in lines:
        done = "?" if line["done"] is None else line["done"]
        left = "?" if line["done"] is None else line["runs"] - line["done"]
        flops = "unknown" if line["flops"] is None else f"{line['flops']:.1e}"
        table.append(f"  {line['stage']:<34} {line['needed']:>9,} {line['runs']:>9,} {done:>6} {left:>9} {flops:>8}")
    return table


def _priced(models: list[dict[str, Any]], gpus: float, cost: float | None) -> list[str]:
    """The table of models: without GPUs their memory is of no interest, and without a price there is no cost."""
    head = (
        f"{'GPUs':>5} {'GB each':>8} {'recompute':>10} {'GPU-hours':>12}"
        if gpus
        else f"{'workers':>8} {'worker-hours':>12}"
    )
    rows = [f"  {'models':<34} {'params':>8} {head}" + (f" {'cost':>12}" if cost is not None else "")]
    for row in models:
        params = "unknown" if row["params"] is None else _short(row["params"])
        if row["problem"]:
            rows.append(f"  {row['model']:<34} {params:>8} {row['problem']}")
            continue
        room = "unknown" if row["gigabytes"] is None else f"{row['gigabytes']:.0f}"
        again = "yes" if row["recompute"] else "no"
        laid = f"{row['workers'] * gpus:>5g} {room:>8} {again:>10}" if gpus else f"{row['workers']:>8}"
        rows.append(f"  {row['model']:<34} {params:>8} {laid}{_bill(row['hours'], row['least'], cost)}")
    known = [row["hours"] for row in models if row["hours"] is not None]
    if len(models) > 1 and known:
        least = len(known) < len(models) or any(row["least"] for row in models)
        rows.append(f"  {'all':<34} {'':>8} {'':>{25 if gpus else 8}}{_bill(sum(known), least, cost)}")
    return rows


def _bill(hours: float | None, least: bool, cost: float | None) -> str:
    """Hours, and money where an hour has a price."""
    money = "" if cost is None else f" {number(None if hours is None else cost * hours, least):>12}"
    return f" {number(hours, least):>12}{money}"


def _notes(plan: Plan, rows: dict[str, Any]) -> list[str]:
    """What the tables mean and rest on, a sentence or two each."""
    said = ["Separate: stages if every cell had its own. Shared: what this sweep runs, each stage once. A stage trains "
            "or scores one model on one task."]  # fmt: skip
    said += [f"{arm}." for arm in rows["arms"]] + _searching(plan) + rows["assumed"]
    if not rows["verified"]:
        said.append("?: data or models are unverified. `xsweep check --data SWEEP` reads them; then this knows what is "
                    "done, and the shapes of models.")  # fmt: skip
    return said


def _searching(plan: Plan) -> list[str]:
    """What its searches do that others do not."""
    search, said = plan.sweep.search, list[str]()
    if search.mode == "joint":
        said.append(
            "Joint search: a trial trains the intermediate and then the target stage, and the target's score alone "
            "judges it. Intermediate stages that are the same for several targets are trained once; counted are as "
            "many as there may be."
        )
        if not all(target.trained for target in plan.sweep.targets):
            said.append("A target that is not trained has no second stage: for it, intermediates are searched apart.")
    if search.halving and search.halving.asynchronous:
        said.append(
            "Asynchronous halving: which trials go on depends on timing, so the same file may decide otherwise in "
            "another store, and more trials may go on than are counted here."
        )
    return said


def _wrapped(said: str) -> list[str]:
    return textwrap.wrap(said, 118, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _short(count: int) -> str:
    """A number of parameters in three characters and a letter or so."""
    unit, letter = next((u, x) for u, x in ((1e9, "B"), (1e6, "M"), (1e3, "k"), (1, "")) if count >= u)
    return f"{count / unit:.1f}{letter}" if count / unit < 10 else f"{count / unit:.0f}{letter}"


def number(value: float | None, least: bool) -> str:
    """A number; with the sign of "more than" where something in it is unknown."""
    if value is None:
        return "unknown"
    return ("> " if least else "") + (f"{value:,.0f}" if value >= 10 else f"{value:.2g}")


def _points(value: float | None) -> str:
    return "unknown with fewer than two seeds" if value is None else f"{value:.2f} points"


def filled(plan: Plan, resolver: Resolver | None) -> Plan:
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
    said = ["FLOPs are an upper bound: every trial at the most epochs searched, with declared row counts and mean "
            "lengths; unknown where those are not declared."]  # fmt: skip
    if layout.gpus:
        said += _assumed_of_gpus(layout, priced)
    elif all(price.hours is None for price in priced):
        said.append("Worker-hours come from measured rates alone: unknown before stages have run.")
    else:
        said.append("Worker-hours rest on the rates measured so far.")
    if _resolved(plan):
        known = ", ".join(f"{value:g} ({name})" for name, value in SEED_DEVIATIONS.items())
        said.append(
            f"Effects are points of the target's metric. They assume this standard deviation of a run between seeds: "
            f"{known}, {OTHERWISE:g} elsewhere; source: {SOURCE}. Pairing by seed may make them smaller."
        )
    return said


def _assumed_of_gpus(layout: Layouts, priced: list[Price]) -> list[str]:
    said = [
        "GPUs: of one stage. GB: predicted peak memory of each GPU, of the "
        f"{layout.gpu_memory:g} GB that `layout.gpu_memory` says it has, with the whole word table. Recompute: "
        "activations are computed twice to save memory."
    ]
    guessed = [price for price in priced if price.trunk and not price.measured]
    if guessed:
        shares = ", ".join(f"{assumed_share(price.trunk or 0):.0%} ({price.model})" for price in guessed)
        said.append(
            f"GPU-hours assume this share of an H100's {PEAK / 1e12:.0f} TFLOP/s: {shares}. Measured rates take its "
            "place once stages have run in the same layout."
        )
    if layout.gpu_hour_cost is None:
        said.append("Cost: unknown; `layout.gpu_hour_cost` in the sweep file says what a GPU-hour costs.")
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
    """How many stages of a line have ended; one that scores several seeds, or several joint trials share, is one."""
    ended = [record for record in records if record.work == group and _ended(record)]
    shared = [r.key for r in ended if r.kind == "evaluate" or (r.role == "search" and not r.judged)]
    return len(ended) - len(shared) + len(set(shared))


def _ended(record: Record) -> bool:
    return record.manifest is not None and record.manifest.final


def _label(record: Record) -> str:
    parts = [record.model.name, record.arm, *([record.target] if record.target else []), f"s{record.seed}"]
    return f"{record.kind} " + " / ".join(parts)
