"""The shipped quickstart, cut down to one size and what is robust in its world: the machine learns and transfers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

QUICKSTART = Path(__file__).resolve().parent.parent / "sweeps" / "quickstart.yaml"
CUTS = {
    "models: [world-24, world-48, world-96]": "models: [world-48]",
    "  - {name: qa, tasks: [world_qa]}": "#",
    "  - world_qa_small": "#",
    "intermediate: {trials: 3,": "intermediate: {trials: 2,",
    "seeds: [1, 2, 3]": "seeds: [1, 2]",
}


@pytest.mark.ray
def test_the_nli_arm_helps_its_small_target_in_english_and_next_to_it(tmp_path: Path) -> None:
    text = QUICKSTART.read_text("utf-8")
    for old, new in CUTS.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "quickstart.yaml").write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "xsweep.cli", "run", "quickstart.yaml"],
        capture_output=True, text=True, cwd=tmp_path, timeout=900, check=False,
        env={**os.environ, "XSWEEP_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = tmp_path / "runs" / "reports" / "quickstart"
    scores = pl.read_csv(report / "tables" / "scores.csv").filter("primary")
    by_cell = scores.group_by("arm", "language").agg(pl.col("score").mean())
    means = {(arm, language): float(score) for arm, language, score in by_cell.iter_rows()}
    for language in ("en", "c80"):
        assert means["nli", language] > 75
        assert means["nli", language] - means["none", language] > 10
    controls = pl.read_csv(report / "tables" / "controls.csv").filter(pl.col("task") == "world_nli_small")
    assert controls["copying"].to_list() == [False] * 7
    page = (report / "report.html").read_text("utf-8")
    assert "Without knowing a word" in page
    assert "An artificial world" in page
    for line in ("done:", "time:", "found:", "report:", "MLflow:"):
        assert any(said.startswith(line) for said in done.stdout.splitlines())
