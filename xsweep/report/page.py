"""The report: tables, figures and one page that needs nothing but itself. A pure function of what it is given."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from xsweep.analysis.analyse import Analysis, analyse
from xsweep.analysis.benchmark import benchmark_scores
from xsweep.analysis.bootstrap import FEW_SEEDS
from xsweep.analysis.controls import controls
from xsweep.analysis.design import Design
from xsweep.analysis.evp import evp
from xsweep.analysis.examples import Keys, drawn_gains, gains_examples, headline_examples
from xsweep.analysis.failures import disagreeing
from xsweep.analysis.frame import frame_of
from xsweep.analysis.gains import ALL
from xsweep.analysis.outcomes import budget_times, budgets, budgets_of_file, holes, holes_of_file, regrets, uneven
from xsweep.analysis.provenance import data, environment
from xsweep.analysis.proxy import proxy
from xsweep.analysis.scores_file import remarks
from xsweep.analysis.slopes import scale_dependent
from xsweep.plan.records import Record
from xsweep.plan.transfer import Regret
from xsweep.report import answer, numbers, views
from xsweep.report.benchmark import benchmark_tables
from xsweep.report.checklist import checklist
from xsweep.report.curve import curve_points
from xsweep.report.gallery import Shown, plates, write_plate
from xsweep.report.runs import keys_of, script_data
from xsweep.report.style import LOOKS
from xsweep.report.tables import csv, write_table
from xsweep.report.words import count, draws, family_name, listed, p_value, size
from xsweep.spec.sweep import Sweep
from xsweep.store.files import guarded, write_atomic

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Report:
    """A report that was written: its page, and the answer in one sentence."""

    page: Path
    finding: str


@dataclass(frozen=True)
class _Source:
    """Where the scores came from: what the page says of it beside the numbers."""

    title: str
    command: str
    tracking_note: str
    caveats: Sequence[str]
    sweep: Sweep | None = None
    text: str = ""
    regret: Regret | None = None
    keys: Keys = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The sweep file's SHA-256, its first 16 digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


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
    regret: Regret | None = None,
    addresses: Mapping[str, str] = MappingProxyType({}),
    results: Callable[[str], Path] | None = None,
) -> Report:
    """Write ``tables/``, ``figures/`` and ``report.html`` under ``out``; returns the page and what it says first.

    ``scores`` is SCORES of the same runs as ``records``, which say what was planned and what became of it.
    ``command`` is what makes the results again, ``caveats`` what must be read first; ``tracking_note`` says how to
    open MLflow, or why the scores were not read from it. ``word_blind`` gives the controls of the artificial world:
    task -> language -> points; nothing for a sweep of real tasks. ``regret`` is what transfer between sizes lost, where
    that was measured. ``addresses`` says where a stage's run is tracked, by the stage's key; the page names the key of
    a run that has none. ``results`` gives the folder of a stage's prediction files by its key; without it
    nothing is said of other test rows. Equal arguments, equal bytes, but for the seconds in
    ``tables/budgets_times.csv``. Raises ``EnvironmentProblem`` when ``out`` cannot be written.
    """
    frame = frame_of(sweep, records, scores)
    found = analyse(frame, Design.of(frame, sweep))
    counted = benchmark_scores(scores, sweep)
    spent = budgets(records, sweep)
    extra = {
        "budgets": spent,
        "holes": holes(records, sweep),
        "data": data(frame, records),
        "environment": environment(frame, records),
        "evp": evp(records),
        "proxy": proxy(frame, spent),
        **({"regret": regrets(regret)} if regret else {}),
        **({} if counted.is_empty() else {"benchmark": counted}),
        **({"controls": controls(word_blind, scores, spent, sweep)} if word_blind else {}),
    }
    text = sweep_text.strip("\n")
    keys = keys_of(scores)
    source = _Source(sweep.name, command, tracking_note, caveats, sweep, text, regret, keys, addresses)
    if results:
        extra |= _on_other_rows(found, frame, keys, results)
    with guarded(out):
        write_atomic(out / "tables" / "budgets_times.csv", csv(budget_times(records)).encode())
    return _write(out, found, extra, source)


def _on_other_rows(
    found: Analysis, frame: pl.DataFrame, keys: Keys, results: Callable[[str], Path]
) -> dict[str, pl.DataFrame]:
    """The tables of the bootstrap over seeds and test rows."""
    design, tables = found.design, found.tables
    drawn = drawn_gains(frame, design, keys, results)
    return {
        "gains_examples": gains_examples(drawn, tables["gains"], design),
        "headline_examples": headline_examples(drawn, tables["family_gains"], tables["headline"], design),
    }


def write_scores_report(out: Path, frame: pl.DataFrame, name: str, command: str) -> Report:
    """The same of a FRAME that was read from the file ``name``."""
    found = analyse(frame, Design.of(frame))
    spent = budgets_of_file(frame)
    extra = {
        "budgets": spent,
        "proxy": proxy(frame, spent),
        "holes": holes_of_file(frame, found.design),
        "data": data(frame),
        "environment": environment(frame),
    }
    note = f"These scores were read from {name}; no run of them is tracked here."
    return _write(out, found, extra, _Source(name, command, note, remarks(frame)))


def _write(out: Path, found: Analysis, extra: Mapping[str, pl.DataFrame], source: _Source) -> Report:
    tables = {**found.tables, **extra}
    drawn = curve_points(tables["family_gains"], found.family_means)
    said = answer.answer(found.design, found.gains, found.family_means)
    with guarded(out):
        for name, table in tables.items():
            write_table(out / "tables", name, table)
        shown = [write_plate(out / "figures", plate) for plate in plates(found, tables, said.sentence)]
        context = _context(found, tables, drawn, source) | {"answer": said}
        context |= {"figures": {one.plate.name: one for one in shown}, "runs": _runs(found, tables, shown, source)}
        write_atomic(out / "report.html", _render(context).encode())
    return Report(out / "report.html", said.sentence)


def _runs(found: Analysis, tables: Mapping[str, pl.DataFrame], shown: Sequence[Shown], source: _Source) -> str:
    return script_data(tables["scores"], found.design, shown, source.keys, source.addresses)


def _context(
    found: Analysis, tables: Mapping[str, pl.DataFrame], drawn: pl.DataFrame, source: _Source
) -> dict[str, Any]:
    design, sweep = found.design, source.sweep
    scored = tables["scores"].filter(pl.col("score").is_not_null())
    means = found.gain_means
    groups = {
        name: views.gain_rows(design, means, found.gains, name)
        for name in sorted(set(means["languages"]), reverse=True)
    }
    pairs = len(design.arms) * len(design.targets) - len(design.left_out)
    slopes, no_slopes = numbers.slope_rows(tables["slopes"], design)
    claims, no_claims = numbers.claim_rows(tables["claims"])
    cells = len(design.models) * pairs * len(design.seeds)
    return {
        "source": source,
        "sweep": sweep,
        "design": design,
        "units": draws(2, design.unit)[2:],
        "cells": cells,
        "scored": cells - tables["holes"].height,
        "question": numbers.question(tables["headline"], design),
        "headline": numbers.headline_rows(tables["headline"], design),
        "slopes": slopes,
        "no_slopes": no_slopes,
        "claims": claims,
        "no_claims": no_claims,
        "examples": numbers.example_rows(tables["headline_examples"], design) if "headline_examples" in tables else [],
        "few_seeds": FEW_SEEDS if len(design.units) < FEW_SEEDS else 0,
        "equivalence": numbers.equivalence_rows(tables["equivalence"], design),
        "three_ways": numbers.three_way_rows(tables["three_ways"], design),
        "failures": tables["failures"].filter(pl.col("rate") > 0).to_dicts(),
        "warnings": _warnings(tables, design),
        "columns": views.columns(design),
        "gain_groups": groups,
        "points": {panel: views.point_rows(drawn, panel) for panel in (ALL, *design.targets)},
        "score_tables": views.score_tables(design, scored),
        "benchmarks": benchmark_tables(design, tables["benchmark"]) if "benchmark" in tables else [],
        "controls": views.control_rows(tables["controls"]) if "controls" in tables else [],
        "holes": list(tables["holes"].iter_rows(named=True)),
        "budgets": views.budget_rows(tables["budgets"], sweep),
        "declared": [*(views.declared(sweep) if sweep else []), *([str(source.regret)] if source.regret else [])],
        "versions": list(tables["environment"].iter_rows()),
        "downloads": {name: _data(csv(table)) for name, table in tables.items()},
        "averaged": answer.averaged(design),
        "checklist": checklist(design, tables, sweep),
    }


def _warnings(tables: Mapping[str, pl.DataFrame], design: Design) -> list[str]:
    """What would make a reader doubt the numbers, found in the numbers themselves."""
    said = numbers.suspect_notes(tables["suspects"])
    odd = uneven(tables["budgets"])
    if odd:
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        said.append(
            f"Budgets are not equal: {', '.join(odd[:3])}{more} had another number of trials than the baseline."
        )
    turned = scale_dependent(tables["slopes"])
    if turned:
        said.append(
            f"Scale dependent: the slope of {listed(map(family_name, turned))} has one sign in points and another by "
            "the log odds, so it is no finding."
        )
    quantities = [numbers.quantity(name, design) for name in disagreeing(tables["three_ways"])]
    if quantities:
        said.append(
            f"The sign of {'; '.join(quantities)} changes with how degenerate and lost runs are counted: see below."
        )
    if len(design.seeds) == 1 and design.unit == "seed":
        said.append("There is one seed, so there is no spread to see: no interval, no band and no test anywhere.")
    return said


def _data(text: str) -> str:
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()


def _render(context: Mapping[str, Any]) -> str:
    pages = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    pages.filters |= {"size": size, "family": family_name, "p_value": p_value,
                      "colour": lambda family: LOOKS[family].colour}  # fmt: skip
    script = (_HERE / "page.js").read_text("utf-8")
    # The browser runs this script alone, and fetches nothing.
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    pages.globals |= {
        "css": (_HERE / "page.css").read_text("utf-8"),
        "js": script,
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'",
        "count": count,
    }
    return pages.get_template("page.html.j2").render(context)
