from __future__ import annotations

import csv as stdlib
from io import StringIO
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from tests import made_up
from xsweep.report.tables import csv, write_table
from xsweep.tracking.frames import scores_from_records


def test_csv_rounds_and_guards() -> None:
    names, values = ["=1+1", "-x", "a,b", "plain"], [1 / 3, -1e-9, None, 2.0]
    table = pl.DataFrame({"name": names, "value": values, "lr": [3.16228e-5] * 4})
    rows = list(stdlib.reader(StringIO(csv(table))))
    assert rows[0] == ["name", "value", "lr"]
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'-x", "a,b", "plain"]
    assert [row[1] for row in rows[1:]] == ["0.333333", "0", "", "2"]
    assert float(rows[1][2]) == 3.16228e-5


def test_both_files_hold_the_same_rows_and_repeat_their_bytes(tmp_path: Path) -> None:
    scores = scores_from_records(made_up.records(made_up.sweep()))
    for folder in ("a", "b"):
        write_table(tmp_path / folder, "scores", scores)
    for kind in ("csv", "parquet"):
        assert (tmp_path / "a" / f"scores.{kind}").read_bytes() == (tmp_path / "b" / f"scores.{kind}").read_bytes()
    parquet = pl.read_parquet(tmp_path / "a" / "scores.parquet")
    assert_frame_equal(pl.read_csv(tmp_path / "a" / "scores.csv", schema=scores.schema), parquet)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["scores.csv", "scores.parquet"]
