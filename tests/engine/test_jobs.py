"""Asking a job server that is made up, so that every answer can be had: what is refused, and in which words."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import SWEEP
from xsweep.engine.jobs import CONTENT, STORE, Job, JobServer
from xsweep.engine.jobs import SWEEP as NAME
from xsweep.engine.submit import Submission, submit
from xsweep.errors import EnvironmentProblem, UsageError
from xsweep.spec.sweep import Gang

NODE = {"node_id": "ab", "state": "ALIVE", "resources_total": {"CPU": 4.0, "driver": 8.0}, "labels": {}}
READ_ONLY = {"clusterStatus": {"autoscalerReport": {"nodeTypeMapping": {"ab": "node_ab"}}}}
SMALL = {"t1": Gang(1, 1, 0.0)}


class Server(ThreadingHTTPServer):
    """A job server with one node, no autoscaler, and whatever jobs it was given."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Any] = {
            "/api/version": {"version": "4", "ray_version": _installed()},
            "/api/v0/nodes": {"data": {"result": {"result": [NODE]}}},
            "/api/cluster_status": {"data": READ_ONLY},
            "/api/jobs/": [],
        }
        self.status = 200
        self.warming = 0
        """Submissions that are still turned away."""
        self.taken: list[str] = []
        """Ids that somebody else gets just before."""
        self.submitted: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, identifier: str, **told: Any) -> None:
        job = {"type": "SUBMISSION", "submission_id": identifier, "status": "RUNNING", "entrypoint": "", **told}
        self.answers["/api/jobs/"].append(job)


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path.startswith("/api/packages/"):
            self._answer(200, {})
        elif self.path in self.server.answers:
            self._answer(self.server.status, self.server.answers[self.path])
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = told["submission_id"]
        if self.server.warming:
            self.server.warming -= 1
            self._answer(500, "No available agent to submit job, please try again later.")
        elif name in self.server.taken or any(j["submission_id"] == name for j in self.server.answers["/api/jobs/"]):
            if name in self.server.taken:
                self.server.taken.remove(name)
                self.server.add(name, metadata={NAME: "tiny", STORE: "/elsewhere"})
            self._answer(400, f"ValueError: Job with submission_id {name} already exists. Please use another.")
        else:
            self.server.submitted.append(told)
            self.server.add(name, metadata=told["metadata"], entrypoint=told["entrypoint"])
            self._answer(200, {"job_id": name, "submission_id": name})

    def _answer(self, status: int, body: Any) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _installed() -> str:
    from importlib.metadata import version

    return version("ray")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("xsweep.engine.jobs.time.sleep", lambda _: None)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    with Server() as started:
        threading.Thread(target=started.serve_forever, args=(0.01,), daemon=True).start()
        yield started
        started.shutdown()


def of(place: Path, **fields: Any) -> Submission:
    """The tiny sweep in a folder of its own."""
    folder = place / "work"
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(SWEEP)
    return Submission(**{"sweep": "tiny", "file": folder / "tiny.yaml", "folder": folder, "store": "/shared", **fields})


def test_a_submission_holds_all_that_the_job_needs(server: Server, tmp_path: Path) -> None:
    submission = of(tmp_path, tracking="$TEAM_TRACKING", mirrors=("/data/my mirror",))
    job, new = submit(JobServer(server.url), submission, SMALL, attach=False)
    assert (job.id, job.sweep, new) == ("xsweep-tiny-1", "tiny", True)
    [told] = server.submitted
    assert told["entrypoint"] == (
        "exec xsweep run tiny.yaml --store /shared --tracking \"$TEAM_TRACKING\" --mirror '/data/my mirror' --wait 300"
    )
    assert told["entrypoint_resources"] == {"driver": 1.0}  # the head has that resource
    assert told["metadata"] == {NAME: "tiny", STORE: "/shared", CONTENT: submission.metadata[CONTENT]}
    assert told["runtime_env"]["env_vars"] == {"RAY_JOB_STOP_WAIT_TIME_S": "90"}
    assert told["runtime_env"]["working_dir"].startswith("gcs://")


def test_no_secret_of_this_machine_is_sent(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "canary-0a1b2c3d"
    for name in ("RAY_AUTH_TOKEN", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "XSWEEP_TOKEN"):
        monkeypatch.setenv(name, canary)
    submit(JobServer(server.url), of(tmp_path), SMALL, attach=False)
    assert canary not in json.dumps(server.submitted)


@pytest.mark.parametrize("option", ["store", "tracking", "mirrors"])
@pytest.mark.parametrize("place", ["postgresql://me:hunter2@db/runs", "s3://bucket/runs?secret=hunter2"])
def test_an_address_with_a_password_is_refused_without_showing_it(tmp_path: Path, option: str, place: str) -> None:
    with pytest.raises(UsageError, match="holds a password or key") as refused:
        of(tmp_path, **{option: (place,) if option == "mirrors" else place})
    assert "hunter2" not in str(refused.value)
    assert "'$NAME'" in str(refused.value)


@pytest.mark.parametrize(("option", "place"), [("store", "runs"), ("mirrors", ("data",)), ("store", "$A/runs")])
def test_a_place_that_goes_with_the_job_is_refused(tmp_path: Path, option: str, place: Any) -> None:
    with pytest.raises(UsageError, match="goes when the job ends"):
        of(tmp_path, **{option: place})


def test_a_sweep_file_that_would_not_be_sent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not below"):
        of(tmp_path, folder=tmp_path / "other")
    submission = of(tmp_path)
    (submission.folder / ".rayignore").write_text("*.yaml\n")
    with pytest.raises(UsageError, match="keeps it out"):
        submission.check_size()


def test_a_folder_that_is_too_large_names_its_largest_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import secrets

    submission = of(tmp_path)
    (submission.folder / "data").mkdir()
    (submission.folder / "data" / "rows.bin").write_bytes(secrets.token_bytes(300_000))
    (submission.folder / "kept").mkdir()
    (submission.folder / "kept" / "rows.bin").write_bytes(secrets.token_bytes(600_000))
    (submission.folder / ".gitignore").write_text("/kept/\n")
    monkeypatch.setattr("ray._private.runtime_env.packaging.GCS_STORAGE_MAX_SIZE", 200_000)
    with pytest.raises(
        EnvironmentProblem, match=r"0\.3 MiB packed.*\.rayignore.*the largest: data \(0\.3 MiB\)"
    ) as said:
        submission.check_size()
    assert "kept" not in str(said.value)  # .gitignore was respected
    (submission.folder / ".rayignore").write_text("data\n")
    submission.check_size()


def test_nothing_is_submitted_where_nothing_answers(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(EnvironmentProblem, match="nothing answers there"):
        JobServer(f"http://127.0.0.1:{port}")
    with pytest.raises(UsageError, match="not a URL"):
        JobServer("auto")


@pytest.mark.parametrize(("status", "said"), [(401, "is missing"), (403, "is not this cluster's")])
def test_a_token_that_lacks_or_is_another_is_said(server: Server, status: int, said: str) -> None:
    server.status = status
    with pytest.raises(EnvironmentProblem, match=f"wants a token.*{said}"):
        JobServer(server.url)


def test_what_is_no_job_server_is_said(server: Server) -> None:
    server.answers["/api/version"] = "<html>"
    with pytest.raises(EnvironmentProblem, match=r"127\.0\.0\.1"):
        JobServer(server.url)
    del server.answers["/api/version"]
    with pytest.raises(EnvironmentProblem, match="no job server of Ray"):
        JobServer(server.url)


def test_another_ray_than_ours_is_refused_with_both_versions(server: Server) -> None:
    server.answers["/api/version"]["ray_version"] = "2.9.0"
    with pytest.raises(EnvironmentProblem, match=rf"the cluster runs Ray 2\.9\.0, this machine {_installed()}"):
        JobServer(server.url)


def test_a_cluster_without_the_gpus_is_refused_unless_it_scales(server: Server, tmp_path: Path) -> None:
    gangs = {**SMALL, "big": Gang(4, 2, 1.0)}
    with pytest.raises(EnvironmentProblem, match=r"no room for model big.*4 CPU and 0 GPU on 1 nodes, and no autosc"):
        submit(JobServer(server.url), of(tmp_path), gangs, attach=False)
    assert server.submitted == []
    server.answers["/api/cluster_status"]["data"] = {
        "clusterStatus": {"autoscalerReport": {"nodeTypeMapping": {"ab": "head"}}}
    }
    submit(JobServer(server.url), of(tmp_path), gangs, attach=False)
    assert len(server.submitted) == 1


def test_a_node_of_a_typed_group_means_an_autoscaler(server: Server) -> None:
    assert not JobServer(server.url).scales()
    labelled = {**NODE, "labels": {"ray.io/node-group": "headgroup"}}
    server.answers["/api/v0/nodes"] = {"data": {"result": {"result": [labelled]}}}
    assert JobServer(server.url).scales()


def test_the_same_sweep_twice_attaches_or_is_refused(server: Server, tmp_path: Path) -> None:
    jobs, submission = JobServer(server.url), of(tmp_path)
    first, _ = submit(jobs, submission, SMALL, attach=False)
    with pytest.raises(EnvironmentProblem, match=f"runs already on this store, as job {first.id}"):
        submit(jobs, submission, SMALL, attach=False)
    assert submit(jobs, submission, SMALL, attach=True) == (first, False)
    changed = replace(submission, wait=1.0)  # not the very same: to follow that job would mislead
    with pytest.raises(EnvironmentProblem, match="runs already"):
        submit(jobs, changed, SMALL, attach=True)
    elsewhere, _ = submit(jobs, of(tmp_path, store="s3://bucket/runs"), SMALL, attach=False)
    assert elsewhere.id == "xsweep-tiny-2"


def test_of_two_at_once_the_server_takes_one(server: Server, tmp_path: Path) -> None:
    server.taken = ["xsweep-tiny-1"]
    job, new = submit(JobServer(server.url), of(tmp_path), SMALL, attach=False)
    assert (job.id, new) == ("xsweep-tiny-2", True)


def test_an_agent_that_is_still_starting_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.warming = 3
    job, _ = submit(JobServer(server.url), of(tmp_path), SMALL, attach=False)
    assert job.id == "xsweep-tiny-1"


@pytest.mark.parametrize(
    ("status", "exit_code", "code", "said"),
    [
        ("SUCCEEDED", 0, 0, "succeeded"),
        *[("FAILED", code, code, f"exit code {code}") for code in (2, 3, 4, 5, 75, 130)],
        ("FAILED", -9, 75, "killed"),
        ("FAILED", 137, 75, "killed"),
        ("FAILED", 1, 5, "exit code 1"),
        ("FAILED", 127, 5, "no command `xsweep`"),
        ("FAILED", None, 5, "did not start: no disk"),
        ("STOPPED", None, 75, "stopped"),
    ],
)
def test_exit_codes_are_carried_through(status: str, exit_code: int | None, code: int, said: str) -> None:
    job = Job("xsweep-tiny-1", "tiny", "/s", "", status, None, None, exit_code, "no\ndisk")
    assert job.ended
    assert job.code == code
    assert said in job.said


def test_a_sweep_means_its_latest_job(server: Server) -> None:
    for number in (1, 2):
        server.add(f"xsweep-tiny-{number}", metadata={NAME: "tiny"}, start_time=1000 * number)
    server.add("by-hand", start_time=5000)
    jobs = JobServer(server.url)
    assert [job.id for job in jobs.jobs()] == ["by-hand", "xsweep-tiny-2", "xsweep-tiny-1"]
    assert jobs.find("tiny").id == "xsweep-tiny-2"
    assert jobs.find("xsweep-tiny-1").id == "xsweep-tiny-1"
    with pytest.raises(UsageError, match="no job or sweep of that name"):
        jobs.find("other")
