"""The job server of a Ray cluster: what is asked of it over HTTP, and what it answers in plain words."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from xsweep.errors import COMPLETE, EnvironmentProblem, Interrupted, UsageError
from xsweep.spec.cluster import NodeType

CARRIED = (0, 2, 3, 4, 5, 75, 130)
"""Exit codes of a driver that are those of `xsweep run`."""
SWEEP, STORE, CONTENT = "xsweep.sweep", "xsweep.store", "xsweep.content"
"""What a job's metadata say of it: the sweep's name, where its results go, and a digest of what was submitted."""
_CONNECT_SECONDS = 10.0
_WARM_UP_SECONDS = 180.0
_SILENCE_SECONDS = 60.0
"""A job server that is gone for so long is not waited for."""
_QUIET_SECONDS = 30.0
"""A job that prints nothing for so long is asked how it is."""
_ENDED = ("STOPPED", "SUCCEEDED", "FAILED")


@dataclass(frozen=True)
class Job:
    """A job of `xsweep` on a cluster."""

    id: str
    sweep: str
    """Name of its sweep; empty of a job that was submitted by hand."""
    store: str
    content: str
    status: str
    """PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""
    start: datetime | None
    end: datetime | None
    exit_code: int | None
    """Of its driver; None while it runs, and when it was stopped or never started."""
    message: str

    @property
    def ended(self) -> bool:
        """Whether it is over, however."""
        return self.status in _ENDED

    @property
    def code(self) -> int:
        """The exit code of a command that followed it: its driver's own, or what stands for how it was ended."""
        if self.status == "SUCCEEDED":
            return COMPLETE
        if self.status == "FAILED" and self.exit_code in CARRIED:
            return int(self.exit_code or 0)
        killed = self.exit_code is not None and (self.exit_code < 0 or self.exit_code > 128)
        return Interrupted.exit_code if self.status == "STOPPED" or killed else EnvironmentProblem.exit_code

    @property
    def said(self) -> str:
        """How it is, or how it ended, in one line."""
        if self.status != "FAILED":
            return f"{self.id}: {self.status.lower()}"
        if self.exit_code == 127:
            return f"{self.id}: the cluster's nodes have no command `xsweep`; install it there (`setup_commands`)"
        if self.exit_code is None:
            return f"{self.id}: did not start: {' '.join(self.message.split())[:500]}"
        killed = "" if self.exit_code in CARRIED else ", so it was killed; submit it again to go on"
        return f"{self.id}: failed with exit code {self.exit_code}{killed}"


class JobServer:
    """The job server at a URL such as ``http://127.0.0.1:8265``. Connecting checks token and Ray version.

    The token is Ray's own: ``RAY_AUTH_TOKEN``, ``RAY_AUTH_TOKEN_PATH`` or ``~/.ray/auth_token``. Whatever does not
    work raises ``EnvironmentProblem`` in one line.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        _reachable(self.address)
        _use_token()
        with self._plain(), _without("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):  # they win over what is asked for
            import ray
            from ray.job_submission import JobSubmissionClient

            for name in ("ray", "ray.dashboard.modules.job.sdk", "ray.dashboard.modules.dashboard_sdk"):
                logging.getLogger(name).setLevel(logging.ERROR)  # they tell of every upload and closed connection
            self._client: Any = JobSubmissionClient(self.address)
            there, here = self._get("/api/version")["ray_version"], ray.__version__
        if there.split(".")[:2] != here.split(".")[:2]:
            raise EnvironmentProblem(
                f"{self.address}: the cluster runs Ray {there}, this machine {here}; install the same on both "
                f"(pip install 'ray[default]=={there}', or another image in the cluster file)"
            )

    def nodes(self) -> list[NodeType]:
        """The nodes that are up, each as a type of its own."""
        with self._plain():
            rows = self._get("/api/v0/nodes")["data"]["result"]["result"]
        return [_node(row) for row in rows if row["state"] == "ALIVE"]

    def scales(self) -> bool:
        """Whether an autoscaler could bring more nodes.

        Where there is none, Ray's monitor names every node's type after its id; an autoscaler of any kind starts its
        nodes with the name of their type, which is their label too.
        """
        with self._plain():
            rows = self._get("/api/v0/nodes")["data"]["result"]["result"]
            status = (self._get("/api/cluster_status")["data"] or {}).get("clusterStatus") or {}
        named = (status.get("autoscalerReport") or {}).get("nodeTypeMapping") or {}
        typed = any(not str(name).startswith("node_") for name in named.values())
        return typed or any((row.get("labels") or {}).get("ray.io/node-group") for row in rows)

    def jobs(self) -> list[Job]:
        """Every job that was submitted, the latest first."""
        with self._plain():
            told = self._client.list_jobs()
        found = [_job(details) for details in told if details.submission_id]
        return sorted(found, key=lambda job: (job.start or datetime.max.replace(tzinfo=UTC), job.id), reverse=True)

    def find(self, name: str) -> Job:
        """The job of that id, or the latest of the sweep of that name; raises ``UsageError`` where there is none."""
        jobs = self.jobs()
        found = next((job for job in jobs if job.id == name), None) or next((j for j in jobs if j.sweep == name), None)
        if found is None:
            raise UsageError(f"{name}: no job or sweep of that name at {self.address}; `xsweep jobs` lists them")
        return found

    def submit(
        self,
        identifier: str,
        entrypoint: str,
        runtime_env: Mapping[str, Any],
        metadata: Mapping[str, str],
        resources: Mapping[str, float],
    ) -> bool:
        """Submit a job, waiting for a cluster that has just started; False when the id is taken."""
        end = time.monotonic() + _WARM_UP_SECONDS
        while True:
            try:
                with self._plain():
                    self._client.submit_job(
                        submission_id=identifier,
                        entrypoint=entrypoint,
                        runtime_env=dict(runtime_env),
                        metadata=dict(metadata),
                        entrypoint_resources=dict(resources) or None,
                    )
                return True
            except EnvironmentProblem as problem:
                said = str(problem.__cause__)
                if f"{identifier} already exists" in said:
                    return False
                if "No available agent" not in said:
                    raise
                if time.monotonic() > end:
                    raise EnvironmentProblem(
                        f"{self.address}: the job was not taken: its agent does not start"
                    ) from problem
            time.sleep(2.0)

    def stop(self, job: Job) -> Job:
        """Ask a job to end as on Ctrl+C, and wait until it has; returns how it ended."""
        with self._plain():
            self._client.stop_job(job.id)
        while not (job := self.find(job.id)).ended:
            time.sleep(0.5)
        return job

    def logs(self, job: Job) -> str:
        """All that a job has printed."""
        with self._plain():
            return str(self._client.get_job_logs(job.id))

    def follow(self, job: Job, say: Callable[[str], object]) -> Job:
        """Hand on what a job prints until it has ended; returns how. A lost connection is made again."""
        follower, lost = _Follower(self._client, job.id, say), 0.0
        while True:
            try:
                with self._plain():
                    asyncio.run(follower.go())
                if (job := self.find(job.id)).ended:
                    follower.rest(self.logs(job))
                    return job
                lost = 0.0
            except EnvironmentProblem:
                lost = lost or time.monotonic()
                if time.monotonic() - lost > _SILENCE_SECONDS:
                    raise
            time.sleep(0.5)

    def _get(self, path: str) -> Any:
        # Of the client's own, since it alone carries Ray's token.
        return self._client._do_request("GET", path).json()

    @contextmanager
    def _plain(self) -> Iterator[None]:
        """What the client raises, in one line."""
        import aiohttp
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as error:
            given = "is not this cluster's" if "Authentication failed" in str(error) else "is missing"
            raise EnvironmentProblem(
                f"{self.address}: the cluster wants a token, and that of this machine {given}; put the cluster's into "
                "~/.ray/auth_token, or into RAY_AUTH_TOKEN with RAY_AUTH_MODE=token"
            ) from error
        except (OSError, aiohttp.ClientError, requests.RequestException) as error:
            raise EnvironmentProblem(f"{self.address}: the job server does not answer ({_last_line(error)})") from error
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise EnvironmentProblem(
                f"{self.address}: this is no job server of Ray, or it failed: {_last_line(error)}"
            ) from error


class _Follower:
    """Prints a job's log once, however often it is read from its beginning."""

    def __init__(self, client: Any, identifier: str, say: Callable[[str], object]) -> None:
        self._client, self._id, self._say = client, identifier, say
        self._said = 0

    async def go(self) -> None:
        """Print until the log ends, or nothing has come for a while."""
        stream, at = self._client.tail_job_logs(self._id), 0
        try:
            while True:
                chunk = await asyncio.wait_for(anext(stream), _QUIET_SECONDS)
                self._print(chunk, at)
                at += len(chunk)
        except (StopAsyncIteration, TimeoutError):
            return
        finally:
            await stream.aclose()

    def rest(self, whole: str) -> None:
        """Print what is left of the whole log."""
        self._print(whole, 0)

    def _print(self, text: str, at: int) -> None:
        if at + len(text) > self._said:
            self._say(text[max(0, self._said - at) :])
            self._said = at + len(text)


def _reachable(address: str) -> None:
    """Whether anything listens there; Ray's own client would wait without end."""
    parts = urlsplit(address)
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        host = parts.hostname or ""
    except (ValueError, KeyError):
        host, port = "", 0
    if not host:
        raise UsageError(f"--address {address}: not a URL such as http://127.0.0.1:8265, where the dashboard answers")
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise EnvironmentProblem(
            f"{address}: nothing answers there ({error.strerror or error}); is the cluster up, and its dashboard "
            "brought here (`ray dashboard cluster.yaml`)?"
        ) from error


def _use_token() -> None:
    """Send the token where there is one: Ray does so only when told, before it is imported."""
    names = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    if any(map(os.environ.get, names)) or Path.home().joinpath(".ray", "auth_token").is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


@contextmanager
def _without(*names: str) -> Iterator[None]:
    before = {name: os.environ.pop(name, None) for name in names}
    try:
        yield
    finally:
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _job(details: Any) -> Job:
    told = details.metadata or {}
    return Job(
        details.submission_id,
        told.get(SWEEP, ""),
        told.get(STORE, ""),
        told.get(CONTENT, ""),
        str(getattr(details.status, "value", details.status)),
        _time(details.start_time),
        _time(details.end_time),
        details.driver_exit_code,
        details.message or "",
    )


def _time(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def _node(row: Mapping[str, Any]) -> NodeType:
    total = row.get("resources_total") or {}
    accelerator = next((name.partition(":")[2] for name in total if name.startswith("accelerator_type:")), "")
    return NodeType(
        row["node_id"],
        total.get("CPU", 0.0),
        total.get("GPU", 0.0),
        accelerator,
        1,
        False,
        None,
        total.get("driver", 0.0),
    )


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
