"""Rows 21 and 22: one driver for a store, whoever races for it and however the holder ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import xsweep
from tests.tiny import sweep_file, universe
from xsweep.errors import StoreBusy
from xsweep.store.store import Store


def race(root: Path, gate: object, won: object, over: object) -> None:
    gate.wait()  # type: ignore[attr-defined]
    try:
        with Store(root).lease():
            won.put(os.getpid())  # type: ignore[attr-defined]
            over.wait()  # type: ignore[attr-defined]
    except StoreBusy:
        won.put(0)  # type: ignore[attr-defined]


@pytest.mark.parametrize("racers", range(2, 9))
def test_of_many_one_wins_and_a_killed_winner_is_replaced(tmp_path: Path, racers: int) -> None:
    """Twice: the winner of the first race is killed with -9 while it holds the store."""
    multiprocessing.set_forkserver_preload([__name__])
    context = multiprocessing.get_context("forkserver")
    for _ in range(2):
        gate, over, won = context.Event(), context.Event(), context.Queue()
        processes = [context.Process(target=race, args=(tmp_path, gate, won, over)) for _ in range(racers)]
        for process in processes:
            process.start()
        gate.set()
        told = [won.get(timeout=60) for _ in processes]
        assert told.count(0) == racers - 1
        with pytest.raises(StoreBusy, match=f"process {max(told)} on host"), Store(tmp_path).lease():
            pass
        os.kill(max(told), signal.SIGKILL)
        for process in processes:
            process.join()
    with Store(tmp_path).lease():
        pass


def test_the_same_sweep_twice_at_once_is_one_line_and_exit_5(tmp_path: Path) -> None:
    """The loser of `xsweep run` starts no Ray and writes nothing into the store."""
    mirror, file = universe(tmp_path), sweep_file(tmp_path)
    store = tmp_path / "runs"
    environment = {**os.environ, "XSWEEP_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    call = [sys.executable, "-m", "xsweep.cli", "run", str(file), "--store", str(store), "--mirror", str(mirror)]
    with Store(store).lease():
        before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
        done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before
    assert done.returncode == 5, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{store}: in use by another xsweep: process {os.getpid()} on host ")


def test_time_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 20: a day back or forth, the lease is held as long as its holder lives, and no longer."""
    now = time.time()
    for jump in (-86_400.0, 86_400.0):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        with Store(tmp_path).lease(), pytest.raises(StoreBusy), Store(tmp_path).lease():
            pass
    with Store(tmp_path).lease():
        pass


def test_durations_are_never_taken_from_the_wall_clock() -> None:
    """Row 20, again: in the whole source one stamp is read, which MLflow shows as the time that a run was told."""
    root = Path(xsweep.__file__).parent
    uses = [path.relative_to(root) for path in sorted(root.rglob("*.py")) if "time.time(" in path.read_text()]
    assert [str(path) for path in uses] == ["tracking/sync.py"]
