"""The `xsweep` command on a tiny universe, as a user meets it: run, run again, extend, break, kill, go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from tests.test_outputs import checker
from tests.tiny import SWEEP, sweep_file, universe
from xsweep.analysis.files import TABLES

pytestmark = pytest.mark.ray
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return universe(tmp_path_factory.mktemp("universe"))


@pytest.fixture(scope="module")
def finished(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a sweep that ran to its end undisturbed, and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    done = xsweep(folder, "run", str(sweep_file(folder)), mirror=mirror)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def command(folder: Path, *words: str, mirror: Path | None = None) -> list[str]:
    options = ["--mirror", str(mirror)] if mirror else []
    store = ["--store", str(folder / "runs")] if words[0] in ("run", "plan", "report", "status", "sync") else []
    return [sys.executable, "-m", "xsweep.cli", *words, *store, *options]


def xsweep(folder: Path, *words: str, mirror: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XSWEEP_CACHE": str(folder / "cache"), "HOME": str(folder)}
    call = command(folder, *words, mirror=mirror)
    return subprocess.run(call, capture_output=True, text=True, env=environment, timeout=500, cwd=folder, check=False)


def tables(folder: Path, sweep: str = "tiny") -> dict[str, bytes]:
    """Every result table of the report; those with times are not results."""
    found = sorted((folder / "runs" / "reports" / sweep / "tables").glob("*.csv"))
    assert found
    return {path.name: path.read_bytes() for path in found if "time" not in path.name}


def test_a_sweep_runs_to_a_report(finished: tuple[Path, str]) -> None:
    folder, said = finished
    page = folder / "runs" / "reports" / "tiny" / "report.html"
    assert page.is_file()
    assert str(page) in said
    assert "8 of 8 cells scored" in said
    assert (folder / "runs" / "mlflow.db").is_file()
    written = {
        path.stem: pl.Schema(pl.read_parquet_schema(path)) for path in (page.parent / "tables").glob("*.parquet")
    }
    assert written == {name: TABLES[name] for name in written}
    assert {"gains", "gains_examples", "headline", "scores"} <= {*written}


def test_run_again_trains_nothing_and_the_tables_are_the_same_bytes(finished: tuple[Path, str], mirror: Path) -> None:
    folder, _ = finished
    before = tables(folder)
    done = xsweep(folder, "run", str(folder / "tiny.yaml"), "--json", mirror=mirror)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    checker("run").validate(told)
    assert (told["complete"], told["ran"], told["done"], told["failed"]) == (True, 0, 8, {})
    assert Path(told["report"]).is_file()
    assert tables(folder) == before


def test_the_example_of_a_scripted_report_runs_as_it_stands(finished: tuple[Path, str], mirror: Path) -> None:
    folder, _ = finished
    own = {"XSWEEP_MIRROR": str(mirror), "XSWEEP_CACHE": str(folder / "cache"), "HOME": str(folder)}
    call = [sys.executable, str(ROOT / "tests" / "example.py")]
    done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, **own}, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    assert "intermediate: 4 stages instead of" in done.stdout
    assert "8 of 8 cells are scored." in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if " nli goal " in line]
    gains = pl.read_parquet(folder / "runs" / "reports" / "tiny" / "tables" / "gains.parquet").filter(target="goal")
    told = [(int(row[0]), round(float(row[3]), 6)) for row in rows]
    assert told == gains.sort("params").select("params", "estimate").rows()
    assert done.stdout.splitlines()[-1] == str(folder / "runs" / "reports" / "tiny" / "report.html")


def test_one_more_seed_trains_only_that_seed(finished: tuple[Path, str], mirror: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(finished[0] / "runs", tmp_path / "runs", ignore=shutil.ignore_patterns("driver.lock"))
    shutil.copytree(finished[0] / "cache", tmp_path / "cache")
    done = xsweep(tmp_path, "run", str(sweep_file(tmp_path, SWEEP.replace("[1, 2]\nsearch", "[1, 2, 5]\nsearch"))),
                  mirror=mirror)  # fmt: skip
    assert done.returncode == 0, done.stderr
    stages = [line for line in done.stdout.splitlines() if line.startswith("stage")]
    assert len(stages) == 2 + 4, "an intermediate and two cells for each model"
    assert all("s5" in line for line in stages)
    assert not any(line.startswith("trial") for line in done.stdout.splitlines())
    assert "12 of 12 cells scored" in done.stdout


def test_a_driver_killed_in_the_middle_goes_on_to_the_same_table(
    finished: tuple[Path, str], mirror: Path, tmp_path: Path
) -> None:
    file = sweep_file(tmp_path)
    environment = {**os.environ, "XSWEEP_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    call = command(tmp_path, "run", str(file), mirror=mirror)
    with (tmp_path / "said").open("w") as said:
        driver = subprocess.Popen(call, stdout=said, stderr=said, env=environment, cwd=tmp_path)
    stages = tmp_path / "runs" / "stages"
    deadline = time.monotonic() + 240
    while len(list(stages.glob("*/manifest.json"))) < 3:
        assert driver.poll() is None, (tmp_path / "said").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert 3 <= len(list(stages.glob("*/manifest.json"))) < 20
    done = xsweep(tmp_path, "run", str(file), mirror=mirror)
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path) == tables(finished[0])


def test_a_stage_that_fails_leaves_a_hole_and_exit_4(
    finished: tuple[Path, str], mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = sweep_file(tmp_path)
    monkeypatch.setenv("XSWEEP_TESTING", "1")
    monkeypatch.setenv("XSWEEP_FAILPOINT", "start:evaluate:t2:raise")
    done = xsweep(tmp_path, "run", str(file), mirror=mirror)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "4 of 8 cells scored" in done.stdout
    assert "broken on purpose" in done.stderr
    holes = tables(tmp_path)["holes.csv"].decode()
    assert holes.count("broken on purpose") == 4
    assert "broken on purpose" in (tmp_path / "runs" / "reports" / "tiny" / "report.html").read_text()

    monkeypatch.delenv("XSWEEP_FAILPOINT")
    again = xsweep(tmp_path, "run", str(file), mirror=mirror)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "; 4 stages ran now" in again.stdout, "only what failed is tried again"
    assert tables(tmp_path) == tables(finished[0])


def test_ctrl_c_is_resumable(mirror: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "XSWEEP_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    call = command(tmp_path, "run", str(sweep_file(tmp_path)), mirror=mirror)
    with (tmp_path / "said").open("w") as said:
        driver = subprocess.Popen(call, stdout=said, stderr=said, env=environment, cwd=tmp_path)
    deadline = time.monotonic() + 240
    while not list((tmp_path / "runs" / "stages").glob("*/manifest.json")):
        assert driver.poll() is None, (tmp_path / "said").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=60) == 130
    said_last = (tmp_path / "said").read_text()
    assert "Run the same command again" in said_last
    assert "Traceback" not in said_last
