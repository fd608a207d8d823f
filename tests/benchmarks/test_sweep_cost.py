"""The benchmark of a whole sweep's cost, without Ray: its grids are what they are said to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.sweep_cost import LEVERS, SIZES, lines, simulate, write_grid
from xsweep.plan.cells import build_plan
from xsweep.plan.cost import estimate
from xsweep.spec.load import load_sweep


def test_the_large_grid_has_the_trainings_that_its_arithmetic_says() -> None:
    found = lines([0.25] * len(SIZES), **LEVERS)
    # 9 trained targets of 12 arms, 11 of them with an intermediate; 16 trials and 3 seeds.
    each = 16 + 3
    assert found[0].trainings == len(SIZES) * each * (11 * 10 + 12 * 9)
    assert found[1].trainings == len(SIZES) * each * (11 + 12 * 9)
    hours = [line.hours for line in found]
    assert hours == sorted(hours, reverse=True)
    halves = lines([0.125] * len(SIZES), **LEVERS)
    assert halves[-1].hours == pytest.approx(2 * hours[-1])


def test_the_simulation_prints_a_line_for_each_lever(capsys: pytest.CaptureFixture[str]) -> None:
    told = simulate(None, [2.0] * len(SIZES))
    assert told[0].hours == pytest.approx(2 * told[1].hours)
    said = capsys.readouterr().out
    assert all(line.lever in said for line in told)
    assert "assumed, not measured" in said


def test_the_small_grid_is_the_same_by_hand(tmp_path: Path) -> None:
    from tests.benchmarks.by_hand import Grid

    sweep = load_sweep(write_grid(tmp_path))
    runs = {line.stage: line.runs for line in estimate(build_plan(sweep)).lines}
    made = Grid(sweep, tmp_path, None).made
    for kind in ("intermediate", "target"):
        assert made[kind].wanted == runs[f"{kind} trials"] + runs[kind]  # type: ignore[index]  # kinds of work
    assert sum(runs.values()) - runs["evaluate"] == 2 * (2 * 6 + 6 * 6)


def test_a_training_run_by_hand_is_scored_in_every_language(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="the benchmarks need the dependency group `bench`")
    from tests.benchmarks.by_hand import TOLD, _kept, train

    told: list[dict[str, Any]] = []
    encoder = load_sweep(write_grid(tmp_path)).models[0].path
    config = {"encoder": encoder, "start": encoder, "epochs": 1, "lr": 3e-3, "seed": 1, "scored": True,
              "keep": str(tmp_path / "kept"), "out": str(tmp_path / "out")}  # fmt: skip
    for more in ({"task": "world_nli_small"}, {"task": "world_qa_small", "start": _kept(config), "keep": ""}):
        train({**config, **more})
        told.append(json.loads((tmp_path / "out" / TOLD).read_text()))
    assert [one["steps"] for one in told] == [4, 4]
    assert all(len(one["test"]) == 7 and 0 <= one["score"] <= 100 for one in told)
