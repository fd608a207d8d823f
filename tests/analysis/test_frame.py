from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from tests import made_up
from xsweep.analysis.design import Design
from xsweep.analysis.frame import FRAME, chance_of, frame_of, group_of
from xsweep.analysis.gains import paired_gains
from xsweep.analysis.outcomes import holes_of_file
from xsweep.tasks.benchmarks import BENCHMARKS
from xsweep.tasks.catalog import CATALOG
from xsweep.tracking.frames import scores_from_records


def test_a_sweep_has_a_row_for_each_score_that_there_should_be() -> None:
    sweep = made_up.sweep()
    failed = {("evaluate", ("small", "snli", "xnli", 1)): "failed"}
    frame = made_up.frame(sweep, missing=[("large", "anli", "xquad", 3)], statuses=failed)
    assert frame.schema == FRAME
    assert frame.height == 2 * 4 * 2 * 3 * 3
    lost = frame.filter(pl.col("score").is_null())
    assert lost.group_by("arm", "status", maintain_order=True).len().sort("arm").rows() == [
        ("anli", "missing", 3), ("snli", "failed", 3)
    ]  # fmt: skip
    assert frame["status"].unique().sort().to_list() == ["failed", "missing", "ok"]


def test_a_file_of_a_sweeps_frame_has_the_sweeps_holes() -> None:
    frame = made_up.frame(made_up.sweep(), missing=[("large", "anli", "xquad", 3)])
    design = Design.of(frame)
    holes = holes_of_file(frame, design)
    assert holes.select("model", "arm", "target", "seed", "status").rows() == [("large", "anli", "xquad", 3, "not run")]
    fewer = frame.filter(~((pl.col("arm") == "snli") & (pl.col("language") == "de") & (pl.col("seed") == 1)))
    assert set(holes_of_file(fewer, design).filter(arm="snli")["reason"]) == {"no score in de"}


def test_other_metrics_are_kept_beside_the_one_that_counts() -> None:
    sweep = made_up.sweep()
    records = made_up.records(sweep)
    scores = scores_from_records(records)
    second = scores.with_columns(metric=pl.lit("other"), primary=pl.lit(False), score=pl.lit(1.0))
    frame = frame_of(sweep, records, pl.concat([scores, second]))
    assert frame.filter("primary")["score"].to_list() == frame_of(sweep, records, scores)["score"].to_list()
    assert frame.filter(~pl.col("primary"))["score"].to_list() == [1.0] * scores.height


@pytest.mark.parametrize(
    ("task", "chance"), [("xnli", 100 / 3), ("pawsx", 50.0), ("xcopa", 50.0), ("xquad", 0.0), ("tatoeba", 0.0)]
)
def test_chance(task: str, chance: float) -> None:
    assert chance_of(CATALOG[task]) == pytest.approx(chance)


def test_groups_are_the_benchmarks() -> None:
    for entries in BENCHMARKS.values():
        for entry in entries:
            assert group_of(CATALOG[entry.task]) == entry.group
    assert group_of(CATALOG["squad_v1"]) == "question answering"


def test_the_design_knows_what_its_arms_are_trained_on() -> None:
    sweep = made_up.sweep()
    frame = made_up.frame(sweep)
    assert Design.of(frame, sweep).sources["snli"] == frozenset({"made-up/snli"})
    assert Design.of(frame).sources["squad"] == frozenset({"squad"})


def test_seeds_that_take_turns_with_the_searches_are_averaged_inside_each() -> None:
    sweep = made_up.sweep(seeds=(1, 2, 3, 4, 5, 6))
    records = [replace(r, repeat=(r.seed - 1) % 3 if r.seed else 0) for r in made_up.records(sweep)]
    frame = frame_of(sweep, records, scores_from_records(records))
    assert frame.select("seed", "repeat").unique().sort("seed").rows() == [
        (1, 0),
        (2, 1),
        (3, 2),
        (4, 0),
        (5, 1),
        (6, 2),
    ]
    design = Design.of(frame)
    assert (design.unit, design.repeats, design.covers) == ("repeat", (0, 1, 2), "training and search")
    gains = paired_gains(frame, design).filter(arm="squad", model="small", target="xquad", languages="others")
    assert gains["seed"].to_list() == [0, 1, 2]
    assert gains["gain"].to_list() == pytest.approx([0.5 + 0.25 * (seed - 2) for seed in (2.5, 3.5, 4.5)])
    two = Design.of(frame.filter(pl.col("repeat") < 2))
    assert two.unit == "seed"
    again = paired_gains(frame.filter(pl.col("repeat") < 2), two)
    assert again.filter(target="all", languages="others", model="small", arm="squad")["gain"].null_count() == 0
