from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from tests import made_up
from tests.analysis.planted import analysed, row, table
from xsweep.analysis.design import Design
from xsweep.analysis.equivalence import tost
from xsweep.analysis.failures import COMPLETED, FAILURES, HEALTHY, INTENDED, disagreeing, failures, three_ways


def flawed(status: str, score: float | None) -> pl.DataFrame:
    """Gains of 2; the inference arm's first seed at the smallest size ended so."""
    scores = table(lambda family, scale: 2.0).with_columns(status=pl.lit("ok"), chance=pl.lit(30.0))
    hit = (pl.col("arm") == "inference") & (pl.col("seed") == 1) & (pl.col("params") == 100_000_000)
    return scores.with_columns(
        score=pl.when(hit).then(pl.lit(score, pl.Float64)).otherwise(pl.col("score")),
        status=pl.when(hit).then(pl.lit(status)).otherwise(pl.col("status")),
    )


def test_rates_with_wilson_and_fisher(tmp_path: Path) -> None:
    table_ = analysed(tmp_path, flawed("diverged", None)).tables["failures"]
    assert table_.schema == FAILURES
    found = row(table_, model="m100000000", arm="inference")
    assert (found["runs"], found["ok"], found["diverged"], found["rate"]) == (5, 4, 1, 0.2)
    assert (found["low"], found["high"]) == pytest.approx(proportion_confint(1, 5, method="wilson"))
    assert found["p_fisher"] == pytest.approx(stats.fisher_exact([[1, 4], [0, 5]])[1])
    assert row(table_, model="m100000000", arm="none")["p_fisher"] is None


def test_runs_that_were_not_made_are_in_no_rate() -> None:
    sweep = made_up.sweep()
    statuses: Any = {("evaluate", ("small", "snli", "xnli", 1)): "failed"}
    frame = made_up.frame(sweep, missing=[("small", "snli", "xquad", 2)], statuses=statuses)
    found = row(failures(frame), model="small", arm="snli")
    assert (found["runs"], found["missing"], found["failed"], found["ok"]) == (5, 1, 1, 4)


def test_a_degenerate_run_is_in_left_out_or_a_guess(tmp_path: Path) -> None:
    ways = analysed(tmp_path, flawed("degenerate", 20.0)).tables["three_ways"].filter(quantity="mean_gain_nli")
    by_way = {r["analysis"]: (r["estimate"], r["n_seeds"]) for r in ways.iter_rows(named=True)}
    assert by_way[HEALTHY] == (pytest.approx(2.0), 4)
    assert by_way[COMPLETED][1] == by_way[INTENDED][1] == 5
    assert by_way[COMPLETED][0] < 2


def test_a_lost_run_has_no_seed_or_counts_as_a_guess_and_signs_that_differ_are_named(tmp_path: Path) -> None:
    found = analysed(tmp_path, flawed("failed", None))
    ways = found.tables["three_ways"].filter(quantity="mean_gain_nli")
    by_way = {r["analysis"]: (r["estimate"], r["n_seeds"]) for r in ways.iter_rows(named=True)}
    assert by_way[COMPLETED] == (pytest.approx(2.0), 4)
    assert by_way[INTENDED][1] == 5
    assert by_way[INTENDED][0] < by_way[COMPLETED][0]
    assert "slope_nli" in disagreeing(found.tables["three_ways"]) or by_way[INTENDED][0] > 0


def test_a_healthy_sweep_has_one_analysis() -> None:
    frame = made_up.frame(made_up.sweep())
    assert three_ways(frame, Design.of(frame)).is_empty()


def test_tost_is_scipys_two_one_sided_tests() -> None:
    import numpy as np

    values = np.array([0.1, -0.2, 0.3, 0.05, 0.0])
    below, above = tost(values, 0.5)
    assert below == pytest.approx(stats.ttest_1samp(values, -0.5, alternative="greater").pvalue)
    assert above == pytest.approx(stats.ttest_1samp(values, 0.5, alternative="less").pvalue)
    assert tost(np.ones(3), 0.5) == (0.0, 1.0)
