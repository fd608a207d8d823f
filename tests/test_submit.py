"""`ray job submit -- xsweep run ...` on a real local head with token authentication."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiny import sweep_file, universe

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def head() -> Iterator[tuple[str, dict[str, str]]]:
    """(address of the job server, environment with the token) of a head of this test's own."""
    folder = tempfile.mkdtemp(prefix="xs-", dir="/tmp")  # short: Ray's sockets lie below it
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "HOME": folder,
    }
    port, dashboard = _free_port(), _free_port()
    call = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}", "--num-cpus=2",
        "--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
        "--dashboard-agent-listen-port=0", f"--temp-dir={folder}", "--object-store-memory=100000000",
    ]  # fmt: skip
    with (Path(folder) / "head.log").open("w") as log:
        process = subprocess.Popen(call, env=environment, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{dashboard}"
    try:
        _wait_for(address, process, Path(folder) / "head.log")
        yield address, environment
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/api/version", timeout=5)
            return
        except urllib.error.HTTPError:
            return  # it answers, and wants the token
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def submit(head: tuple[str, dict[str, str]], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Submit and follow, trying again while the head's job agent is still starting."""
    address, environment = head
    call = [str(Path(sys.executable).with_name("ray")), "job", "submit", "--address", address, "--",
            "env", f"XSWEEP_CACHE={folder / 'cache'}", sys.executable, "-m", "xsweep.cli", *words]  # fmt: skip
    for _ in range(20):
        done = subprocess.run(call, env=environment, cwd=folder, capture_output=True, text=True, timeout=500)
        if "No available agent" not in done.stdout + done.stderr:
            return done
        time.sleep(3)
    raise AssertionError(done.stdout + done.stderr)


def test_a_job_runs_a_sweep_and_its_exit_status_comes_through(head: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    mirror, file = universe(tmp_path), sweep_file(tmp_path)
    options = ["--store", str(tmp_path / "runs"), "--mirror", str(mirror)]
    done = submit(head, tmp_path, "run", str(file), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 of 8 cells scored" in done.stdout
    assert (tmp_path / "runs" / "reports" / "tiny" / "report.html").is_file()

    file.write_text(file.read_text().replace("epochs: 1}", "epochs: none}"))
    wrong = submit(head, tmp_path, "run", str(file), *options)
    assert wrong.returncode != 0
    assert "exit code 2" in wrong.stdout + wrong.stderr
    assert "tiny.yaml:" in wrong.stdout + wrong.stderr


def test_without_the_token_nothing_is_taken(head: tuple[str, dict[str, str]]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{head[0]}/api/jobs/", timeout=10)
    assert refused.value.code == 401
