"""Parts of Ray killed under `xsweep run`, and signals: an exit code, one line, nothing left, and then it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.test_end_to_end import command, tables, xsweep
from tests.test_submit import LONGER
from tests.tiny import sweep_file, universe

pytestmark = [pytest.mark.ray, pytest.mark.slow]
LIMIT = 90.0
"""Seconds within which a driver whose Ray is gone ends."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A universe, and the folder of a run that is struck and goes on, strike after strike."""
    folder = tmp_path_factory.mktemp("struck")
    universe(folder)
    return folder


class Run:
    """A launch that has ended one more stage than there were, and all processes of it."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "XSWEEP_CACHE": str(folder / "cache"), "HOME": str(folder)}
        call = command(folder, "run", str(sweep_file(folder, LONGER)), mirror=folder / "mirror")
        pipe = subprocess.PIPE
        begin = time.monotonic()
        self.process = subprocess.Popen(call, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=folder)
        before, end = ended(folder), time.monotonic() + 300
        while ended(folder) == before:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        print(f"\n{time.monotonic() - begin:.1f} s from the command to the end of the next stage")
        self.all = psutil.Process(self.process.pid).children(recursive=True)
        self.begin = time.monotonic()

    def kill(self, name: str) -> None:
        """Kill the one process of that name among those that this launch started."""
        [victim] = [process for process in self.all if process.name() == name]
        victim.kill()

    def ends(self) -> str:
        """What it said on standard error; checks that no process is left."""
        _, wrong = self.process.communicate(timeout=300)
        print(f"\nexit {self.process.returncode} after {time.monotonic() - self.begin:.1f} s: {wrong.strip()}")
        assert time.monotonic() - self.begin < LIMIT
        assert [process for process in self.all if alive(process)] == []
        return wrong


def ended(folder: Path) -> int:
    return len(list((folder / "runs" / "stages").glob("*/manifest.json")))


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@pytest.fixture
def run(place: Path) -> Iterator[Run]:
    started = Run(place)
    yield started
    if started.process.poll() is None:
        started.process.kill()


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_when_a_part_of_ray_is_killed_the_driver_says_so_and_ends(name: str, run: Run) -> None:
    run.kill(name)
    [line] = run.ends().splitlines()
    assert run.process.returncode == 75
    assert "un the same command again to go on." in line
    logs = Path(line.rpartition(" ")[2])
    assert any(path.stat().st_size for path in logs.rglob("*") if path.is_file())


def test_sigterm_is_resumable(run: Run) -> None:
    run.process.send_signal(signal.SIGTERM)
    assert run.ends().startswith("stopped; nothing that had ended is lost.")
    assert run.process.returncode == 75


def test_ctrl_c_twice_ends_at_once(run: Run) -> None:
    for _ in range(2):
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert run.ends().splitlines() == ["stopped at once; run the same command again to go on."]
    assert run.process.returncode == 130


def test_what_was_struck_comes_to_the_same_tables(place: Path, tmp_path: Path) -> None:
    done = xsweep(place, "run", str(sweep_file(place, LONGER)), mirror=place / "mirror")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    whole = xsweep(tmp_path, "run", str(sweep_file(tmp_path, LONGER)), mirror=place / "mirror")
    assert whole.returncode == 0, whole.stderr
    assert tables(place) == tables(tmp_path)
