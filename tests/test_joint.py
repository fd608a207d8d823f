"""The `xsweep` command on a tiny universe where one search decides both stages of an arm and a target."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tests.test_end_to_end import xsweep
from tests.tiny import SWEEP, sweep_file, universe

pytestmark = pytest.mark.ray

_GOAL = SWEEP[SWEEP.index("  - name: goal") : SWEEP.index("arms:")]
JOINT = (
    SWEEP.replace("arms:", _GOAL.replace("goal", "other").replace("small", "train") + "arms:")
    .replace("targets: [{task: goal, languages: [en, de]}]", "targets: [goal, other]")
    .replace("  - {name: t2, id: org/tiny-2, pooling: mean}\n", "")
    .replace("  seed: 0\n", "  mode: joint\n  seed: 0\n")
    .replace("groups: 1", "groups: 2")
)


def test_it_runs_to_its_end_and_shares_what_both_targets_try(tmp_path: Path) -> None:
    mirror, file = universe(tmp_path), str(sweep_file(tmp_path, JOINT))
    done = xsweep(tmp_path, "run", file, mirror=mirror)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 of 8 cells scored" in done.stdout
    trials = [line for line in done.stdout.splitlines() if line.startswith("trial")]
    assert len(trials) == 2 * 2 * 2, "two trials for the baseline and the arm on each target"
    assert sum(", then lr " in line for line in trials) == 2 * 2

    plan = xsweep(tmp_path, "plan", file, "--json", mirror=mirror)
    lines = {line["stage"]: line for line in json.loads(plan.stdout)["lines"]}
    assert {stage: (line["needed"], line["runs"], line["done"]) for stage, line in lines.items()} == {
        "intermediate trials": (4, 2, 2), "target trials": (8, 8, 8), "intermediate": (4, 4, 4),
        "target": (8, 8, 8), "evaluate": (8, 8, 8),
    }  # fmt: skip
    table = pl.read_csv(tmp_path / "runs" / "reports" / "tiny" / "tables" / "budgets.csv")
    assert table["trials_done"].to_list() == table["trials_planned"].to_list() == [2] * 6
    assert table.filter(stage="intermediate")["target"].sort().to_list() == ["goal", "other"]
    page = (tmp_path / "runs" / "reports" / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "both stages are searched at once (joint)" in page

    again = xsweep(tmp_path, "run", file, mirror=mirror)
    assert "; 0 stages ran now" in again.stdout, again.stdout + again.stderr
