"""The figures beside the curve: their points, their words, and the bytes of their files."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import polars as pl
import pytest

from tests import made_up
from xsweep.analysis.analyse import Analysis, analyse
from xsweep.analysis.design import Design
from xsweep.analysis.evp import evp
from xsweep.report import findings
from xsweep.report.figures import marked
from xsweep.report.gallery import Plate, plates, write_plate
from xsweep.report.points import (
    BUDGET,
    ENDS,
    FOREST,
    GAP,
    HEAT,
    LEVELS,
    budget_points,
    end_points,
    forest_points,
    gap_points,
    group_points,
    heat_points,
    level_points,
    scale_points,
)


@pytest.fixture(scope="module")
def found() -> Analysis:
    sweep = made_up.sweep()
    ended = {("evaluate", ("small", "anli", "xnli", 1)): "failed"}
    frame = made_up.frame(sweep, same_data=[("squad", "xquad")], statuses=ended)
    return analyse(frame, Design.of(frame, sweep))


@pytest.fixture(scope="module")
def made(found: Analysis) -> list[Plate]:
    tables = {**found.tables, "evp": evp(made_up.records(made_up.sweep()))}
    return plates(found, tables, "The finding.")


def test_points_are_the_tables_own(found: Analysis) -> None:
    heat = heat_points(found.tables["gains"], found.design)
    assert heat.schema == HEAT
    assert heat.filter(panel="large", arm="snli", target="xquad")["gain"].item() == pytest.approx(2.0)
    assert heat.filter("same_data").select("arm", "target").unique().rows() == [("squad", "xquad")]
    slopes = forest_points(found.tables["slopes"])
    assert slopes.schema == FOREST
    assert set(slopes["family"]) <= {"nli", "qa", "qa - nli"}
    levels = level_points(found)
    assert levels.schema == LEVELS
    base = levels.filter(panel="xnli", series="none", model="large").row(0, named=True)
    assert (base["score"], base["seeds"]) == (pytest.approx(62.0), 3)  # (65 + 55) / 2 and the mean seed
    assert levels.filter(panel="xquad", series="qa").is_empty()  # same data
    ends = end_points(found.tables["failures"])
    assert ends.schema == ENDS
    assert ends["runs"].sum() == 48
    assert ends.filter(status="failed", panel="small", arm="anli")["runs"].item() == 1


def test_the_gap_is_english_minus_others_seed_by_seed(found: Analysis) -> None:
    gap = gap_points(found.tables["family_gains"]).filter(panel=GAP, family="qa", model="large")
    seeds = gap.filter(pl.col("seed").is_not_null()).sort("seed")["gain"].to_list()
    assert seeds == pytest.approx([0.75 - 0.5 - 0.25 * (seed - 2) for seed in (1, 2, 3)])
    assert gap.filter(pl.col("seed").is_null())["gain"].item() == pytest.approx(0.25)


def test_groups_and_scales_have_panels_of_their_own(found: Analysis) -> None:
    assert set(group_points(found)["panel"]) == {"classification", "question answering"}
    scales = scale_points(found)
    assert set(scales["panel"]) == {"logit", "error reduction"}
    one = scales.filter(panel="error reduction", family="qa", model="large", seed=2)["gain"].item()
    assert one == pytest.approx((100 * 0.5 / 33 + 100 * 0.5 / 43) / 2)


def test_budgets_are_compared_where_all_arms_have_them() -> None:
    sweep = made_up.sweep()
    records = [r for r in made_up.records(sweep) if not (r.arm == "squad" and r.trial == 1)]
    frame = made_up.frame(sweep)
    drawn = budget_points(evp(records), Design.of(frame))
    assert drawn.schema == BUDGET
    assert set(drawn["equal"]) == {1}
    assert drawn.filter(arm="none", panel="small")["k"].to_list() == [1, 2]
    assert "At large with 1 trial each, expected best score on held-out rows: none 61.0" in findings.budget(drawn)


def test_every_figure_says_what_it_shows_and_repeats_its_bytes(tmp_path: Path, made: list[Plate]) -> None:
    assert len(made) == 10
    for plate in made[5:7]:
        assert plate.finding.endswith(".")
        assert plate.caption
        for folder in ("a", "b"):
            write_plate(tmp_path / folder, plate)
        for kind in ("svg", "png", "pdf", "csv", "parquet"):
            name = f"{plate.name}.{kind}"
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
        root = ElementTree.parse(tmp_path / "a" / f"{plate.name}.svg").getroot()
        assert root.findtext("{http://www.w3.org/2000/svg}desc") == plate.finding
        drawn = pl.read_parquet(tmp_path / "a" / f"{plate.name}.parquet")
        assert drawn.height == plate.points.height


def test_marks_are_where_the_points_are(made: list[Plate]) -> None:
    points = made[0].points
    figure, marks = marked(points, ["all"], 7.4, 3.9)
    assert len(marks) == points.height
    wide, high = figure.get_size_inches() * 72
    assert all(0 < mark.x < wide and 0 < mark.y < high for mark in marks)
    means = {(m.model, m.family): m for m in marks if m.seed is None}
    assert means["small", "nli"].x < means["large", "nli"].x
    assert means["large", "nli"].y < means["large", "qa"].y  # higher gains are higher up


def test_nothing_scored_draws_nothing_that_misleads() -> None:
    sweep = made_up.sweep()
    cells = [(m.name, arm, t.name, s) for m in sweep.models for arm in made_up.FAMILIES for t in sweep.targets
             for s in sweep.seeds]  # fmt: skip
    frame = made_up.frame(sweep, missing=cells)
    bare = analyse(frame, Design.of(frame, sweep))
    left = plates(bare, bare.tables, "There is no estimate yet.")
    assert {plate.name for plate in left} == {"gain_heat_map", "run_outcomes"}
    assert left[0].finding == findings.NOTHING
    for plate in left:
        plate.wide()
