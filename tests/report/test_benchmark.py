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
    heads = [row for row in found.cells if row[:2] == ["Model", "Intermediate"] and "classification" in row]
    assert heads == [["Model", "Intermediate", "classification", "xnli", "pawsx"]] * 2  # here, and official
    assert [row[-3:] for row in found.cells].count(["80.0", "75.0", "85.0"]) == 2
    assert "XTREME, and any mean that holds them: udpos not in this sweep; panx not in this sweep" in found.text
    assert "bucc2018 mined in its gold pairs alone" not in found.text  # it is not in this sweep
    table = pl.read_csv(path.parent / "tables" / "benchmark.csv")
    row = table.filter(name="classification", arm="snli", seed=2, counted="official", benchmark="XTREME")
    assert row["score"].item() == 80.0
    overall = table.filter(name="mean over tasks", counted="here")
    assert overall["score"].null_count() == overall.height > 0
    assert (path.parent / "tables" / "benchmark.parquet").is_file()


def test_some_of_the_languages_are_said_not_to_be_official(tmp_path: Path) -> None:
    found, _ = report(tmp_path, sweep("xnli", "pawsx", languages=("en", "de")), scores=points)
    assert "Not official in XTREME: xnli no score in 13 of its 15 languages; pawsx no score in es, fr, ja" in found.text
    assert "XTREME by its own languages" not in found.text


def test_a_missing_seed_is_counted_and_a_degenerate_one_marked(tmp_path: Path) -> None:
    cells = [("small", "snli", "xnli", 3)]
    odd = {("target", ("small", "none", "pawsx", 1)): "degenerate"}
    found, _ = report(tmp_path, sweep("xnli", "pawsx"), scores=points, missing=cells, statuses=odd)
    assert any("74.52 of 3 seeds" in cell for row in found.cells for cell in row)
    assert any(cell.startswith("82.0‡") for row in found.cells for cell in row)


def test_a_sweep_that_has_not_begun_says_so_without_a_table(tmp_path: Path) -> None:
    of = sweep("xnli", "pawsx")
    cells = [
        ("small", arm, target, seed) for arm in made_up.FAMILIES for target in ("xnli", "pawsx") for seed in (1, 2, 3)
    ]
    found, _ = report(tmp_path, of, scores=points, missing=cells)
    assert "XTREME, and any mean that holds them: xnli no score; pawsx no score; udpos not in this sweep" in found.text
    assert not any("classification" in row for row in found.cells)


def test_one_task_or_other_rows_have_no_table(tmp_path: Path) -> None:
    alone, path = report(tmp_path / "alone", sweep("xnli"), scores=points)
    assert HEADING not in alone.text
    assert not (path.parent / "tables" / "benchmark.csv").exists()
    assert HEADING not in report(tmp_path / "own")[0].text
