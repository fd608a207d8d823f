"""The plan and the state of a sweep as text and as rows: what `xsweep plan` and `xsweep status` print."""

from __future__ import annotations

from typing import Any

from xsweep.plan.cells import Plan
from xsweep.plan.cost import estimate
from xsweep.plan.levers import lever_rows, lever_text
from xsweep.plan.mixing import described
from xsweep.plan.records import Record, collect
from xsweep.plan.resolve import Resolver


def plan_rows(plan: Plan, resolver: Resolver | None) -> dict[str, Any]:
    """The plan as JSON: one row per kind of stage. ``done`` is None while the data is unverified."""
    records = collect(resolver) if resolver else None
    lines = []
    for line in estimate(plan, resolver.prints.params if resolver else {}).lines:
        done = None if records is None else _done(records, line.stage)
        lines.append({"stage": line.stage, "needed": line.needed, "runs": line.runs, "done": done, "flops": line.flops})
    return {"sweep": plan.sweep.name, "verified": resolver is not None, "lines": lines, **lever_rows(plan, resolver)}


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
    notes = [f"  {said}." for arm in sweep.arms if (said := described(arm))]
    notes += [
        "  FLOPs are training or scoring arithmetic, at most; GPU-hours and money are unknown: nothing is measured."
    ]
    if resolver is None:
        notes.append(
            "  Data or models are unverified: `xsweep check --data` reads them, and then this knows what is done."
        )
    return "\n".join([head, "", *table, "", *notes])


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


def _group(record: Record) -> str:
    """The line of the plan that a stage is counted in; none for a trial's earlier runs."""
    if record.role == "report":
        return record.kind
    return "" if record.trial is None and record.role == "search" else f"{record.kind} trials"


def _done(records: list[Record], group: str) -> int:
    """How many stages of a line have ended; one that scores several seeds is one."""
    ended = [record.key for record in records if _group(record) == group and _ended(record)]
    return len(set(ended)) if group == "evaluate" else len(ended)


def _ended(record: Record) -> bool:
    return record.manifest is not None and record.manifest.final


def _label(record: Record) -> str:
    parts = [record.model.name, record.arm, *([record.target] if record.target else []), f"s{record.seed}"]
    return f"{record.kind} " + " / ".join(parts)
