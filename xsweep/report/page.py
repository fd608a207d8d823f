"""The report: tables, figures and one page that needs nothing but itself. A pure function of what it is given."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from xsweep.analysis.benchmark import benchmark_scores
from xsweep.analysis.controls import controls
from xsweep.analysis.design import Design
from xsweep.analysis.gains import ALL, family_gains, intervals, paired_gains
from xsweep.analysis.outcomes import budget_times, budgets, holes
from xsweep.plan.records import Record
from xsweep.report import views
from xsweep.report.benchmark import benchmark_tables
from xsweep.report.curve import curve_points
from xsweep.report.figures import FONTS, GRID, INK, LOOKS, MUTED, PAPER, draw, png, svg
from xsweep.report.tables import csv, write_table
from xsweep.report.words import count, family_name, size
from xsweep.spec.sweep import Sweep
from xsweep.store.files import guarded, write_atomic

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Report:
    """A report that was written: its page, and the answer in one sentence."""

    page: Path
    finding: str


def write_report(
    out: Path,
    sweep: Sweep,
    sweep_text: str,
    records: Sequence[Record],
    scores: pl.DataFrame,
    *,
    command: str,
    tracking_note: str,
    caveats: Sequence[str] = (),
    word_blind: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> Report:
    """Write ``tables/``, ``figures/`` and ``report.html`` under ``out``; returns the page and what it says first.

    ``scores`` is SCORES, from MLflow or the store. ``caveats`` are said in a banner; ``tracking_note`` says how to
    open MLflow, or why the scores were not read from it. ``word_blind`` gives the controls of the artificial world:
    task -> language -> points; nothing for a sweep of real tasks. Equal arguments, equal bytes, but for the seconds in
    ``tables/budgets_times.csv``. Raises ``EnvironmentProblem`` when ``out`` cannot be written.
    """
    design = Design.of(sweep, records)
    tables = _tables(design, sweep, records, scores)
    if word_blind:
        tables["controls"] = controls(word_blind, scores, tables["budgets"], sweep)
    gains, means = tables["gains"], tables["family_intervals"]
    drawn = curve_points(tables["family_gains"], means)
    found = views.answer(design, gains, means)
    with guarded(out):
        for name, table in tables.items():
            write_table(out / "tables", name, table)
        write_atomic(out / "tables" / "budgets_times.csv", csv(budget_times(records)).encode())
        figures = _figures(out / "figures", drawn, design, found.sentence)
        context = _context(design, sweep, tables, drawn, records) | {
            "answer": found, "figures": figures, "sweep": sweep, "sweep_text": sweep_text.strip("\n"),
            "command": command, "tracking_note": tracking_note, "caveats": caveats,
        }  # fmt: skip
        write_atomic(out / "report.html", _render(context).encode())
    return Report(out / "report.html", found.sentence)


def _tables(design: Design, sweep: Sweep, records: Sequence[Record], scores: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """File name -> table, of everything that is the same for the same results."""
    gains = paired_gains(scores, design)
    families = family_gains(gains)
    counted = benchmark_scores(scores, sweep)
    return {
        "scores": scores,
        "gains": gains,
        "gain_intervals": intervals(gains),
        "family_gains": families,
        "family_intervals": intervals(families),
        "budgets": budgets(records, sweep),
        "holes": holes(records, sweep),
        **({} if counted.is_empty() else {"benchmark": counted}),
    }


def _context(
    design: Design, sweep: Sweep, tables: Mapping[str, pl.DataFrame], drawn: pl.DataFrame, records: Sequence[Record]
) -> dict[str, Any]:
    cells = sum(record.kind == "evaluate" and record.role == "report" for record in records)
    missing = tables["holes"].iter_rows(named=True)
    means, gains = tables["gain_intervals"], tables["gains"]
    groups = {
        name: views.gain_rows(design, means, gains, name) for name in sorted(set(means["languages"]), reverse=True)
    }
    return {
        "design": design,
        "cells": cells,
        "scored": cells - tables["holes"].height,
        "columns": views.columns(design),
        "gain_groups": groups,
        "points": {panel: views.point_rows(drawn, panel) for panel in (ALL, *design.targets)},
        "score_tables": views.score_tables(design, tables["scores"]),
        "benchmarks": benchmark_tables(design, tables["benchmark"]) if "benchmark" in tables else [],
        "controls": views.control_rows(tables["controls"]) if "controls" in tables else [],
        "holes": list(missing),
        "budgets": views.budget_rows(tables["budgets"], sweep),
        "declared": views.declared(sweep),
        "versions": views.versions(records),
        "downloads": {name: _data(csv(table)) for name, table in tables.items()},
        "averaged": views.averaged(design),
    }


def _figures(folder: Path, drawn: pl.DataFrame, design: Design, finding: str) -> dict[str, str]:
    """Write the figures' files; returns each as markup for the page: a wide one and a narrow one of each."""
    targets = list(design.targets)
    plans = {"gain_vs_params": ([ALL], (7.4, 3.9), (3.75, 3.6), 1)}
    if len(targets) > 1:
        rows = -(-len(targets) // 2)
        plans["gain_by_target"] = (targets, (7.4, 0.5 + 2.9 * rows), (3.75, 0.4 + 2.8 * len(targets)), 2)
    found = {}
    for name, (panels, wide, narrow, columns) in plans.items():
        title = "Gain against model size" + (", target by target" if panels != [ALL] else "")
        figure = draw(drawn, panels, *wide, columns)
        text = svg(figure, title, finding)
        write_atomic(folder / f"{name}.svg", text.encode())
        write_atomic(folder / f"{name}.png", png(figure))
        write_atomic(folder / f"{name}.csv", csv(drawn.filter(pl.col("panel").is_in(panels))).encode())
        found[name] = _inline(text, name)
        found[f"{name}_narrow"] = _inline(svg(draw(drawn, panels, *narrow), title, finding), f"{name}_narrow")
    return found


def _inline(text: str, name: str) -> str:
    """A figure's SVG as part of the page: its colours and fonts are the page's, its ids its own."""
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", text)
    box = re.search(r'viewBox="[^"]*"', text)
    assert box  # matplotlib always writes one
    labels = f'role="img" aria-labelledby="{name}-title {name}-desc"'
    text = f"<svg {box[0]} {labels}>" + text[text.index(">") + 1 :]
    text = text.replace("<title>", f'<title id="{name}-title">', 1).replace("<desc>", f'<desc id="{name}-desc">', 1)
    for colour, variable in ((INK, "ink"), (MUTED, "muted"), (GRID, "line"), (PAPER, "paper")):
        text = text.replace(colour, f"var(--{variable})")
    return text.replace(f"font-family: {FONTS}", "font-family: inherit")


def _data(text: str) -> str:
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()


def _render(context: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"size": size, "family": family_name, "colour": lambda family: LOOKS[family].colour}
    environment.globals |= {"css": (_HERE / "page.css").read_text("utf-8"), "count": count}
    return environment.get_template("page.html.j2").render(context)
