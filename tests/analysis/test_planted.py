"""What was put into a table of scores is what comes out of its analysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.analysis.planted import SIZES, analysed, read, row, table
from xsweep.analysis.design import Design
from xsweep.analysis.equivalence import GAIN, LOSS, NOTHING, OPEN
from xsweep.analysis.headline import HEADLINE_TABLE, PRIMARY
from xsweep.analysis.slopes import BETWEEN, BY_TASK, PER_SEED

QUANTITIES = [
    "mean_gain_nli", "mean_gain_qa", "mean_gain_difference", "slope_nli", "slope_qa", "slope_difference",
    "beyond_1b_nli", "beyond_1b_qa",
]  # fmt: skip


def linear(family: str, scale: float) -> float:
    return 2 - scale if family == "nli" else 1 + 0.5 * scale


def test_exact_gains_come_back_exactly(tmp_path: Path) -> None:
    found = analysed(tmp_path, table(linear))
    top = found.tables["headline"]
    assert top.schema == HEADLINE_TABLE
    assert top["quantity"].to_list() == QUANTITIES
    scales = np.log10(SIZES) - 9
    beyond = scales[3:].mean() - scales[:3].mean()
    middle = scales.mean()
    wanted = [2 - middle, 1 + middle / 2, -1 + 1.5 * middle, -1, 0.5, 1.5, -beyond, beyond / 2]
    assert top["estimate"].to_list() == pytest.approx(wanted)
    assert top["low"].to_list() == pytest.approx(wanted)
    assert set(top["df"]) == {4.0}
    assert set(top["p_sign_flip"]) == {2 / 2**5}
    assert [name for name, p in top.select("quantity", "p_holm").iter_rows() if p is not None] == [
        name for name in QUANTITIES if name in PRIMARY
    ]
    assert top.select("n_seeds", "n_sizes").unique().rows() == [(5, 5)]


def test_noisy_gains_are_inside_their_intervals_and_every_method_agrees(tmp_path: Path) -> None:
    found = analysed(tmp_path, table(linear, seeds=8, noise=0.3))
    top = row(found.tables["headline"], quantity="slope_difference")
    assert top["low"] < 1.5 < top["high"]
    assert top["p"] < 0.001
    slopes = found.tables["slopes"].filter(family=BETWEEN, target="all", scale="points")
    per_seed = row(slopes, method=PER_SEED)
    assert (per_seed["estimate"], per_seed["q"]) == (pytest.approx(top["estimate"]), None)
    # In a balanced grid the interaction of the pooled model is the mean of the seeds' slopes.
    for method in ("pooled least squares", "pooled, HC3"):
        assert row(slopes, method=method)["estimate"] == pytest.approx(top["estimate"])
    assert row(slopes, method="pooled least squares")["df"] == 6
    assert abs(row(slopes, method="weighted by seeds' spread")["estimate"] - 1.5) < 0.3
    assert row(slopes, method="lack of fit (Q)")["p"] > 0.01
    tasks = row(slopes, method=BY_TASK)
    assert (tasks["estimate"], tasks["p"]) == (
        pytest.approx(top["estimate"]),
        1.0,
    )  # one task a side: nothing to exchange
    least, most = (row(slopes, method=f"{end} without one size")["estimate"] for end in ("least", "most"))
    assert least <= top["estimate"] <= most
    assert abs(row(slopes, method="Theil-Sen")["estimate"] - 1.5) < 0.4


def test_a_hinge_is_found_and_a_line_has_none(tmp_path: Path) -> None:
    def bent(family: str, scale: float) -> float:
        return 3 + 0.2 * scale - 2 * max(0.0, scale) if family == "nli" else 1 + scale

    slopes = analysed(tmp_path, table(bent, noise=0.1)).tables["slopes"].filter(target="all", scale="points")
    change = row(slopes, family="nli", method="hinge: change of slope at 1B")
    assert change["low"] < -2 < change["high"] < 0
    above = row(slopes, family="nli", method="hinge: slope above 1B")
    assert above["low"] < -1.8 < above["high"]
    means = row(slopes, family="nli", method="hinge: change of slope, of the means")
    assert (means["estimate"], means["df"]) == (pytest.approx(change["estimate"]), 2)
    assert means["p"] < 0.05
    assert row(slopes, family="nli", method="hinge: AICc less that of a line")["reason"] == "needs 6 sizes"
    straight = row(slopes, family="qa", method="hinge: change of slope at 1B")
    assert straight["low"] < 0 < straight["high"]


def test_a_hinge_with_one_size_beyond_is_refused(tmp_path: Path) -> None:
    slopes = analysed(tmp_path, table(linear, sizes=SIZES[:4])).tables["slopes"]
    assert row(slopes, family="nli", method="hinge: slope above 1B", target="all")["reason"] == (
        "needs two sizes on each side of 1B"
    )


@pytest.mark.parametrize(
    ("size", "noise", "verdict"),
    [(0.05, 0.05, NOTHING), (2.0, 0.1, GAIN), (-2.0, 0.1, LOSS), (0.0, 1.0, OPEN)],
    ids=["none", "gain", "loss", "unclear"],
)
def test_no_gain_beyond_a_billion_is_shown_and_not_inferred_from_p(
    tmp_path: Path, size: float, noise: float, verdict: str
) -> None:
    found = analysed(tmp_path, table(lambda family, scale: size, noise=noise))
    assert row(found.tables["equivalence"], quantity="gain_beyond_1b_nli")["verdict"] == verdict


def test_one_seed_has_estimates_and_says_why_there_is_no_band(tmp_path: Path) -> None:
    tables = analysed(tmp_path, table(linear, seeds=1)).tables
    top = tables["headline"]
    assert top["estimate"].null_count() == 0
    assert top.select(pl.all_horizontal(pl.col("low", "high", "df", "p", "p_sign_flip").is_null()).all()).item()
    assert set(top["reason"]) == {"one seed: there is no spread to see, so no interval"}
    assert set(tables["gains"]["low"]) == {None}
    assert set(tables["claims"]["verdict"]) == {"not resolvable with this data"}


def test_what_the_data_cannot_give_is_there_with_a_reason(tmp_path: Path) -> None:
    one = row(analysed(tmp_path, table(linear, sizes=SIZES[:1])).tables["headline"], quantity="slope_nli")
    assert (one["estimate"], one["reason"]) == (None, "no ladder has two sizes")
    small = row(analysed(tmp_path, table(linear, sizes=SIZES[:3])).tables["headline"], quantity="beyond_1b_qa")
    assert small["reason"] == "no ladder has sizes both up to 1B and above it"
    alone = table(linear).filter(pl.col("arm") != "questions")
    tables = analysed(tmp_path, alone).tables
    reasons = dict(tables["headline"].select("quantity", "reason").iter_rows())
    assert reasons["slope_qa"] == reasons["slope_difference"] == "no arm is of the family qa"
    assert reasons["slope_nli"] == ""
    base = analysed(tmp_path, table(linear).filter(arm="none")).tables
    assert base["gains"].height == 0
    assert base["headline"]["estimate"].null_count() == len(QUANTITIES)


def test_sizes_of_two_ladders_make_no_slope_between_them(tmp_path: Path) -> None:
    """Two ladders, each flat, one above the other: a pooled line would rise."""
    far = SIZES[3:]

    def stepped(family: str, scale: float) -> float:
        return 4.0 if scale > 0.2 else 1.0

    def ladder(size: int) -> str:
        return "upper" if size in far else "lower"

    top = analysed(tmp_path, table(stepped, ladder=ladder)).tables["headline"]
    assert row(top, quantity="slope_nli")["estimate"] == pytest.approx(0, abs=1e-9)
    assert row(top, quantity="beyond_1b_nli")["reason"].startswith("no ladder has sizes both")
    each = analysed(tmp_path, table(stepped, ladder=str)).tables["headline"]
    assert row(each, quantity="slope_nli")["reason"] == "no ladder has two sizes"
    pooled = analysed(tmp_path, table(stepped)).tables["headline"]
    assert row(pooled, quantity="slope_nli")["estimate"] > 1


def test_groups_weigh_the_same_whatever_the_number_of_their_tasks(tmp_path: Path) -> None:
    scores = table(lambda family, scale: 0.0, sizes=SIZES[:1], targets=("a", "b", "c"))
    treated = (pl.col("arm") != "none") & (pl.col("target") == "c")
    scores = scores.with_columns(
        score=pl.col("score") + pl.when(treated).then(6.0).otherwise(0.0),
        group=pl.when(target="c").then(pl.lit("retrieval")).otherwise("group"),
    )
    gains = analysed(tmp_path, scores).tables["gains"]
    assert row(gains, arm="inference", target="all")["estimate"] == pytest.approx(3.0)


def test_three_repeats_of_the_search_are_the_unit(tmp_path: Path) -> None:
    def noisy(repeats: int) -> pl.DataFrame:
        parts = [
            table(lambda family, scale: 1.0, sizes=SIZES[:2], seeds=2).with_columns(
                repeat=pl.lit(by), score=pl.col("score") + pl.when(arm="none").then(0).otherwise(by)
            )
            for by in range(repeats)
        ]
        return pl.concat(parts)

    three = read(tmp_path, noisy(3))
    assert (Design.of(three).unit, Design.of(three).covers) == ("repeat", "training and search")
    found = row(analysed(tmp_path, noisy(3)).tables["headline"], quantity="mean_gain_nli")
    assert (found["estimate"], found["n_seeds"]) == (pytest.approx(2.0), 3)
    assert found["high"] - found["estimate"] == pytest.approx(4.302652729911275 / 3**0.5)
    two = row(analysed(tmp_path, noisy(2)).tables["headline"], quantity="mean_gain_nli")
    assert (two["estimate"], two["n_seeds"]) == (pytest.approx(1.5), 2)
    assert two["covers"] == "training, given the chosen hyperparameters"


def test_near_the_ceiling_the_scales_disagree_and_it_is_said(tmp_path: Path) -> None:
    from xsweep.analysis.slopes import scale_dependent

    def shrinking(family: str, scale: float) -> float:
        return 4 - 0.5 * scale

    scores = table(shrinking).with_columns(
        score=pl.when(arm="none").then(86 + 5 * (pl.col("params").log10() - 9)).otherwise(
            90 + 4.5 * (pl.col("params").log10() - 9)
        )
    )  # fmt: skip
    slopes = analysed(tmp_path, scores).tables["slopes"]
    assert row(slopes, family="nli", scale="points", method=PER_SEED, target="all")["estimate"] == pytest.approx(-0.5)
    assert row(slopes, family="nli", scale="logit", method=PER_SEED, target="all")["estimate"] > 0
    assert "nli" in scale_dependent(slopes)
    assert scale_dependent(analysed(tmp_path, table(linear)).tables["slopes"]) == []


def test_two_languages_and_one_target_are_enough(tmp_path: Path) -> None:
    found = analysed(tmp_path, table(linear, languages=("de", "sw"), noise=0.2)).tables
    assert found["headline"]["estimate"].null_count() == 0
    general = found["gains_all_languages"]
    assert general.columns[:9] == ["model", "params", "arm", "family", "target", "estimate", "low", "high", "n_seeds"]
    assert set(general["target"]) == {"all", "goal"}
    assert general["low_languages"].null_count() == 0


def test_slopes_of_language_families_are_recovered_apart(tmp_path: Path) -> None:
    """Swahili gains a point per decade more than German and Dutch; a language in no family is in none."""
    scores = table(linear, languages=("en", "de", "nl", "sw", "xx"))
    more = pl.when((pl.col("language") == "sw") & (pl.col("family") == "nli")).then(pl.col("params").log10() - 9)
    scores = scores.with_columns(score=pl.col("score") + more.otherwise(0.0))
    slopes = analysed(tmp_path, scores).tables["slopes"].filter(method="per-seed slopes", scale="points", family="nli")
    found = dict(slopes.filter(pl.col("target").str.ends_with("languages")).select("target", "estimate").iter_rows())
    assert set(found) == {"Germanic languages", "Niger-Congo languages"}
    assert found["Niger-Congo languages"] - found["Germanic languages"] == pytest.approx(1.0)
    assert row(slopes, target="all")["estimate"] == pytest.approx(found["Germanic languages"] + 0.25)
