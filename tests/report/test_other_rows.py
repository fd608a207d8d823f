"""What the page and its tables say of other test rows, and of the unit that intervals are over."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tests import made_up
from tests.analysis.test_examples import write
from tests.report.test_page import report
from xsweep.report.gallery import Plate
from xsweep.tracking.frames import scores_from_records


def test_the_bootstrap_stands_beside_the_t_interval_and_repeats_its_bytes(tmp_path: Path) -> None:
    def rounded(model: str, arm: str, target: str, seed: int, language: str) -> float:
        return round(made_up.score(model, arm, target, seed, language) * 4) / 4  # so many of the rows are right

    scores = scores_from_records(made_up.records(made_up.sweep(), scores=rounded))
    write(tmp_path / "results", scores.filter("primary"))
    pages = [
        report(tmp_path / name, scores=rounded, results=lambda key: tmp_path / "results" / key) for name in ("a", "b")
    ]
    found, path = pages[0]
    assert "The same on other test rows: crossed bootstrap over seeds and test rows" in found.text
    assert "With fewer than 10 seeds these bootstrap intervals are too narrow" in found.text
    table = pl.read_csv(path.parent / "tables" / "headline_examples.csv")
    mean = table.row(by_predicate=pl.col("quantity") == "mean_gain_nli", named=True)
    assert mean["low_examples"] < mean["estimate"] < mean["high_examples"]
    for name in ("headline_examples", "gains_examples"):
        assert len({(p.parent / "tables" / f"{name}.csv").read_bytes() for _, p in pages}) == 1
    assert path.read_bytes() == pages[1][1].read_bytes()


def test_a_page_without_predictions_says_nothing_of_other_rows(tmp_path: Path) -> None:
    found, path = report(tmp_path)
    assert "crossed bootstrap" not in found.text
    assert not (path.parent / "tables" / "headline_examples.csv").exists()


def test_captions_name_the_unit() -> None:
    plate = Plate("gain_english_others", "", "", pl.DataFrame(), lambda: None)  # type: ignore[arg-type,return-value]
    assert "the two seed by seed," in plate.caption
    of_repeats = Plate("slope_forest", "", "", pl.DataFrame(), plate.wide, unit="repeat")
    assert "95 % t intervals over repeats of the search" in of_repeats.caption
