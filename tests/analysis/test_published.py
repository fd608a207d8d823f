"""Published tables, read as scores from elsewhere: their own averages follow, and their exchanged columns are seen."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.analysis.planted import analysed, read
from xsweep.analysis.consistency import ALPHABETICAL, suspects
from xsweep.analysis.tables import BOTH

OFF = 0.1
"""Points: half a unit of the last digit printed, of the average and of what it is made of."""


@pytest.fixture
def reference(shared: Path) -> Path:
    return shared / "design" / "reference"


def shaped(rows: pl.DataFrame, target: str | pl.Expr, language: str, score: str, **more: pl.Expr) -> pl.DataFrame:
    return rows.select(
        "model", params=pl.lit(None, pl.Int64), arm=pl.lit("none"),
        target=pl.lit(target) if isinstance(target, str) else target, language=language, seed=1, score=score, **more,
    )  # fmt: skip


def xnli(reference: Path, setting: str, language: str = "lang_as_printed") -> pl.DataFrame:
    rows = pl.read_csv(reference / "published_xnli_per_language.csv").filter(setting=setting)
    return shaped(rows.filter(pl.col("lang_as_printed") != "avg_printed"), "xnli", language, "value")


def answers(reference: Path, language: str = "lang_as_printed") -> pl.DataFrame:
    rows = pl.read_csv(reference / "published_xquad_mlqa_per_language.csv").filter(pl.col("lang_as_printed") != "avg")
    long = rows.unpivot(["f1", "em"], index=["task", "model", language], variable_name="metric", value_name="score")
    return shaped(long, pl.col("task"), language, "score", metric=pl.col("metric"))


def test_xnli_averages_follow(tmp_path: Path, reference: Path) -> None:
    printed = pl.read_csv(reference / "published_xnli_per_language.csv").filter(lang_as_printed="avg_printed")
    compared, off = 0, []
    for setting in printed["setting"].unique(maintain_order=True):
        means = analysed(tmp_path, xnli(reference, setting)).tables["averages"]
        for model, value in printed.filter(setting=setting).select("model", "value").iter_rows():
            found = means.filter(model=model)["every"].item()
            compared += 1
            off += [(model, setting)] if abs(found - value) > OFF else []
    assert compared == 18
    assert off == [("mT5-XXL", "zero-shot")]  # printed 84.5; its languages give 85.0, as its authors print later


def test_answer_averages_follow(tmp_path: Path, reference: Path) -> None:
    printed = pl.read_csv(reference / "published_xquad_mlqa_per_language.csv").filter(lang_as_printed="avg")
    means = analysed(tmp_path, answers(reference)).tables["averages"]
    compared, off = 0, []
    for line in printed.iter_rows(named=True):
        own = means.filter(model=line["model"], target=line["task"])
        for metric in ("f1", "em"):
            found = own.filter(metric=metric)["every"].item()
            compared += 1
            off += [(line["task"], line["model"], metric)] if abs(found - line[metric]) > OFF else []
        both = own.filter(metric=BOTH)["every"].item()
        assert both == pytest.approx(own.filter(pl.col("metric") != BOTH)["every"].mean())
    assert compared == 24
    assert off == []


def test_the_rows_in_another_order_are_seen_and_put_right_are_not(tmp_path: Path, reference: Path) -> None:
    found = suspects(read(tmp_path, xnli(reference, "zero-shot")))
    assert found.height == 1
    row = found.row(0, named=True)
    assert row["what"] == ALPHABETICAL
    assert row["models"] == "mBERT, mT5-Base, mT5-Large, mT5-XL, mT5-XXL"
    assert row["against"] == "XLM-100 (Wikipedia), XLM-R Base, XLM-R Large, XLM-R XL, XLM-R XXL"
    assert row["as_given"] < 0.7 < 0.9 < row["once_reordered"]
    assert suspects(read(tmp_path, xnli(reference, "zero-shot", "likely_lang"))).is_empty()


def test_the_exchanged_languages_of_mlqa_are_seen(tmp_path: Path, reference: Path) -> None:
    found = suspects(read(tmp_path, answers(reference))).filter(target="mlqa")
    assert found.select("metric", "what", "models").rows() == [
        (metric, "es and ar exchanged", "XLM-R Large") for metric in ("f1", "em")
    ]  # the one row that is right: from the data alone, only that five stand against one can be known
    assert suspects(read(tmp_path, answers(reference, "likely_lang"))).filter(target="mlqa").is_empty()


def test_task_averages_of_the_benchmark_follow(tmp_path: Path, reference: Path) -> None:
    """One value a task and metric stands for all its languages; QA is the mean of exact match and F1."""
    text = pl.read_csv(reference / "published_xtreme_scores.csv", infer_schema=False)
    rows = text.filter(pl.col("source").str.contains("Table 16")).with_columns(value=pl.col("value").cast(pl.Float64))
    tasks = rows.filter(~pl.col("task").str.starts_with("avg"))
    scores = shaped(tasks.with_columns(language=pl.lit("every")), pl.col("task"), "language", "value",
                    metric=pl.col("metric"))  # fmt: skip
    means = analysed(tmp_path, scores).tables["averages"]
    compared = 0
    for model, printed in rows.filter(task="avg_of_7_tasks").select("model", "value").iter_rows():
        own = means.filter(model=model)
        answered = own.filter(metric=BOTH)
        rest = own.filter(~pl.col("target").is_in(answered["target"].to_list()))
        every = [*answered["every"], *rest["every"]]
        assert len(every) == 7
        off = abs(sum(every) / 7 - printed)
        assert (off <= 0.1) != (model == "FILTER")  # whose printed average is not that of its printed columns
        compared += 1
    assert compared == 5
