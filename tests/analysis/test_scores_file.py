from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.analysis.planted import row, table
from xsweep.analysis.design import Design
from xsweep.analysis.frame import FRAME
from xsweep.analysis.gains import paired_gains
from xsweep.analysis.scores_file import read_scores, remarks
from xsweep.errors import DataError, UsageError

HEAD = "model,params,arm,target,language,seed,score"
GOOD = ["m,100,none,xnli,de,1,50", "m,100,squad_v1,xnli,de,1,51.5"]


def write(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "scores.csv"
    path.write_text("\n".join([head, *rows]) + "\n", "utf-8")
    return path


def fault(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_scores(path)
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_the_catalogue_fills_in_what_it_knows(tmp_path: Path) -> None:
    frame = read_scores(write(tmp_path, *GOOD))
    assert frame.schema == FRAME
    found = row(frame, arm="squad_v1")
    assert (found["family"], found["group"], found["metric"]) == ("qa", "classification", "accuracy")
    assert found["chance"] == pytest.approx(100 / 3)
    assert (found["primary"], found["same_data"], found["status"], found["repeat"]) == (True, False, "ok", 0)
    known = read_scores(write(tmp_path, "xlmr-base,,none,xnli,de,1,50"))
    assert (known["params"].item(), known["ladder"].item()) == (277_453_056, "xlmr")


def test_parquet_and_csv_are_one(tmp_path: Path) -> None:
    scores = table(lambda family, scale: 1.0, noise=0.3)
    scores.write_csv(tmp_path / "a.csv")
    scores.write_parquet(tmp_path / "a.parquet")
    assert read_scores(tmp_path / "a.csv").equals(read_scores(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("m,100,squad_v1,xnli,de,1,101", "row 3: score '101' is not between 0 and 100 points"),
        ("m,100,squad_v1,xnli,de,1,-0.1", "row 3: score '-0.1' is not between"),
        ("m,100,squad_v1,xnli,de,1,nan", "row 3: score 'nan' is no number"),
        ("m,100,squad_v1,xnli,de,1,fifty", "row 3: score 'fifty' is no number"),
        ("m,100,squad_v1,xnli,de,1,", "row 3: score None is missing"),
        ("m,100,squad_v1,xnli,de,1.5,50", "row 3: seed '1.5' is no count"),
        ("m,-3,squad_v1,xnli,de,1,50", "row 3: params '-3' is no count"),
        (",100,squad_v1,xnli,de,1,50", "row 3: model None is empty"),
        ("m,100,squad_v1,xnli,de,2,50", "row 3: m / squad_v1 / xnli / de / s2 has no row of the arm 'none'"),
        ("m,100,squad_v1,xnli,de,1,50", "rows 2, 3: the same cell m / squad_v1 / xnli / de / s1 more than once"),
        ("m,200,none,xnli,sw,1,50", "rows 1, 3: model 'm' has more than one params: 100, 200"),
        ("m,100,mine,xnli,de,1,50", "row 3: the catalogue does not know arm 'mine', so its family must be given"),
        ("m,100,none,mine,de,1,50", "row 3: the catalogue does not know target 'mine', so its group must be given"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, value: str, says: str) -> None:
    assert says in fault(write(tmp_path, *GOOD, value))


def test_every_fault_of_a_file_is_said_at_once(tmp_path: Path) -> None:
    rows = ["m,100,squad_v1,xnli,de,1,50", "m,100,none,xnli,de,2,120", "m,x,none,xnli,de,3,50",
            "m,200,none,xnli,sw,4,50", "m,100,mine,xnli,de,1,50", ",100,none,xnli,de,1,50"]  # fmt: skip
    said = fault(write(tmp_path, *GOOD, *rows)).splitlines()
    assert [line.partition(": ")[2] for line in said] == [
        "row 4: score '120' is not between 0 and 100 points",
        "row 5: params 'x' is no number",
        "row 8: model None is empty",
        "row 7: the catalogue does not know arm 'mine', so its family must be given",
        "rows 1, 6: model 'm' has more than one params: 100, 200",
        "rows 2, 3: the same cell m / squad_v1 / xnli / de / s1 more than once",
    ]


def test_columns_that_lack_or_are_unknown_are_named(tmp_path: Path) -> None:
    assert "lacks the columns params, seed" in fault(write(tmp_path, head="model,arm,target,language,score"))
    assert "has the unknown column scoer" in fault(write(tmp_path, *[f"{r},1" for r in GOOD], head=f"{HEAD},scoer"))
    assert "holds no row" in fault(write(tmp_path))
    assert "no row is of the baseline" in fault(write(tmp_path, GOOD[1]))
    odd = [f"{r},inference" for r in GOOD]
    assert "row 2: family 'inference' is none of" in fault(write(tmp_path, *odd, head=f"{HEAD},family"))


def test_many_faults_are_counted(tmp_path: Path) -> None:
    said = fault(write(tmp_path, *GOOD, *[f"m,100,none,xnli,l{n},1,200" for n in range(40)]))
    assert said.count("\n") == 10
    assert said.endswith("and 30 more")


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_scores(tmp_path / "absent.csv")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet")
    assert "cannot be read as parquet" in fault(tmp_path / "bad.parquet")
    assert "cannot be read as csv" in fault(write(tmp_path, *GOOD, "too,many,values,in,this,row,of,the,file"))


def test_runs_without_a_score_have_a_status_that_says_so(tmp_path: Path) -> None:
    head = f"{HEAD},status"
    rows = [f"{GOOD[0]},ok", "m,100,squad_v1,xnli,de,1,,failed", "m,100,none,xnli,de,2,49,degenerate"]
    frame = read_scores(write(tmp_path, *rows, head=head))
    assert row(frame, arm="squad_v1")["score"] is None
    assert "score '51.5' is given, though" in fault(write(tmp_path, rows[0], f"{GOOD[1]},failed", head=head))
    assert "status 'fine' is none of" in fault(write(tmp_path, f"{GOOD[0]},fine", head=head))


def test_a_missing_treated_run_is_a_hole_with_a_reason(tmp_path: Path) -> None:
    frame = read_scores(write(tmp_path, *GOOD, "m,100,none,xnli,de,2,50"))
    gains = paired_gains(frame, Design.of(frame)).filter(target="xnli")
    assert gains.select("seed", "gain", "reason").rows() == [(1, 1.5, ""), (2, None, "no score")]


def test_a_second_metric_is_kept_and_does_not_count(tmp_path: Path) -> None:
    head = f"{HEAD},metric"
    rows = [r.replace("xnli", "xquad") for r in GOOD]
    both = [f"{r},f1" for r in rows] + [f"{r},exact_match" for r in rows]
    frame = read_scores(write(tmp_path, *both, head=head))
    assert frame.select("metric", "primary").unique(maintain_order=True).rows() == [
        ("f1", True),
        ("exact_match", False),
    ]
    odd = [f"{r},one" for r in rows] + [f"{r},two" for r in rows]
    assert "xquad has the metrics" in fault(write(tmp_path, *odd, head=head))


def test_same_data_is_the_files_to_say_and_its_silence_is_told(tmp_path: Path) -> None:
    same = [r.replace("squad_v1", "mnli") for r in GOOD]
    silent = read_scores(write(tmp_path, *same))
    assert not silent["same_data"].any()
    assert "no same data for mnli on xnli" in remarks(silent)[0]
    marked = read_scores(write(tmp_path, *[f"{r},{'mnli' in r}" for r in same], head=f"{HEAD},same_data"))
    assert row(marked, arm="mnli")["same_data"]
    assert remarks(marked) == []


def test_a_file_that_names_no_ladder_is_one_and_says_so(tmp_path: Path) -> None:
    scores = table(lambda family, scale: 1.0)
    for frame, said in ((scores.drop("ladder"), 1), (scores, 0)):
        frame.write_csv(tmp_path / "scores.csv")
        found = remarks(read_scores(tmp_path / "scores.csv"))
        assert sum("names no ladder" in text for text in found) == said


def test_our_own_table_of_scores_can_be_read_again(tmp_path: Path) -> None:
    from tests import made_up
    from xsweep.report.tables import write_table

    frame: Any = made_up.frame(made_up.sweep())
    write_table(tmp_path, "scores", frame)
    for kind in ("csv", "parquet"):
        again = read_scores(tmp_path / f"scores.{kind}")
        gains, wanted = (paired_gains(f, Design.of(f)) for f in (again, frame))
        assert gains["gain"].to_list() == pytest.approx(wanted["gain"].to_list())
        assert pl.Series(gains["arm"]).equals(wanted["arm"])
