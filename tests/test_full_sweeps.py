"""The full sweep files from end to end, on a few rows of each of their data sets: every arm, every target."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.few import Few, reduced, tiny_encoder
from xsweep.plan.cells import build_plan
from xsweep.spec.load import load_sweep

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def mirror(shared: Path, ladder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "mirror"
    Few(folder, shared / "data").write()
    tiny_encoder(folder, ladder / "intfloat--multilingual-e5-small-L2")
    return folder


@pytest.mark.parametrize(("name", "benchmark"), [("phang2020", "XTREME"), ("xtreme_r", "XTREME-R")])
def test_every_cell_of_a_full_sweep_is_scored(name: str, benchmark: str, mirror: Path, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.yaml"
    file.write_text(reduced(name), "utf-8")
    sweep = load_sweep(file)
    environment = {**os.environ, "XSWEEP_CACHE": str(mirror.parent / "cache"), "HOME": str(tmp_path)}
    call = [sys.executable, "-m", "xsweep.cli", "run", str(file), "--store", str(tmp_path / "runs"),
            "--mirror", str(mirror)]  # fmt: skip
    done = subprocess.run(call, capture_output=True, text=True, env=environment, timeout=500, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    plan = build_plan(sweep)
    assert f"{len(plan.cells)} of {len(plan.cells)} cells scored" in done.stdout
    tables = tmp_path / "runs" / "reports" / name / "tables"
    scores = pl.read_parquet(tables / "scores.parquet").filter("primary")
    languages = {target.name: target.languages for target in sweep.targets}
    wanted = {(cell.arm, cell.target, code) for cell in plan.cells for code in languages[cell.target or ""]}
    assert set(scores.select("arm", "target", "language").iter_rows()) == wanted
    assert scores.height == len(wanted)
    # An arm that trains longer on the target has no cell where nothing is trained.
    whole = [a.name for a in sweep.arms if sum(cell.arm == a.name for cell in plan.cells) == len(sweep.targets)]
    counted = pl.read_parquet(tables / "benchmark.parquet").filter(benchmark=benchmark, counted="here", level="overall")
    assert counted.filter(pl.col("arm").is_in(whole))["score"].null_count() == 0
    assert "none" in whole
    assert "As the benchmark counts it" in (tables.parent / "report.html").read_text("utf-8")
