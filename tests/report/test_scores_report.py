"""``xsweep report --scores``: the same page and tables from scores that were computed elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from tests.analysis.planted import table
from tests.report.test_page import Page
from tests.report.test_page import report as sweep_report
from xsweep.cli import app
from xsweep.errors import UsageError
from xsweep.report.latex import CAPTIONS

NAMED = ("headline", "gains", "gains_all_languages", "slopes", "budgets", "failures", "claims", "data", "environment")


def linear(family: str, scale: float) -> float:
    return 2 - scale if family == "nli" else 1 + 0.5 * scale


def report(folder: Path, scores: pl.DataFrame, out: str = "out") -> Page:
    scores.write_csv(folder / "scores.csv")
    words = ["report", "--scores", str(folder / "scores.csv"), "--out", str(folder / out)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return Page((folder / out / "report.html").read_text("utf-8"))


def test_a_file_of_scores_becomes_a_page_and_every_table(tmp_path: Path) -> None:
    page = report(tmp_path, table(linear, noise=0.2))
    assert "With size, the gain from questions differs from that from inference" in page.text
    assert "With so few tasks a side this speaks of those tasks, not of families." in page.text
    for heading in ("The primary quantities", "Gain against size, looked at in every declared way", "Published claims"):
        assert heading in page.text
    tables = tmp_path / "out" / "tables"
    for name in NAMED:
        assert {f.suffix for f in tables.glob(f"{name}.*")} == {".csv", ".parquet", ".tex"}
    assert pl.read_csv(tables / "headline.csv").columns[:11] == [
        "quantity", "estimate", "low", "high", "df", "p", "p_sign_flip", "p_holm", "n_seeds", "n_sizes", "reason",
    ]  # fmt: skip
    gains = pl.read_csv(tables / "gains.csv")
    assert gains.columns[:9] == ["model", "params", "arm", "family", "target", "estimate", "low", "high", "n_seeds"]
    assert gains.height == 5 * 2 * 2


def test_scores_that_look_like_fractions_are_said(tmp_path: Path) -> None:
    for share, said in ((1.0, ""), (0.01, "no score is above 1; they are taken as points, from 0 to 100\n")):
        file = tmp_path / "scores.csv"
        table(linear, seeds=2).with_columns(score=pl.col("score") * share).write_csv(file)
        done = CliRunner().invoke(app, ["report", "--scores", str(file), "--out", str(tmp_path / "out")])
        assert (done.exit_code, done.stderr) == (0, f"{file}: {said}" if said else "")


def test_twice_is_the_same_bytes(tmp_path: Path) -> None:
    scores = table(linear, noise=0.2)
    report(tmp_path, scores)
    first = {f.relative_to(tmp_path): f.read_bytes() for f in (tmp_path / "out").rglob("*") if f.is_file()}
    report(tmp_path, scores.sample(fraction=1.0, shuffle=False))
    assert first == {f.relative_to(tmp_path): f.read_bytes() for f in (tmp_path / "out").rglob("*") if f.is_file()}
    assert len(first) > 40


def test_an_answer_names_the_unit_of_its_interval(tmp_path: Path) -> None:
    scores = table(linear, seeds=5, noise=0.2)
    tiles = r"[−+][\d.]+ to [−+][\d.]+, {}"
    seeds = report(tmp_path, scores).text
    assert len(re.findall(tiles.format("5 seeds"), seeds)) >= 4, "two tiles and two clauses of the answer"
    assert "repeats of the search" not in seeds
    repeats = report(tmp_path, scores.with_columns(repeat=pl.col("seed") % 3), "repeats").text
    assert len(re.findall(tiles.format("3 repeats of the search"), repeats)) >= 4
    assert "5 seeds" not in repeats.partition("Primary quantities")[0]


def test_one_seed_says_that_there_is_no_band(tmp_path: Path) -> None:
    page = report(tmp_path, table(linear, seeds=1))
    assert "There is one seed, so there is no spread to see: no interval, no band and no test anywhere." in page.text
    assert "one seed: there is no spread to see, so no interval" in page.text


def test_the_baseline_alone_has_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    page = report(tmp_path, table(linear).filter(arm="none"))
    assert "cannot be said: no arm is of the family qa" in page.text


def test_unequal_budgets_and_lost_runs_are_said_first(tmp_path: Path) -> None:
    hit = (pl.col("arm") == "inference") & (pl.col("seed") == 1)
    scores = table(linear).with_columns(
        trials=pl.when(arm="none").then(4).otherwise(8),
        gpu_hours=pl.lit(0.5),
        chance=pl.lit(33.0),
        status=pl.when(hit).then(pl.lit("failed")).otherwise(pl.lit("ok")),
        score=pl.when(hit).then(None).otherwise(pl.col("score")),
    )
    page = report(tmp_path, scores)
    assert "Budgets are not equal: m100000000 / inference / goal" in page.text
    assert "Runs that ended badly" in page.text
    assert "5 cells of 75 have no score" in page.text
    spent = pl.read_csv(tmp_path / "out" / "tables" / "budgets.csv").filter(arm="none", model="m100000000")
    assert (spent["gpu_hours"].item(), spent["trials_done"].item()) == (2.5, 4)


def test_a_sweeps_own_scores_give_the_sweeps_own_numbers(tmp_path: Path) -> None:
    sweep_report(tmp_path / "sweep", missing=[("small", "anli", "xnli", 2)], same_data=[("squad", "xquad")])
    tables = tmp_path / "sweep" / "tables"
    report(tmp_path, pl.read_csv(tables / "scores.csv", infer_schema=False))
    for name in ("headline", "gains", "gains_all_languages", "slopes", "failures", "holes"):
        wanted, found = (pl.read_csv(folder / f"{name}.csv") for folder in (tables, tmp_path / "out" / "tables"))
        if name == "slopes":  # the catalogue knows the chance of its own xnli, and not that of the made-up one
            found = found.filter(pl.col("scale") != "chance-corrected")
            found, wanted = found.drop("q"), wanted.drop("q")
        assert_frame_equal(found, wanted, abs_tol=2e-6)


def test_report_takes_a_sweep_or_scores(tmp_path: Path) -> None:
    for words in ([], ["--scores", "a.csv"], ["s.yaml", "--scores", "a.csv", "--out", "b"], ["s.yaml", "--out", "b"]):
        with pytest.raises(UsageError, match="report takes a SWEEP, or else --scores FILE and --out DIR"):
            CliRunner().invoke(app, ["report", *words], catch_exceptions=False)


def test_latex_is_escaped_and_whole(tmp_path: Path) -> None:
    report(tmp_path, table(linear, noise=0.2, targets=("a_b&c",)))
    for name in CAPTIONS:
        text = (tmp_path / "out" / "tables" / f"{name}.tex").read_text("utf-8")
        assert text.count("{") == text.count("}")
        assert text.count(r"\begin{") == text.count(r"\end{") == 2
        assert "|" not in text.split(r"\toprule")[0].split("tabular}")[1]
        rows = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
        heads = text.split(r"\toprule")[1].split(r"\midrule")[0]
        for line in rows:
            assert line.replace(r"\&", "").count("&") == heads.count("&")
    gains = (tmp_path / "out" / "tables" / "gains.tex").read_text("utf-8")
    assert r"a\_b\&c" in gains
    assert r"\mathbf{" in gains
