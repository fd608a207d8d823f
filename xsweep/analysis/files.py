"""The tables that a report writes: name of the file -> its columns, and what it holds. Scripts may lean on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xsweep.analysis import (
    benchmark,
    claims,
    consistency,
    controls,
    equivalence,
    evp,
    examples,
    failures,
    frame,
    gains,
    headline,
    outcomes,
    provenance,
    slopes,
    tables,
)
from xsweep.tasks.text_below import text_below

_HOMES = {
    "averages": (tables, "AVERAGES"),
    "benchmark": (benchmark, "BENCHMARK"),
    "budgets": (outcomes, "BUDGETS"),
    "claims": (claims, "CLAIMS"),
    "controls": (controls, "CONTROLS"),
    "data": (provenance, "DATA"),
    "environment": (provenance, "ENVIRONMENT"),
    "equivalence": (equivalence, "EQUIVALENCE"),
    "evp": (evp, "EVP"),
    "failures": (failures, "FAILURES"),
    "family_gains": (gains, "FAMILY_GAINS"),
    "family_intervals": (gains, "FAMILY_INTERVALS"),
    "gains": (tables, "GAINS"),
    "gains_all_languages": (tables, "GAINS_ALL_LANGUAGES"),
    "gains_english": (tables, "GAINS"),
    "gains_examples": (examples, "GAINS_EXAMPLES"),
    "headline": (headline, "HEADLINE_TABLE"),
    "headline_examples": (examples, "HEADLINE_EXAMPLES"),
    "holes": (outcomes, "HOLES"),
    "paired_gains": (gains, "PAIRED_GAINS"),
    "regret": (outcomes, "REGRET"),
    "scores": (frame, "FRAME"),
    "slopes": (slopes, "SLOPES"),
    "suspects": (consistency, "SUSPECTS"),
    "three_ways": (failures, "THREE_WAYS"),
}
"""File -> where its schema is declared, with a text below that says what it holds."""

TABLES = {name: getattr(home, constant) for name, (home, constant) in _HOMES.items()}
"""File, without its suffix -> ``polars.Schema`` of its Parquet form. ``benchmark``, ``controls``, ``evp``,
``regret`` and those of ``examples`` are written where there is something to say."""


def described() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of each table, with ``holds`` (in words) and ``columns`` (name -> type)."""
    for name, (home, constant) in _HOMES.items():
        holds = " ".join(text_below(home)[constant].split())
        yield name, {"holds": holds, "columns": {column: str(kind) for column, kind in TABLES[name].items()}}
