from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import polars as pl
import pytest

from tests import made_up
from xsweep.errors import EnvironmentProblem
from xsweep.plan.records import Record
from xsweep.tracking.client import shown, tracking
from xsweep.tracking.frames import SCORES, read_runs, scores_from_records
from xsweep.tracking.reader import Run, experiment, runs, runs_from_mlflow, runs_from_sqlite
from xsweep.tracking.sync import Launch, sync

SWEEP = made_up.sweep(models=[made_up.SMALL], seeds=(1, 2), arms=made_up.sweep().arms[:2])
LAUNCH = Launch("launch-1", datetime(2026, 11, 22, tzinfo=UTC), "xsweep run made-up.yaml", "the plan", "name: made-up")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for the module, as making its tables takes seconds; each test has an experiment of its own."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db"


def children(uri: str, name: str) -> list[Run]:
    return [run for run in runs(uri, name) if "xsweep.key" in run.tags]


def reported(**how: Any) -> list[Record]:
    """Records without the trials: fewer runs to write where they add nothing."""
    return [record for record in made_up.records(SWEEP, **how) if record.role == "report"]


def of_seed(records: list[Record], *seeds: int) -> list[Record]:
    return [record for record in records if record.seed in seeds]


def test_syncing_twice_adds_nothing_and_a_seed_adds_itself(uri: str) -> None:
    records = made_up.records(SWEEP)
    first = of_seed(records, 0, 1)
    assert sync("twice", first, uri, LAUNCH) == len(first)
    before = runs(uri, "twice")
    assert len(before) == len(first) + 1  # and the launch
    assert sync("twice", first, uri, LAUNCH) == 0
    assert sync("twice", first, uri, replace(LAUNCH, id="launch-2")) == 0
    assert runs(uri, "twice") == before
    assert sync("twice", records, uri, replace(LAUNCH, id="launch-3")) == len(records) - len(first)
    after = {run.id for run in runs(uri, "twice")}
    assert {run.id for run in before} < after
    assert len(after) == len(records) + 2
    assert read_runs(uri, "twice").equals(scores_from_records(records))


def test_both_readers_equal_the_records(uri: str) -> None:
    def scores(*where: object) -> float | None:
        return None if where == ("small", "snli", "xnli", 1, "sw") else made_up.score(*where)  # type: ignore[arg-type]

    records = reported(
        missing=[("small", "none", "xquad", 2)], scores=scores, same_data=[("snli", "xnli")],
        statuses={("target", ("small", "snli", "xquad", 1)): "degenerate",
                  ("evaluate", ("small", "none", "xnli", 2)): "failed"},
    )  # fmt: skip
    sync("equal", records, uri, LAUNCH)
    expected = scores_from_records(records)
    found = read_runs(uri, "equal")
    assert found.schema == SCORES
    assert found.equals(expected)
    assert set(expected["status"]) == {"ok", "degenerate"}
    assert expected.filter(pl.col("language") == "sw", target="xnli", arm="snli", seed=1).height == 0
    file = Path(uri.removeprefix("sqlite:///"))
    fast = runs_from_sqlite(file, "equal")
    assert fast
    assert sorted(fast, key=lambda r: r.id) == sorted(runs_from_mlflow(uri, "equal"), key=lambda r: r.id)


def test_reading_can_leave_out_cells_that_the_sweep_has_lost(uri: str) -> None:
    records = reported()
    sync("lost", records, uri, LAUNCH)
    kept = of_seed(records, 1)
    assert read_runs(uri, "lost", {r.key for r in kept if r.key}).equals(scores_from_records(kept))


def test_runs_are_nested_once_and_their_status_is_the_stages(uri: str) -> None:
    records = reported(statuses={("target", ("small", "snli", "xnli", 1)): "failed"})
    sync("nested", records, uri, LAUNCH)
    parent = next(run for run in runs(uri, "nested") if "xsweep.launch" in run.tags)
    assert "the plan" in parent.tags["mlflow.note.content"]
    assert {run.tags["mlflow.parentRunId"] for run in children(uri, "nested")} == {parent.id}
    assert "mlflow.parentRunId" not in parent.tags
    failed = [run for run in children(uri, "nested") if run.status == "FAILED"]
    assert [run.tags["xsweep.status"] for run in failed] == ["failed"]


def test_a_stage_that_succeeds_later_replaces_its_failure(uri: str) -> None:
    cell = ("small", "snli", "xnli", 1)
    sync("again", reported(statuses={("evaluate", cell): "failed"}), uri, LAUNCH)
    records = reported()
    assert sync("again", records, uri, LAUNCH) == 1
    assert len(children(uri, "again")) == len(records)
    assert read_runs(uri, "again").equals(scores_from_records(records))


def test_a_run_left_half_written_is_replaced(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    records = reported()
    done = mlflow.MlflowClient.set_terminated
    calls = iter(range(1000))

    def cut(self: mlflow.MlflowClient, run_id: str, *rest: object) -> None:
        if next(calls) == 5:
            raise OSError("the machine went away")
        done(self, run_id, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", cut)
    with pytest.raises(EnvironmentProblem, match="the machine went away"):
        sync("half", records, uri, LAUNCH)
    monkeypatch.undo()
    assert [run.status for run in children(uri, "half")].count("RUNNING") == 1
    assert sync("half", records, uri, LAUNCH) == len(records) - 4  # the launch's own run was the first call
    assert len(children(uri, "half")) == len(records)
    assert {run.status for run in children(uri, "half")} == {"FINISHED"}


def test_mlflow_finds_trials_by_tag_and_params(uri: str) -> None:
    sync("search", [r for r in made_up.records(SWEEP) if r.role == "search"], uri, LAUNCH)
    with tracking(uri) as client:
        home = client.get_experiment_by_name(experiment("search"))
        assert home
        found = client.search_runs([home.experiment_id], "tags.`xsweep.study` LIKE 'study-%' and params.lr = '3e-05'")
        assert len(found) == 10  # two trials of five searches
        assert {run.data.metrics["score"] for run in found} == {61.0}
        history = client.get_metric_history(found[0].info.run_id, "dev/loss")
        assert [(m.step, m.value) for m in sorted(history, key=lambda m: m.step)] == [(1, 1.1), (2, 0.9)]
        assert found[0].info.end_time - found[0].info.start_time == 10_500


def test_a_long_plan_is_cut_to_what_mlflow_takes(uri: str) -> None:
    assert sync("long", made_up.records(SWEEP)[:1], uri, replace(LAUNCH, plan_text="x" * 20_000)) == 1
    assert len(runs(uri, "long")) == 2


def test_a_deleted_experiment_is_named(uri: str) -> None:
    records = made_up.records(SWEEP)[:1]
    sync("deleted", records, uri, LAUNCH)
    with tracking(uri) as client:
        home = client.get_experiment_by_name(experiment("deleted"))
        assert home
        client.delete_experiment(home.experiment_id)
    with pytest.raises(EnvironmentProblem, match="restore"):
        sync("deleted", records, uri, LAUNCH)


def test_nothing_synced_reads_as_an_empty_frame(tmp_path: Path, uri: str) -> None:
    for address in (uri, f"sqlite:///{tmp_path}/none.db"):
        frame = read_runs(address, "never")
        assert frame.height == 0
        assert frame.schema == SCORES
    assert not (tmp_path / "none.db").exists()


def test_a_foreign_database_is_not_read_as_mlflows(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("this is no database")
    assert runs_from_sqlite(tmp_path / "notes.db", "x") is None
    with pytest.raises(EnvironmentProblem, match=r"notes\.db"):
        runs(f"sqlite:///{tmp_path}/notes.db", "x")


@contextmanager
def server(answer: bytes) -> Iterator[str]:
    """A server that takes every connection, says ``answer`` and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                held.append(connection)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for connection in held:
            connection.close()


def test_a_server_that_is_not_there_is_said_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(EnvironmentProblem, match="cannot be reached"):
        sync("x", made_up.records(SWEEP), f"http://127.0.0.1:{port}", LAUNCH)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n"], ids=["silent", "not http"])
def test_a_server_that_does_not_speak_is_said_within_seconds(answer: bytes) -> None:
    start = time.monotonic()
    with server(answer) as uri, pytest.raises(EnvironmentProblem, match="cannot be reached"):
        read_runs(uri, "x")
    assert time.monotonic() - start < 10


def test_passwords_are_not_shown() -> None:
    assert shown("postgresql://me:secret@host/db") == "postgresql://host/db"
    assert shown("sqlite:////data/mlflow.db") == "sqlite:////data/mlflow.db"
