from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from tests import made_up
from tests.report.test_page import report
from xsweep.spec.sweep import Target
from xsweep.tasks.catalog import CATALOG

HEADING = "As the benchmark counts it"


def sweep(*tasks: str, **target: Any) -> Any:
    targets = [Target(task=CATALOG[name], **{"languages": CATALOG[name].languages, **target}) for name in tasks]
    return made_up.sweep(models=[made_up.SMALL], targets=targets)


def points(model: str, arm: str, target: str, seed: int, language: str) -> float:
    return {"xnli": 70.0, "pawsx": 80.0}[target] + seed + (3.0 if arm == "snli" else 0.0)


def test_two_tasks_of_a_benchmark_have_a_table_with_their_group(tmp_path: Path) -> None:
    found, path = report(tmp_path, sweep("xnli", "pawsx"), scores=points)
    assert HEADING in found.text
    header = next(row for row in found.cells if row[2:4] == ["mean over tasks", "mean over groups"])
    here, official = ([row for row in found.cells if row[-len(header) + 1 :][0].startswith("snli")], [])
    assert any({"80.0", "75.0", "85.0"} <= set(row) for row in here + official)
    assert "No official XTREME score: udpos not in this sweep; panx not in this sweep" in found.text
    table = pl.read_csv(path.parent / "tables" / "benchmark.csv")
    row = table.filter(name="classification", arm="snli", seed=2, counted="official", benchmark="XTREME")
    assert row["score"].item() == 80.0
    overall = table.filter(name="mean over tasks", counted="here")
    assert overall["score"].null_count() == overall.height > 0
    assert (path.parent / "tables" / "benchmark.parquet").is_file()


def test_some_of_the_languages_are_said_not_to_be_official(tmp_path: Path) -> None:
    found, _ = report(tmp_path, sweep("xnli", "pawsx", languages=("en", "de")), scores=points)
    assert "pawsx no score in es, fr, ja, ko, zh" in found.text
    assert "official" not in [row[0] for row in found.cells]
    assert "XTREME by its own languages" not in found.text


def test_a_missing_seed_is_counted_and_a_degenerate_one_marked(tmp_path: Path) -> None:
    cells = [("small", "snli", "xnli", 3)]
    odd = {("target", ("small", "none", "pawsx", 1)): "degenerate"}
    found, _ = report(tmp_path, sweep("xnli", "pawsx"), scores=points, missing=cells, statuses=odd)
    assert any("74.52 of 3 seeds" in cell for row in found.cells for cell in row)
    assert any(cell.startswith("82.0‡") for row in found.cells for cell in row)


def test_one_task_or_other_rows_have_no_table(tmp_path: Path) -> None:
    alone, path = report(tmp_path / "alone", sweep("xnli"), scores=points)
    assert HEADING not in alone.text
    assert not (path.parent / "tables" / "benchmark.csv").exists()
    assert HEADING not in report(tmp_path / "own")[0].text
