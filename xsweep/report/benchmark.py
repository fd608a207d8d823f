"""The benchmark's own count as the page prints it: a table per benchmark, means over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import polars as pl

from xsweep.analysis.benchmark import HERE, OFFICIAL
from xsweep.analysis.design import Design
from xsweep.report.words import count, points


def benchmark_tables(design: Design, table: pl.DataFrame) -> list[dict[str, Any]]:
    """One entry per benchmark: ``name``, and a table as counted here and one as the benchmark itself counts.

    Of each, ``columns`` with a score (overall averages, then each group with its tasks), ``rows``, and ``lost``: the
    tasks without any score, and why.
    """
    found = []
    for (name,), own in table.group_by("benchmark", maintain_order=True):
        ways = {counted: own.filter(counted=counted) for counted in (HERE, OFFICIAL)}
        found.append({"name": name, **{counted: _table(design, way) for counted, way in ways.items()}})
    return found


def _table(design: Design, own: pl.DataFrame) -> dict[str, Any]:
    scored = own.filter(pl.col("score").is_not_null()).select("level", "name").unique()
    lost = own.filter(level="task").join(scored, ["level", "name"], "anti", maintain_order="left")
    columns = [column for column in _columns(own) if (column["level"], column["name"]) in set(scored.iter_rows())]
    reasons = {row["name"]: row["reason"] for row in reversed(list(lost.iter_rows(named=True)))}
    return {
        "columns": columns,
        "rows": _rows(design, own, columns),
        "lost": [f"{name} {reason}" for name, reason in reversed(reasons.items())],
    }


def _columns(own: pl.DataFrame) -> Iterator[dict[str, str]]:
    levels = own.select("level", "group", "name").unique(maintain_order=True)
    overall, groups, tasks = (list(levels.filter(level=level).iter_rows()) for level in ("overall", "group", "task"))
    for level, _, name in overall:
        yield {"level": level, "name": name}
    for level, group, name in groups:
        yield {"level": level, "name": name}
        yield from ({"level": inner, "name": task} for inner, of, task in tasks if of == group)


def _rows(design: Design, own: pl.DataFrame, columns: list[dict[str, str]]) -> list[dict[str, Any]]:
    by_run: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in own.iter_rows(named=True):
        by_run.setdefault((line["model"], line["arm"]), []).append(line)
    rows = []
    for model in design.models:
        for arm in design.arms:
            lines = by_run[model.name, arm]
            cells = [_cell([line for line in lines if (line["level"], line["name"]) == (c["level"], c["name"])])
                     for c in columns]  # fmt: skip
            rows.append({"model": model, "arm": arm, "cells": cells})
    return rows


def _cell(lines: list[dict[str, Any]]) -> dict[str, str]:
    """Mean over the seeds that have a score, how many those are where some are missing, and why."""
    known = [line["score"] for line in lines if line["score"] is not None]
    return {
        "mean": points(statistics.fmean(known) if known else None),
        "marks": "‡" if any(line["degenerate"] and line["score"] is not None for line in lines) else "",
        "seeds": f"{len(known)} of {count(len(lines), 'seed')}" if known and len(known) < len(lines) else "",
        "reason": next((line["reason"] for line in lines if line["reason"]), ""),
    }
