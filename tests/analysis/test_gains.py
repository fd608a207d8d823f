from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests import made_up
from xsweep.analysis.design import Design
from xsweep.analysis.gains import family_gains, intervals, paired_gains


def gains_of(sweep: Any, **how: Any) -> pl.DataFrame:
    frame = made_up.frame(sweep, **how)
    return paired_gains(frame, Design.of(frame))


def values(frame: pl.DataFrame, **where: Any) -> list[float | None]:
    return frame.filter(**where).sort("seed")["gain"].to_list()


def test_gains_are_paired_by_seed_and_keep_english_apart() -> None:
    gains = gains_of(made_up.sweep())
    cell = {"model": "small", "arm": "snli", "target": "xnli"}
    assert values(gains, **cell, languages="others") == pytest.approx([1.75, 2.0, 2.25])
    assert values(gains, **cell, languages="english") == pytest.approx([0.75] * 3)
    assert set(gains["arm"]) == {"snli", "anli", "squad"}
    assert gains["reason"].unique().to_list() == [""]
    assert gains["model"].unique(maintain_order=True).to_list() == ["small", "large"]


def test_all_is_the_mean_over_targets() -> None:
    def scores(model: str, arm: str, target: str, seed: int, language: str) -> float:
        return 50.0 + (0 if arm == "none" else 3.0 if target == "xnli" else 1.0)

    gains = gains_of(made_up.sweep(), scores=scores)
    assert values(gains, model="large", arm="anli", target="all", languages="others") == pytest.approx([2.0] * 3)


def test_languages_weigh_the_same() -> None:
    def scores(model: str, arm: str, target: str, seed: int, language: str) -> float:
        return 50.0 + (0 if arm == "none" else {"de": 4.0, "sw": 1.0, "en": 9.0}[language])

    gains = gains_of(made_up.sweep(), scores=scores)
    assert values(gains, model="small", arm="snli", target="xquad", languages="others") == pytest.approx([2.5] * 3)


@pytest.mark.parametrize(
    ("arm", "reason"), [("snli", "no score"), ("none", "no baseline score")], ids=["treated", "baseline"]
)
def test_a_missing_run_leaves_a_reason_and_no_average(arm: str, reason: str) -> None:
    gains = gains_of(made_up.sweep(), missing=[("small", arm, "xnli", 2)])
    cell = {"model": "small", "arm": "snli", "languages": "others"}
    assert values(gains, **cell, target="xnli") == [pytest.approx(1.75), None, pytest.approx(2.25)]
    assert values(gains, **cell, target="xquad") == pytest.approx([1.75, 2.0, 2.25])
    assert values(gains, **cell, target="all") == [pytest.approx(1.75), None, pytest.approx(2.25)]
    assert gains.filter(**cell, target="xnli", seed=2)["reason"].item() == reason
    assert gains.filter(**cell, target="all", seed=2)["reason"].item() == f"xnli: {reason}"


def test_a_target_that_has_no_score_at_all_is_not_forgotten_by_the_average() -> None:
    cells = [("small", arm, "xquad", seed) for arm in made_up.FAMILIES for seed in (1, 2, 3)]
    gains = gains_of(made_up.sweep(), missing=cells)
    assert values(gains, model="small", arm="snli", target="all", languages="others") == [None] * 3


def test_a_language_without_a_score_leaves_no_mean() -> None:
    def scores(*where: Any) -> float | None:
        return None if where == ("small", "snli", "xnli", 1, "sw") else made_up.score(*where)

    gains = gains_of(made_up.sweep(), scores=scores)
    cell = {"model": "small", "arm": "snli", "target": "xnli"}
    assert values(gains, **cell, languages="others")[0] is None
    assert values(gains, **cell, languages="english")[0] == pytest.approx(0.75)


def test_family_is_the_mean_of_its_arms_and_the_headline_leaves_same_data_out() -> None:
    gains = gains_of(made_up.sweep(), same_data=[("squad", "xquad"), ("snli", "xnli")])
    families = family_gains(gains)

    def of(family: str, target: str, scope: str) -> list[float | None]:
        return values(families, model="small", family=family, target=target, scope=scope, languages="others")

    assert of("nli", "xnli", "headline") == pytest.approx([0.75, 1.0, 1.25])  # anli alone
    assert of("nli", "xnli", "with same-data") == pytest.approx([1.25, 1.5, 1.75])
    assert of("nli", "all", "headline") == pytest.approx([1.25, 1.5, 1.75])  # snli on xquad, anli on both
    assert of("qa", "xquad", "headline") == []
    assert of("qa", "xquad", "with same-data") == pytest.approx([0.25, 0.5, 0.75])
    assert of("qa", "all", "headline") == of("qa", "xnli", "headline")


def test_same_data_is_known_where_no_run_is_scored() -> None:
    cells = [(m, "squad", "xquad", s) for m in ("small", "large") for s in (1, 2, 3)]
    families = family_gains(gains_of(made_up.sweep(), missing=cells, same_data=[("squad", "xquad")]))
    where = {"model": "small", "family": "qa", "target": "all", "scope": "headline", "languages": "others"}
    assert values(families, **where) == pytest.approx([0.25, 0.5, 0.75])


def test_a_family_with_a_missing_arm_has_no_mean_in_that_seed() -> None:
    families = family_gains(gains_of(made_up.sweep(), missing=[("large", "anli", "xnli", 3)]))
    where = {"model": "large", "family": "nli", "target": "xnli", "scope": "headline", "languages": "others"}
    assert values(families, **where)[2] is None
    assert families.filter(**where, seed=3)["reason"].item() == "anli: no score"


def test_degenerate_runs_stay_in_and_are_flagged() -> None:
    cell = ("small", "snli", "xnli", 1)
    gains = gains_of(made_up.sweep(), statuses={("target", cell): "degenerate"})
    row = {"model": "small", "arm": "snli", "languages": "others"}
    assert values(gains, **row, target="xnli")[0] == pytest.approx(1.75)
    flagged = gains.filter("degenerate", languages="others").select("target", "seed").rows()
    assert sorted(flagged) == [("all", 1), ("xnli", 1)]
    assert intervals(gains).filter(**row, target="xnli")["degenerate"].item() == 1


def test_interval_by_hand() -> None:
    spans = intervals(gains_of(made_up.sweep()))
    row = spans.filter(model="small", arm="snli", target="xnli", languages="others").row(0, named=True)
    assert (row["seeds"], row["missing"]) == (3, 0)
    assert row["mean"] == pytest.approx(2.0)
    assert row["sd"] == pytest.approx(0.25)
    half = 4.302652729911275 * 0.25 / math.sqrt(3)  # t(0.975, 2)
    assert (row["low"], row["high"]) == pytest.approx((2 - half, 2 + half))


def test_one_seed_has_a_mean_but_no_interval() -> None:
    spans = intervals(gains_of(made_up.sweep(seeds=(1,))))
    assert spans["mean"].null_count() == 0
    assert spans.select(pl.all_horizontal(pl.col("sd", "low", "high").is_null()).all()).item()


def test_no_seed_left_has_no_mean() -> None:
    cells = [("small", "snli", "xnli", seed) for seed in (1, 2, 3)]
    spans = intervals(gains_of(made_up.sweep(), missing=cells))
    row = spans.filter(model="small", arm="snli", target="xnli", languages="others").row(0, named=True)
    assert (row["seeds"], row["missing"], row["mean"], row["low"]) == (0, 3, None, None)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=12),
    st.floats(0.5, 0.99),
)
def test_interval_agrees_with_scipy(gains: list[float], level: float) -> None:
    frame = pl.DataFrame({"arm": "a", "gain": gains, "degenerate": False})
    row = intervals(frame.with_columns(model=pl.lit("m"), ladder=pl.lit(""), params=pl.lit(1)), level).row(
        0, named=True
    )
    mean, error = float(np.mean(gains)), float(stats.sem(gains))
    assert row["mean"] == pytest.approx(mean, abs=1e-9)
    if error > 1e-9:
        assert (row["low"], row["high"]) == pytest.approx(
            stats.t.interval(level, len(gains) - 1, mean, error), abs=1e-7
        )


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(st.tuples(st.integers(1, 3), st.sampled_from(made_up.LANGUAGES)), st.floats(-20, 20)),
    st.floats(-30, 30),
)
def test_what_both_arms_share_cancels(noise: dict[tuple[int, str], float], shift: float) -> None:
    def scores(model: str, arm: str, target: str, seed: int, language: str) -> float:
        return 50 + noise.get((seed, language), 0.0) + (0.0 if arm == "none" else shift)

    gains = gains_of(made_up.sweep(models=[made_up.SMALL]), scores=scores)
    assert np.allclose(gains["gain"].to_numpy(), shift)


def test_controls_are_paired_like_any_arm_and_averaged_with_none() -> None:
    of = made_up.controlled()
    gains = gains_of(of, scores=made_up.controlled_score)
    for arm, gain in made_up.CONTROLS.items():
        assert set(gains.filter(arm=arm)["gain"]) == {gain}
        assert set(gains.filter(arm=arm)["family"]) == {"control"}
    without = gains_of(made_up.sweep())
    assert family_gains(gains).equals(family_gains(without))
