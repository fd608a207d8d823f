"""Prediction files -> intervals over seeds and test rows: the sums are the formats' own scores; what fails is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests import made_up
from xsweep.analysis.analyse import analyse
from xsweep.analysis.design import Design
from xsweep.analysis.examples import (
    GAINS_EXAMPLES,
    HEADLINE_EXAMPLES,
    Keys,
    drawn_gains,
    gains_examples,
    headline_examples,
)
from xsweep.analysis.frame import frame_of
from xsweep.analysis.predictions import read_parts
from xsweep.report.runs import keys_of
from xsweep.tasks.formats import FORMATS
from xsweep.tracking.frames import scores_from_records

ROWS = 400
COLUMNS = {"xnli": "correct", "xquad": "f1"}


def write(store: Path, scores: pl.DataFrame) -> pl.DataFrame:
    """Predictions of each run whose share of right rows is its score, and the scores that they give."""
    drawn = np.random.default_rng(1)
    order = {target: drawn.permutation(ROWS) for target in COLUMNS}
    found = []
    for line in scores.iter_rows(named=True):
        right = np.zeros(ROWS, np.int8)
        # Which rows are right is nearly the same for all, so that gains scatter less over rows than scores.
        right[np.argsort(order[line["target"]] + drawn.normal(0, 20, ROWS))[: round(line["score"] / 100 * ROWS)]] = 1
        folder = store / line["key"]
        folder.mkdir(parents=True, exist_ok=True)
        table = pl.DataFrame({"id": np.arange(ROWS, dtype=np.int32), COLUMNS[line["target"]]: right})
        table.write_parquet(folder / f"predictions-{line['language']}.parquet")
        found.append(line | {"score": 100 * float(right.mean())})
    return pl.DataFrame(found, scores.schema)


def analysed(
    store: Path, frame: pl.DataFrame, keys: Keys
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, pl.DataFrame]]:
    design = Design.of(frame)
    found = analyse(frame, design)
    drawn = drawn_gains(frame, design, keys, lambda key: store / key, 400)
    tables = found.tables
    gains = gains_examples(drawn, tables["gains"], design)
    return gains, headline_examples(drawn, tables["family_gains"], tables["headline"], design), tables


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame, Keys]:
    store = tmp_path_factory.mktemp("results")
    of = made_up.sweep(seeds=(1, 2, 3, 4))
    records = made_up.records(of)
    scores = scores_from_records(records)
    written = write(store, scores.filter("primary"))
    frame = frame_of(of, records, scores).filter("primary")
    on = ["model", "arm", "target", "seed", "language"]
    frame = frame.drop("score").join(written.select(*on, "score"), on, "left", maintain_order="left")
    return store, frame, keys_of(scores)


def test_every_gain_and_primary_quantity_has_an_interval_around_its_estimate(
    sweep: tuple[Path, pl.DataFrame, Keys],
) -> None:
    gains, headline, tables = analysed(*sweep)
    assert (gains.schema, headline.schema) == (GAINS_EXAMPLES, HEADLINE_EXAMPLES)
    on = ["model", "arm", "target"]
    assert gains.select(*on, "estimate", "low").equals(tables["gains"].select(*on, "estimate", "low"))
    assert (gains["reason"] == "").all()
    assert gains.filter(pl.col("low_examples") < pl.col("estimate"), pl.col("estimate") < pl.col("high_bca")).height
    assert (gains["low_examples"] < gains["high_examples"]).all()
    assert set(gains["n_examples"]) == {ROWS, 2 * ROWS}
    known = headline.filter(pl.col("estimate").is_not_null())
    assert known["quantity"].to_list() == [
        "mean_gain_nli", "mean_gain_qa", "mean_gain_difference", "slope_nli", "slope_qa", "slope_difference"
    ]  # fmt: skip
    assert (known["low_examples"] <= known["estimate"]).all()
    assert (known["estimate"] <= known["high_examples"]).all()
    assert headline.filter(quantity="beyond_1b_nli")["reason"].item() != ""
    again = analysed(*sweep)
    assert again[0].equals(gains)
    assert again[1].equals(headline)


def test_what_cannot_be_used_is_said(sweep: tuple[Path, pl.DataFrame, Keys], tmp_path: Path) -> None:
    store, frame, keys = sweep
    cell = ("small", "snli", "xnli", 2)
    without = {where: key for where, key in keys.items() if where != cell}
    gains, headline, _ = analysed(store, frame, without)
    lost = gains.filter(pl.col("reason") != "")
    assert set(lost.select("model", "arm", "target").rows()) == {("small", "snli", "xnli"), ("small", "snli", "all")}
    assert set(lost["reason"]) == {"runs without predictions"}
    assert lost["low_examples"].null_count() == lost.height
    assert headline.filter(quantity="slope_nli")["low_examples"].item() is None
    other = pl.when(model="small", arm="snli", target="xnli", seed=2).then(pl.col("score") + 1).otherwise("score")
    gains, _, _ = analysed(store, frame.with_columns(score=other), keys)
    assert set(gains["reason"]) == {"", "the predictions of a run do not give its score"}
    gains, _, _ = analysed(tmp_path, frame, keys)
    assert set(gains["reason"]) == {"the predictions of a run cannot be read"}


def test_one_seed_has_no_interval_here_either(sweep: tuple[Path, pl.DataFrame, Keys]) -> None:
    store, frame, keys = sweep
    gains, _, _ = analysed(store, frame.filter(seed=1), keys)
    assert gains["low_examples"].null_count() == gains.height
    assert gains["reason"].str.starts_with("one seed").all()


@pytest.mark.parametrize(
    ("form", "metric", "columns"),
    [
        ("pair", "accuracy", {"correct": [1, 0, 1]}),
        ("span", "f1", {"exact_match": [0, 1, 0], "f1": [0.5, 1.0, 0.2]}),
        ("span", "exact_match", {"exact_match": [0, 1, 0], "f1": [0.5, 1.0, 0.2]}),
        ("tag", "f1", {"words": [3, 2, 5], "correct": [2, 2, 4], "tp": [1, 0, 2], "fp": [1, 0, 0], "fn": [0, 1, 1]}),
        ("tag", "accuracy", {"words": [3, 2, 5], "correct": [2, 2, 4]}),
        ("retrieval", "accuracy", {"correct": [1, 1, 0]}),
        ("retrieval", "f1", {"correct": [1, 1, 0], "kept": [1, 0, 1], "gold": [1, 1, 1]}),
        ("retrieval", "map20", {"average_precision": [0.5, 1.0, 0.0]}),
    ],
)
def test_the_sums_over_rows_are_the_formats_own_score(
    tmp_path: Path, form: str, metric: str, columns: dict[str, list[float]]
) -> None:
    table = pl.DataFrame({"id": [2, 0, 1], **columns})
    table.write_parquet(tmp_path / "predictions.parquet")
    found = read_parts(tmp_path / "predictions.parquet", metric)
    assert found is not None
    assert found.ids.tolist() == [0, 1, 2]
    assert found.score == pytest.approx(FORMATS[form].score(table.to_arrow())[metric], abs=1e-4)
