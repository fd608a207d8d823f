"""Real servers for tests, on loopback, each ended with what it left: S3, PostgreSQL and MLflow."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SECRET = "planted-secret-canary"
"""The password of the S3 server: nothing may write it."""
AWS = {"AWS_ACCESS_KEY_ID": "xsweep-test", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass
class S3:
    """An S3 server of this process. ``calls`` are the method and path of each that it has answered."""

    address: str
    calls: list[str] = field(default_factory=list)
    deny: bool = False
    """Whether every call is refused."""

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know."""
        return {**AWS, "AWS_ENDPOINT_URL": self.address}


@contextmanager
def s3_server() -> Iterator[S3]:
    """moto's server, one call at a time: conditional writes are then as atomic as S3 promises."""
    pytest.importorskip("moto")
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    inner = DomainDispatcherApplication(create_backend_app)
    s3 = S3("")

    def app(environ, start_response):  # type: ignore[no-untyped-def]
        query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        s3.calls.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{query}")
        if s3.deny:
            body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body]
        return inner(environ, start_response)

    server = make_server("127.0.0.1", 0, app)
    s3.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield s3
    finally:
        server.shutdown()
        server.server_close()


def make_bucket(s3: S3, name: str) -> None:
    """A bucket on the server."""
    import boto3

    client = boto3.session.Session(AWS["AWS_ACCESS_KEY_ID"], SECRET, region_name="us-east-1")
    client.client("s3", endpoint_url=s3.address).create_bucket(Bucket=name)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """A cluster of PostgreSQL of its own, by the address of its database; skips where the programs are missing."""
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True), shutil.which("initdb")]
    programs = next((Path(path).parent for path in found if path), None)
    if programs is None:
        pytest.skip("needs PostgreSQL's programs: apt-get install postgresql")
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    place = folder / "postgres"
    place.mkdir()
    os.chown(place, account.pw_uid, account.pw_gid)
    for parent in place.parents:  # PostgreSQL refuses to run as root, and its own user must reach its folder
        if parent.owner() == pwd.getpwuid(os.geteuid()).pw_name and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o011)
    port, how = free_port(), {"user": account.pw_uid, "group": account.pw_gid} if os.geteuid() == 0 else {}
    data = str(place / "data")
    make = [str(programs / "initdb"), "-D", data, "-U", "xsweep", "-A", "trust", "--no-sync"]
    subprocess.run(make, check=True, capture_output=True, cwd=place, **how)  # type: ignore[call-overload]
    run = [str(programs / "postgres"), "-D", data, "-p", str(port), "-k", str(place), "-h", "127.0.0.1", "-F"]
    server = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=place, **how)  # type: ignore[call-overload]
    try:
        ask = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        _wait(lambda: subprocess.run(ask).returncode == 0)
        yield f"postgresql+psycopg2://xsweep@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)


class MlflowServer:
    """``mlflow server`` on loopback; it can be stopped and started again at the same address."""

    def __init__(self, backend: str, artifacts: str, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", backend, "--artifacts-destination", artifacts,
        ]  # fmt: skip
        self._environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait for its first answer."""
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        _wait(self._answers, 180)  # seconds: it imports for long on a busy machine

    def stop(self) -> None:
        """End it with all its workers, at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"{self.address}/health", timeout=1).close()
        except OSError:
            return False
        return True


@contextmanager
def mlflow_server(backend: str, artifacts: str, environment: dict[str, str] | None = None) -> Iterator[MlflowServer]:
    """A server that is up, and ended afterwards."""
    server = MlflowServer(backend, artifacts, environment or {})
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _wait(ready, seconds: float = 60.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError("a server of the test did not come up")
        time.sleep(0.1)
