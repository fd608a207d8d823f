"""The tables of a report have the columns that ``xsweep schema tables`` tells, in every file."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import polars as pl
import pytest

from tests import made_up
from tests.analysis.planted import table
from tests.report.test_benchmark import points, sweep
from tests.report.test_page import report
from xsweep.analysis.files import TABLES, described
from xsweep.analysis.scores_file import read_scores
from xsweep.plan.transfer import Regret
from xsweep.report import page
from xsweep.report.page import write_scores_report
from xsweep.tasks.catalog import CATALOG


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "plates", lambda *_: [])


def written(folder: Path) -> dict[str, pl.Schema]:
    files = sorted((folder / "tables").glob("*.parquet"))
    return {path.stem: pl.Schema(pl.read_parquet_schema(path)) for path in files}


def told(found: dict[str, pl.Schema]) -> dict[str, pl.Schema]:
    return {name: TABLES[name] for name in found}


def test_a_sweeps_tables(tmp_path: Path) -> None:
    of, blind = sweep("xnli", "pawsx"), MappingProxyType({"xnli": dict.fromkeys(CATALOG["xnli"].languages, 30.0)})
    report(tmp_path, of, word_blind=blind, regret=Regret("small", "xnli", 70.5, 71.0, (3, 16)), scores=points,
           results=lambda key: tmp_path / key)  # fmt: skip
    found = written(tmp_path)
    assert found == told(found)
    assert {*TABLES} == {*found}


def test_they_are_the_same_where_nothing_has_run(tmp_path: Path) -> None:
    cells = [("small", arm, t, s) for arm in made_up.FAMILIES for t in ("xnli", "pawsx") for s in (1, 2, 3)]
    report(tmp_path, sweep("xnli", "pawsx"), scores=points, missing=cells)
    found = written(tmp_path)
    assert found == told(found)


def test_the_tables_of_a_file_of_scores(tmp_path: Path) -> None:
    table(lambda family, scale: 1.0).write_csv(tmp_path / "scores.csv")
    write_scores_report(tmp_path, read_scores(tmp_path / "scores.csv"), "scores.csv", "c")
    found = written(tmp_path)
    assert found == told(found)
    assert {"headline", "gains", "scores", "budgets"} <= {*found}


def test_every_table_says_what_it_holds() -> None:
    for name, said in described():
        assert said["holds"].endswith("."), name
        assert list(said["columns"]) == TABLES[name].names()
