"""English held-out data against the other languages: rank correlations, about each model's own mean too."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.analysis.planted import read, row, table
from xsweep.analysis.outcomes import budgets_of_file
from xsweep.analysis.proxy import PROXY, proxy


def ranked(folder: Path, dev: dict[str, float]) -> dict[str, object]:
    scores = table(lambda family, scale: 2.0 if family == "nli" else 1.0, seeds=2)
    own = pl.col("arm").replace_strict(dev, return_dtype=pl.Float64)
    frame = read(folder, scores.with_columns(dev_score=own + pl.col("params").log10()))
    found = proxy(frame, budgets_of_file(frame))
    assert found.schema == PROXY
    return row(found, target="goal")


def test_a_proxy_that_ranks_alike_and_one_that_ranks_arms_backwards(tmp_path: Path) -> None:
    alike = ranked(tmp_path, {"none": 50.0, "questions": 50.1, "inference": 50.2})
    assert (alike["configurations"], alike["reason"]) == (15, "")
    assert isinstance(alike["rho"], float)
    assert alike["rho"] > 0.9
    assert alike["rho_within"] == pytest.approx(1.0)
    back = ranked(tmp_path, {"none": 50.2, "questions": 50.1, "inference": 50.0})
    assert back["rho_within"] == pytest.approx(-1.0)
    # Larger models are better at both, so that without its models the correlation would flatter.
    assert isinstance(back["rho"], float)
    assert back["rho"] > 0.5


def test_too_few_configurations_say_so(tmp_path: Path) -> None:
    frame = read(tmp_path, table(lambda family, scale: 1.0, sizes=(100_000_000,)).with_columns(dev_score=50.0))
    found = row(proxy(frame, budgets_of_file(frame)), target="goal")
    assert (found["rho"], found["configurations"]) == (None, 3)
    assert "fewer than 4" in found["reason"]
