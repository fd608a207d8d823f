"""A driver that ends, in whatever way, leaves an exit code, a line and no process. With Ray: tests/test_gone.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.engine.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the parent of a driver needs Linux")

SCRIPT = """
import os, subprocess, sys, time
from pathlib import Path
from xsweep.engine import watchdog
from xsweep.engine.logs import chatter
from xsweep.engine.signals import interruptible, stopped
from xsweep.errors import XsweepError

how, folder = sys.argv[1], Path(sys.argv[2])

def body():
    try:
        with chatter(folder / "logs"), interruptible(print) as stop:
            left = subprocess.Popen(["sleep", "600"], start_new_session=True)
            (folder / "pids").write_text(f"{os.getpid()} {left.pid}")
            os.write(2, b"chatter\\n")
            if how == "exit":
                os._exit(1)
            if how == "raise":
                raise KeyError("a defect")
            if how == "wait":
                stop.event.wait(60)
                raise stopped(stop)
    except XsweepError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 4

sys.exit(watchdog.watched(body))
"""


def start(how: str, folder: Path) -> subprocess.Popen[str]:
    call = [sys.executable, "-c", SCRIPT, how, str(folder)]
    environment, pipe = os.environ | {"PYTHONPATH": str(ROOT)}, subprocess.PIPE
    return subprocess.Popen(call, env=environment, text=True, stdout=pipe, stderr=pipe)


def pids(folder: Path) -> tuple[int, int]:
    """Of the driver and of a process that it started."""
    end = time.monotonic() + 60
    while not ((path := folder / "pids").is_file() and len(path.read_text().split()) == 2):
        assert time.monotonic() < end
        time.sleep(0.02)
    driver, left = path.read_text().split()
    return int(driver), int(left)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_an_exit_code_passes_and_what_was_left_behind_ends(tmp_path: Path) -> None:
    parent = start("plain", tmp_path)
    said, wrong = parent.communicate(timeout=60)
    assert (parent.returncode, said, wrong) == (4, "", "")
    assert all(map(gone, pids(tmp_path)))
    [log] = (tmp_path / "logs").glob("*/driver.log")
    assert log.read_text() == "chatter\n"


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_a_driver_that_ends_without_a_word_is_told_of_in_one_line(how: str, tmp_path: Path) -> None:
    parent = start("wait" if how == "kill" else how, tmp_path)
    if how == "kill":
        os.kill(pids(tmp_path)[0], signal.SIGKILL)
    said, wrong = parent.communicate(timeout=60)
    assert (parent.returncode, said) == (75, "")
    [line] = wrong.splitlines()
    assert line.startswith("the driver was ended " + ("by signal 9" if how == "kill" else "inside Ray") + "; nothing")
    assert "Run the same command again to go on. Logs: " in line
    assert Path(line.rpartition(" ")[2]).is_dir()
    assert all(map(gone, pids(tmp_path)))


def test_a_defect_shows_its_traceback(tmp_path: Path) -> None:
    parent = start("raise", tmp_path)
    _, wrong = parent.communicate(timeout=60)
    assert parent.returncode == 1
    assert "KeyError: 'a defect'" in wrong


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_signals_reach_the_driver(number: signal.Signals, code: int, tmp_path: Path) -> None:
    parent = start("wait", tmp_path)
    pids(tmp_path)
    time.sleep(0.2)
    parent.send_signal(number)
    said, wrong = parent.communicate(timeout=60)
    assert parent.returncode == code
    assert said.startswith(f"{number.name}: stopping")
    assert wrong.startswith("stopped; nothing that had ended is lost.")
    assert all(map(gone, pids(tmp_path)))


def test_a_driver_does_not_outlive_its_parent(tmp_path: Path) -> None:
    parent = start("wait", tmp_path)
    driver, left = pids(tmp_path)
    parent.kill()
    parent.wait()
    end = time.monotonic() + 30
    while not gone(driver):
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(left, signal.SIGKILL)  # of an orphan's orphans nobody knows; Ray's see for themselves that it is gone
