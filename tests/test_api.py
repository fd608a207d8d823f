"""What ``from xsweep import ...`` gives; ``test_end_to_end`` runs the README's example of it on a finished sweep."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import xsweep
from tests.analysis.planted import table
from tests.tiny import sweep_file
from xsweep import gain_curves, load_sweep, read_runs, read_scores
from xsweep.analysis.analyse import analyse
from xsweep.analysis.design import Design
from xsweep.analysis.tables import GAINS
from xsweep.errors import DataError, SpecError, UsageError
from xsweep.launch import Campaign


def scores(folder: Path) -> pl.DataFrame:
    file = folder / "scores.csv"
    table(lambda family, scale: 2 - scale if family == "nli" else 1 + 0.5 * scale, noise=0.2).write_csv(file)
    return read_scores(file)


def test_every_public_name_is_there_and_sorted() -> None:
    names = xsweep.__all__
    assert names == sorted(names) == dir(xsweep)
    assert all(getattr(xsweep, name) for name in names)
    with pytest.raises(AttributeError, match="has no attribute 'runs'"):
        _ = xsweep.runs  # type: ignore[attr-defined]  # that a checker says so too is what is tested


def test_curves_are_the_reports_own(tmp_path: Path) -> None:
    runs = scores(tmp_path)
    tables = analyse(runs, Design.of(runs)).tables
    curves = gain_curves(runs)
    assert curves.schema == GAINS
    assert_frame_equal(curves, tables["gains"])
    assert_frame_equal(gain_curves(runs, "english"), tables["gains_english"])
    keys = curves.select("params", "arm", "target")
    assert keys.n_unique() == keys.height == 5 * 2 * 2
    assert curves.filter((pl.col("low") > pl.col("estimate")) | (pl.col("high") < pl.col("estimate"))).is_empty()


def test_what_is_no_frame_of_runs_is_refused(tmp_path: Path) -> None:
    runs = scores(tmp_path)
    with pytest.raises(DataError, match="the frame lacks arm, score; read_runs and read_scores make one"):
        gain_curves(runs.drop("score", "arm"))
    with pytest.raises(DataError, match="no run is of the baseline"):
        gain_curves(runs.filter(pl.col("arm") != "none"))


def test_mistakes_are_raised_as_the_command_line_says_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml"):
        read_runs(tmp_path / "nowhere.yaml")
    with pytest.raises(UsageError, match="--mirror nowhere: no such folder"):
        read_runs(sweep_file(tmp_path), mirrors=["nowhere"])
    with pytest.raises(SpecError, match="did you mean 'seeds'"):
        read_runs(sweep_file(tmp_path, "sedes: 3\n"))


def test_a_sweep_made_in_python_is_printed_as_its_values(tmp_path: Path) -> None:
    sweep = load_sweep(sweep_file(tmp_path)).model_copy(update={"seeds": (7,)})
    campaign = Campaign.of(sweep, tmp_path, (), "sqlite:///x.db")
    assert type(sweep).model_validate_json(campaign.text) == sweep
    assert campaign.command == "xsweep.run(sweep)"
    assert Campaign.of(tmp_path / "tiny.yaml", tmp_path, (), None).text == (tmp_path / "tiny.yaml").read_text()
