"""The `xsweep` command on a tiny universe where searching spends less: stopped trials, transfer, a budget, gc, diff."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_end_to_end import tables, xsweep
from tests.tiny import SWEEP, sweep_file, universe

pytestmark = pytest.mark.ray

SPENDING = (
    SWEEP.replace("mean}", "mean, ladder: tiny}")
    .replace("  seed: 0\n", "  seed: 0\n  halving: {eta: 2}\n  transfer: {trials: 2, check: t2}\n  repeats: 2\n")
    .replace("{trials: 2, lr: {low: 1e-4, high: 1e-2}, epochs: [1, 2]}", "{trials: 4, lr: [1e-4, 1e-2], epochs: 2}")
    .replace("{trials: 2, lr: {low: 1e-4, high: 1e-2}, epochs: 1}", "{trials: 4, lr: [1e-4, 1e-2], epochs: [1, 2]}")
    + "train: {schedule: wsd, cooldown: 0.2}\n"
)


def test_it_stops_at_its_budget_goes_on_and_leaves_nothing_behind(tmp_path: Path) -> None:
    mirror = universe(tmp_path)
    # Some seconds of one worker: the searches alone take longer.
    file = str(sweep_file(tmp_path, SPENDING + "budget: {gpu_hours: 0.0003}\n"))
    poor = xsweep(tmp_path, "run", file, mirror=mirror)
    assert poor.returncode == 4, poor.stdout + poor.stderr
    assert "failed   stopped early: the budget is spent:" in poor.stderr
    assert "of 0.0003 worker-hours (there are no GPUs)" in poor.stderr
    again = xsweep(tmp_path, "run", file, mirror=mirror)
    assert again.returncode == 4
    assert "; 0 stages ran now" in again.stdout

    file = str(sweep_file(tmp_path, SPENDING))
    done = xsweep(tmp_path, "run", file, mirror=mirror)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 of 8 cells scored" in done.stdout
    assert list((tmp_path / "runs" / "beginnings").iterdir()) == []
    assert b",2," in tables(tmp_path)["budgets.csv"]
    status = xsweep(tmp_path, "status", file, "--store", str(tmp_path / "runs"), mirror=mirror)
    assert "transfer between sizes: t2 on goal: " in status.stdout
    plan = xsweep(tmp_path, "plan", file, "--json", mirror=mirror)
    assert [row["declared"] for row in json.loads(plan.stdout)["levers"]] == [True, True, True, False, True, True]

    options = ("--store", str(tmp_path / "runs"))
    kept = xsweep(tmp_path, "gc", file, "--dry-run", *options, mirror=mirror)
    assert "would free" in kept.stdout
    freed = xsweep(tmp_path, "gc", file, *options, mirror=mirror)
    assert kept.stdout.replace("would free", "freed") == freed.stdout
    (tmp_path / "edited.yaml").write_text(SPENDING.replace("seeds: [1, 2]", "seeds: [1, 2, 3]"))
    changed = xsweep(tmp_path, "diff", file, "edited.yaml", *options, "--json", mirror=mirror)
    assert changed.returncode == 0, changed.stderr
    assert {c["stage"]: len(c["train"]) for c in json.loads(changed.stdout)} == {
        "intermediate trials": 0, "target trials": 0, "intermediate": 2, "target": 4, "evaluate": 4
    }  # fmt: skip
