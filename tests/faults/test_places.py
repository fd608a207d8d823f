"""Rows 24 and 37: strange homes, caches and paths, and somebody else's Ray on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.faults.test_secrets import SMALL
from tests.test_end_to_end import xsweep as run_xsweep
from tests.tiny import sweep_file, universe
from xsweep.engine.cluster import _LONGEST_FOLDER, _short_folder


def checked(file: Path, mirror: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """`xsweep check --data` with the environment changed; None takes a variable away."""
    own = {**os.environ, **environment}
    words = [sys.executable, "-m", "xsweep.cli", "check", str(file), "--data", "--mirror", str(mirror)]
    kept = {name: value for name, value in own.items() if value is not None}
    return subprocess.run(words, env=kept, capture_output=True, text=True, timeout=300, cwd=file.parent)


def test_without_a_home_and_with_spaces_and_other_scripts_in_every_path(tmp_path: Path) -> None:
    place = tmp_path / "with spaces" / "größe 北京 𝛼"
    place.mkdir(parents=True)
    done = checked(sweep_file(place), universe(place), HOME=None, XSWEEP_CACHE=str(place / "cache of mine"))
    assert done.returncode == 0, done.stderr
    assert "train/inter" in done.stdout


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME", "XSWEEP_CACHE"])
def test_a_cache_that_cannot_be_written_is_one_line_with_its_path(tmp_path: Path, variable: str) -> None:
    """Nobody can make a folder in /proc, root included."""
    unset = {name: None for name in ("XSWEEP_CACHE", "XDG_CACHE_HOME") if name != variable}
    done = checked(sweep_file(tmp_path), universe(tmp_path), **{**unset, variable: "/proc/nobody"})
    assert done.returncode == 5, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "/proc/nobody" in line]
    assert "Traceback" not in done.stderr
    assert line.startswith("/proc/nobody")


def test_a_temporary_folder_too_long_for_sockets_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    folder = _short_folder()
    try:
        assert len(str(folder)) <= _LONGEST_FOLDER
        assert folder.is_dir()
        assert list(long.iterdir()) == []
    finally:
        folder.rmdir()


FOREIGN = """
import ray, sys
ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=10**8, log_to_driver=False)
print("up", flush=True)
sys.stdin.readline()
print(len(ray.nodes()), ray.available_resources()["CPU"])
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_foreign_ray_on_the_machine_is_left_alone(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    other = subprocess.Popen([sys.executable, "-c", FOREIGN], stdin=pipe, stdout=pipe, text=True)
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "up\n"
        done = run_xsweep(tmp_path, "run", str(sweep_file(tmp_path, SMALL)), mirror=universe(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
        said, _ = other.communicate("\n", timeout=60)
        assert said == "1 1.0\n", "nothing of ours ran there"
    finally:
        other.kill()
        other.wait()
