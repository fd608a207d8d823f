"""Searches that spend less, and searches that are repeated, as the tables count them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.builders import space, sweep
from tests.engine.test_launch import Play, play
from tests.plan.test_resolve import resolver
from tests.plan.test_untrained import both
from tests.report.test_page import report
from xsweep.analysis.design import Design
from xsweep.analysis.evp import evp
from xsweep.analysis.failures import failures
from xsweep.analysis.frame import FRAME, frame_of
from xsweep.analysis.gains import ALL, intervals, paired_gains
from xsweep.analysis.outcomes import BUDGETS, budget_times, budgets, regrets, uneven
from xsweep.engine import searches
from xsweep.models.model import Model
from xsweep.plan.records import collect
from xsweep.plan.transfer import Regret
from xsweep.spec.sweep import Halving, Search, Sweep, Transfer
from xsweep.tracking.frames import scores_from_records

REPEATS, TRIALS, FEW = 3, 9, 2


def thrifty() -> Sweep:
    """Two sizes of a ladder, everything that makes a search cheaper at once, and five seeds over three repeats."""
    models = tuple(Model(name=name, id=f"org/{name}", ladder="steps", params=100) for name in ("small", "large"))
    spaces = space(TRIALS, (9, 9))
    search = Search(
        intermediate=spaces, target=spaces, halving=Halving(), repeats=REPEATS, target_per="baseline",
        transfer=Transfer(trials=FEW, check="large"),
    )  # fmt: skip
    return sweep(models=models, search=search, seeds=(1, 2, 3, 4, 5))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Play:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searches, "run_level", play)
        patch.setattr("os.fsync", lambda _: None)
        return Play(tmp_path_factory.mktemp("thrifty"), thrifty())


def test_budgets_are_those_of_the_plan_over_all_repeats(played: Play) -> None:
    of = played.resolver.plan.sweep
    table = budgets(collect(played.resolver), of)
    assert table.schema == BUDGETS
    asked = {"small": REPEATS * TRIALS, "large": REPEATS * FEW}
    own = table.filter((pl.col("arm") == "none") | (pl.col("stage") == "intermediate"))
    assert own.height == 2 * (2 + 2)
    for row in own.iter_rows(named=True):
        assert row["trials_planned"] == row["trials_done"] == asked[row["model"]]
        # Of nine trials three go on and one to its end; transferred ones are all run to theirs.
        assert row["ok"] == (REPEATS if row["model"] == "small" else REPEATS * FEW)
        assert row["ok"] + row["pruned"] == row["trials_done"]
        assert row["lr"] is None, "repeats chose differently"
        assert (row["epochs"], row["runs_planned"], row["runs_done"]) == (9, 5, 5)
    assert set(table.join(own, ["model", "arm", "stage", "target"], "anti", nulls_equal=True)["trials_planned"]) == {0}
    assert uneven(table) == []


def test_runs_that_are_no_trials_are_counted_by_their_time_alone(played: Play) -> None:
    records = collect(played.resolver)
    times = budget_times(records)
    assert times["stages"].sum() == len({record.key for record in records})
    assert times.filter(role="check").height == 1
    rungs = times.filter(model="small", role="search", stage="target", target="xnli").row(0, named=True)
    assert rungs["stages"] == REPEATS * (9 + 3 + 1)
    best = evp(records).filter(model="small", arm="none", target="xnli")
    assert best["k"].to_list() == list(range(1, REPEATS * TRIALS + 1))


def test_seeds_take_turns_over_repeats(played: Play) -> None:
    of, records = played.resolver.plan.sweep, collect(played.resolver)
    frame = frame_of(of, records, scores_from_records(records))
    assert dict(frame.select("seed", "repeat").unique().iter_rows()) == {1: 0, 2: 1, 3: 2, 4: 0, 5: 1}
    design = Design.of(frame, of)
    assert (design.unit, design.units) == ("repeat", (0, 1, 2))
    counted = failures(frame)
    assert counted.select("ok", "failed", "missing").sum().row(0)[1:] == (0, 2 * 3 * 2 * 5), "no cell twice"
    assert set(paired_gains(frame, design)["seed"]) == {0, 1, 2}


def test_the_model_as_it_comes_is_in_every_repeat(tmp_path: Path) -> None:
    """Of a target that is not trained, one stage of the baseline serves all seeds."""
    search = Search(intermediate=space(), target=space(), repeats=REPEATS)
    at = resolver(tmp_path, both(search=search, seeds=(1, 2, 3, 4, 5)))
    records = collect(at)
    frame = frame_of(at.plan.sweep, records, scores_from_records(records)).filter(arm="none", target="tatoeba")
    assert dict(frame.select("seed", "repeat").iter_rows()) == {1: 0, 2: 1, 3: 2, 4: 0, 5: 1}


def nested(repeats: int, each: int, models: int, search_sd: float, seed_sd: float) -> pl.DataFrame:
    """A FRAME of ``models`` experiments with a gain of 1: a part of each repeat, and one of each of its seeds."""
    drawn = np.random.default_rng(3)
    chosen = drawn.normal(0, search_sd, (models, repeats))
    own = drawn.normal(0, seed_sd, (models, repeats * each))
    rows = [
        {"model": f"m{m:04d}", "ladder": "one", "params": 10**8, "arm": arm, "family": family, "target": "goal",
         "group": "classification", "same_data": False, "repeat": seed % repeats, "seed": seed, "language": "de",
         "metric": "accuracy", "primary": True, "chance": 50.0, "status": "ok",
         "score": 60.0 + (0.0 if arm == "none" else 1.0 + chosen[m, seed % repeats] + own[m, seed])}
        for m in range(models) for seed in range(repeats * each) for arm, family in (("none", "none"), ("a", "nli"))
    ]  # fmt: skip
    frame = pl.DataFrame(rows)
    return frame.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in FRAME.items() if name not in frame.columns
    ).select(pl.col(name).cast(kind) for name, kind in FRAME.items())


def test_the_unit_is_the_mean_of_a_repeats_own_seeds() -> None:
    frame = nested(repeats=3, each=2, models=1, search_sd=1.0, seed_sd=0.5)
    design = Design.of(frame)
    gains = paired_gains(frame, design).filter(target=ALL)
    treated = frame.filter(arm="a").sort("seed")["score"].to_numpy() - 60.0
    assert gains["gain"].to_list() == pytest.approx(list((treated[:3] + treated[3:]) / 2))
    assert gains["reason"].to_list() == [""] * 3, "nothing is missing: no seed is looked for in another's repeat"
    lost = frame.filter(~((pl.col("seed") == 4) & (pl.col("arm") == "a")))
    broken = paired_gains(lost, Design.of(frame)).filter(target=ALL)
    assert broken["gain"].is_null().to_list() == [False, True, False]


def test_intervals_over_nested_repeats_hold_the_search_too() -> None:
    """1,500 experiments: a standard error of .006 about .95. Over seeds the interval would hold far less."""
    frame = nested(repeats=4, each=3, models=1500, search_sd=1.0, seed_sd=0.5)
    design = Design.of(frame)
    by_repeat = intervals(paired_gains(frame, design)).filter(target=ALL)
    assert 0.93 <= _held(by_repeat) <= 0.97
    flat = frame.with_columns(repeat=pl.lit(0, pl.Int64))
    assert _held(intervals(paired_gains(flat, Design.of(flat))).filter(target=ALL)) < 0.85


def _held(found: pl.DataFrame) -> float:
    held = found.select((pl.col("low") <= 1) & (pl.col("high") >= 1)).to_series()
    return float(held.cast(pl.Float64).mean())  # type: ignore[arg-type]  # of numbers


def test_what_transfer_lost_is_a_table_and_a_line(tmp_path: Path, played: Play) -> None:
    found = played.resolver.regret()
    assert found
    row = regrets(found).row(0, named=True)
    assert (row["model"], row["target"]) == ("large", "xnli")
    assert (row["trials_transferred"], row["trials_full"]) == (FEW, TRIALS)
    assert row["regret"] == pytest.approx(row["full"] - row["transferred"])
    assert regrets(None).is_empty()
    page, path = report(tmp_path, regret=Regret("large", "xnli", 70.5, 71.0, (3, 16)))
    assert "a regret of 0.50 points" in page.text
    assert (path.parent / "tables" / "regret.csv").read_text().splitlines()[1] == "large,xnli,70.5,71,0.5,3,16"
