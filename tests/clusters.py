"""Ray clusters on this machine as `ray start` makes them: a head with token authentication, more nodes beside it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


@dataclass
class Head:
    """A cluster, as a client meets it."""

    folder: Path
    url: str
    """Of the dashboard, which takes jobs."""
    address: str
    """For drivers on this machine."""
    environment: dict[str, str]
    """With the token."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *options: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Begin to start a node, by the command ``before`` where there is one."""
        call = [*before, str(BIN / "ray"), "start", "--block", "--object-store-memory=100000000", *options]
        with (self.folder / f"node-{len(self.processes)}.log").open("w") as log:
            started = subprocess.Popen(call, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(started)
        return started

    def add(self, *options: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start another node than the head, again where a busy machine took longer than the 30 s that Ray allows."""
        there, end = self.nodes(), time.monotonic() + 180
        while time.monotonic() < end:
            started = self.start(f"--address={self.address}", *options, before=before)
            while started.poll() is None:
                if self.nodes() - there:
                    return started
                time.sleep(0.5)
        raise AssertionError(self.said())

    def nodes(self) -> set[str]:
        """Ids of those that are up, as far as Ray has noticed."""
        request = urllib.request.Request(f"{self.url}/api/v0/nodes")
        request.add_header("Authorization", f"Bearer {self.environment['RAY_AUTH_TOKEN']}")
        rows = json.loads(urllib.request.urlopen(request, timeout=20).read())["data"]["result"]["result"]
        return {row["node_id"] for row in rows if row["state"] == "ALIVE"}

    def wait(self) -> None:
        """Wait until the head answers."""
        end = time.monotonic() + 180
        while time.monotonic() < end:
            with suppress(OSError):
                if self.nodes():
                    return
            assert self.processes[0].poll() is None, self.said()
            time.sleep(0.5)
        raise AssertionError(self.said())

    def said(self) -> str:
        """What the nodes printed."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("node-*.log")))

    def xsweep(self, folder: Path, *words: str, token: str | None = "") -> subprocess.CompletedProcess[str]:
        """Run a command of ours in ``folder``, with the cluster's token, another, or none."""
        environment = {**self.environment, "HOME": str(folder), "RAY_API_SERVER_ADDRESS": self.url}
        del environment["RAY_AUTH_MODE"]
        if token != "":
            del environment["RAY_AUTH_TOKEN"]
            environment |= {"RAY_AUTH_TOKEN": token} if token else {}
        call = [sys.executable, "-m", "xsweep.cli", *words]
        return subprocess.run(
            call, env=environment, cwd=folder, capture_output=True, text=True, timeout=500, check=False
        )


def kill(node: subprocess.Popen[bytes]) -> None:
    """End a node and all of its processes at once, as a machine that is taken away."""
    for process in [*psutil.Process(node.pid).children(recursive=True), psutil.Process(node.pid)]:
        with suppress(psutil.Error):
            process.kill()
    node.wait()


@contextmanager
def head(*options: str, settings: Mapping[str, str] | None = None) -> Iterator[Head]:
    """A cluster of one node with token authentication, private ports and a private folder; gone afterwards.

    ``settings`` are variables of its nodes.
    """
    folder = Path(tempfile.mkdtemp(prefix="xs-", dir="/tmp"))  # short: Ray's sockets lie below it
    port, dashboard = _free_port(), _free_port()
    environment = {
        **os.environ,
        **(settings or {}),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "HOME": str(folder),
        "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "XSWEEP_CACHE": str(folder / "cache"),
    }
    made = Head(folder, f"http://127.0.0.1:{dashboard}", f"{_own_address()}:{port}", environment)
    made.start(
        "--head", f"--port={port}", "--include-dashboard=true", "--dashboard-host=127.0.0.1",
        f"--dashboard-port={dashboard}", "--dashboard-agent-listen-port=0", f"--temp-dir={folder}", *options,
    )  # fmt: skip
    try:
        made.wait()
        yield made
    finally:
        for process in reversed(made.processes):
            if process.poll() is None:
                _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    left = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=40)
    for other in left:
        with suppress(psutil.Error):
            other.kill()
    if process.poll() is None:
        process.kill()
        process.wait()


def _own_address() -> str:
    """This machine as Ray names it."""
    from ray.util import get_node_ip_address

    return str(get_node_ip_address())  # type: ignore[no-untyped-call]  # Ray tells no types of it


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
