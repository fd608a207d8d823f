"""Runs on a real ``mlflow server`` over HTTP: with SQLite and with PostgreSQL, its artifacts on an S3 server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests import made_up
from tests.servers import S3, SECRET, MlflowServer, make_bucket, mlflow_server, postgres_server, s3_server
from xsweep.plan.records import Record
from xsweep.tracking.client import tracking
from xsweep.tracking.frames import read_runs, scores_from_records
from xsweep.tracking.reader import Run, experiment, runs
from xsweep.tracking.sync import Launch, Unsent, sync

SWEEP = made_up.sweep(models=[made_up.SMALL], seeds=(1,), arms=made_up.sweep().arms[:2])
LAUNCH = Launch(
    "launch-1", datetime(2026, 11, 22, tzinfo=UTC), "xsweep run made-up.yaml", "the plan\n" * 2000, "name: made-up",
    store="s3://results/pilot", report="runs/reports/pilot/report.html",
)  # fmt: skip


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as running:
        make_bucket(running, "artifacts")
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("server")
    if request.param == "postgresql":
        with (
            postgres_server(folder) as backend,
            mlflow_server(backend, "s3://artifacts/runs", s3.environment) as running,
        ):
            yield running
    else:
        with mlflow_server(f"sqlite:///{folder}/mlflow.db", "s3://artifacts/runs", s3.environment) as running:
            yield running


def reported() -> list[Record]:
    """A few records; one has a score that is no number."""

    def score(*where: object) -> float | None:
        return float("nan") if where[-1] == "sw" and where[1] == "snli" else made_up.score(*where)  # type: ignore[arg-type]

    return [record for record in made_up.records(SWEEP, scores=score) if record.role == "report"]


def children(uri: str, name: str) -> list[Run]:
    return [run for run in runs(uri, name) if "xsweep.key" in run.tags]


def said(found: list[Run]) -> list[Any]:
    """What runs say, less what each server chooses itself."""
    own = ("mlflow.parentRunId", "mlflow.user")
    return sorted(
        (run.status, sorted(item for item in run.tags.items() if item[0] not in own), sorted(run.metrics.items()))
        for run in found
    )


@pytest.mark.slow
def test_a_server_holds_the_same_runs_as_a_file(server: MlflowServer, s3: S3, tmp_path: Path) -> None:
    records = reported()
    uri, file = server.address, f"sqlite:///{tmp_path}/mlflow.db"
    assert sync("same", records, uri, LAUNCH) == sync("same", records, file, LAUNCH) == len(records)
    assert said(children(uri, "same")) == said(children(file, "same"))
    assert read_runs(uri, "same").equals(scores_from_records(records))
    before = runs(uri, "same")
    assert sync("same", records, uri, replace(LAUNCH, id="launch-2")) == 0
    assert runs(uri, "same") == before
    odd = [run for run in before if "xsweep.nonfinite" in run.tags]
    assert odd
    assert not [name for run in odd for name, value in run.metrics.items() if value != value]
    with tracking(uri) as client:
        parent = next(run for run in before if "xsweep.launch" in run.tags)
        assert {found.path for found in client.list_artifacts(parent.id)} == {"plan.txt", "sweep.yaml"}
    assert any(call.startswith("PUT /artifacts/runs/") and call.endswith("/plan.txt") for call in s3.calls)
    note = parent.tags["mlflow.note.content"]
    assert "- Report: `runs/reports/pilot/report.html`\n- Store: `s3://results/pilot`" in note
    assert "the rest is in plan.txt" in note
    assert SECRET not in str(before)


@pytest.mark.slow
def test_a_stage_met_twice_is_told_once(server: MlflowServer) -> None:
    """An answer that was lost: the run is there, and the call was made again."""
    records, uri = reported(), server.address
    sync("doubled", records, uri, LAUNCH)
    with tracking(uri) as client:
        home = client.get_experiment_by_name(experiment("doubled"))
        assert home
        for run in children(uri, "doubled")[:2]:
            client.create_run(home.experiment_id, tags={"xsweep.key": run.tags["xsweep.key"]})
            again = client.create_run(home.experiment_id, tags=run.tags)
            client.set_terminated(again.info.run_id)
    assert len(children(uri, "doubled")) == len(records) + 4
    assert sync("doubled", records, uri, LAUNCH) == 0
    assert len({run.tags["xsweep.key"] for run in children(uri, "doubled")}) == len(records)
    assert len(children(uri, "doubled")) == len(records)
    assert read_runs(uri, "doubled").equals(scores_from_records(records))


@pytest.mark.slow
def test_a_server_that_goes_away_is_caught_up_with(server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    records, uri = reported(), server.address
    done, calls = mlflow.MlflowClient.set_terminated, iter(range(1000))

    def cut(self: mlflow.MlflowClient, *rest: Any) -> None:
        if next(calls) == 3:
            server.stop()
        done(self, *rest)

    monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", cut)
    with pytest.raises(Unsent, match=f"; {len(records) - 2} runs unsent"):
        sync("outage", records, uri, LAUNCH)
    monkeypatch.undo()
    with pytest.raises(Unsent, match=f"cannot be reached: .*; up to {len(records)} runs unsent"):
        sync("outage", records, uri, LAUNCH)
    server.start()
    assert sync("outage", records, uri, LAUNCH) == len(records) - 2
    assert said(children(uri, "outage")) == said(children(uri, "same"))


@contextmanager
def toy(status: int, seconds: float = 0.0) -> Iterator[tuple[str, list[str]]]:
    """A server that is well, it says, and answers every other call with ``status``, after a while."""
    asked: list[str] = []
    going = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self.reply(200)
                return
            asked.append(self.path)
            going.wait(seconds)
            self.reply(status)

        do_POST = do_GET  # noqa: N815  # http.server's own name

        def reply(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Retry-After", "3600")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", asked
    going.set()
    httpd.shutdown()
    httpd.server_close()


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_asked_three_times_whatever_it_says(status: int) -> None:
    with toy(status) as (uri, asked), pytest.raises(Unsent, match=r"runs unsent") as caught:
        sync("x", reported(), uri, LAUNCH)
    assert len(asked) == 3
    assert "\n" not in str(caught.value)


def test_a_server_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with toy(200, seconds=3600) as (uri, asked), pytest.raises(Unsent, match=r"runs unsent"):
        sync("x", reported(), uri, LAUNCH)
    assert len(asked) == 2


def test_shipping_ends_where_it_is_told_to(tmp_path: Path) -> None:
    records, uri = reported(), f"sqlite:///{tmp_path}/mlflow.db"
    looks = iter([True, True, False])
    with pytest.raises(Unsent, match=f"takes runs too slowly; {len(records) - 2} runs unsent"):
        sync("short", records, uri, LAUNCH, lambda: next(looks))
    assert sync("short", records, uri, LAUNCH) == len(records) - 2
