"""Store -> MLflow: one experiment per sweep, one parent run per launch, one child run per ended stage.

Written with explicit run ids only, so nothing depends on MLflow's process-wide state. A stage is looked up by its
key before it is written, so replaying a store adds nothing; a run whose facts have changed, or that was left half
written, is deleted (MLflow keeps deleted runs until its own garbage collection) and written anew.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from xsweep.errors import EnvironmentProblem
from xsweep.plan.records import Record
from xsweep.store.failpoint import reach
from xsweep.tracking.client import sqlite_file, tracking
from xsweep.tracking.facts import Facts, distinct, facts, manifests
from xsweep.tracking.reader import Run, experiment, runs

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LONGEST_TAG = 7900
"""MLflow refuses tags of more than 8000 characters."""
_BATCH = 1000
"""MLflow's limit of metrics in one call."""


@dataclass(frozen=True)
class Launch:
    """One start of the program on a sweep: what its parent run says."""

    id: str
    started: datetime
    command: str
    plan_text: str
    sweep_yaml: str


def sync(sweep_name: str, records: Sequence[Record], uri: str, launch: Launch) -> int:
    """Bring the tracking store at ``uri`` level with ``records``; returns how many stages were written.

    A launch that has nothing to write leaves no parent run. Raises ``EnvironmentProblem`` when the tracking store
    cannot be reached or refuses; what was written until then stays and is not written again.
    """
    ended = manifests(records)
    told = {key: facts(record, ended) for key, record in distinct(records).items()}
    known = runs(uri, sweep_name)
    stale = [run for run in known if _stale(run, told)]
    kept = {run.tags.get("xsweep.key") for run in known} - {run.tags.get("xsweep.key") for run in stale}
    missing = {key: fact for key, fact in told.items() if key not in kept}
    if not missing:
        return 0
    with tracking(uri) as client:
        home = _experiment(client, sweep_name, uri)
        parent = next((run.id for run in known if run.tags.get("xsweep.launch") == launch.id), None)
        parent = parent or _parent(client, home, launch)
        for run in stale:
            client.delete_run(run.id)
        for fact in missing.values():
            _write(client, home, parent, fact)
    return len(missing)


def _stale(run: Run, told: Mapping[str, Facts]) -> bool:
    """Whether the run is of a stage at hand, but does not hold just what is known of it."""
    fact = told.get(run.tags.get("xsweep.key", ""))
    return fact is not None and (run.status == "RUNNING" or run.tags.get("xsweep.digest") != fact.digest)


def _experiment(client: MlflowClient, sweep_name: str, uri: str) -> str:
    name = experiment(sweep_name)
    found = client.get_experiment_by_name(name)
    if found is None:
        file = sqlite_file(uri)  # nothing is put there, but MLflow would note the current folder
        return client.create_experiment(name, str(file.resolve().parent / "artifacts") if file else None)
    if found.lifecycle_stage != "active":
        restore = f"mlflow experiments restore -x {found.experiment_id}"
        raise EnvironmentProblem(f"the MLflow experiment {name} was deleted; restore it with: {restore}")
    return str(found.experiment_id)


def _parent(client: MlflowClient, home: str, launch: Launch) -> str:
    note = f"```\n{launch.plan_text.strip()}\n```\n\n`{launch.command}`\n\n```yaml\n{launch.sweep_yaml.strip()}\n```"
    if len(note) > _LONGEST_TAG:
        note = note[: _LONGEST_TAG - 40] + "\n... (cut)\n```"
    tags = {
        "xsweep.launch": launch.id,
        "xsweep.stage": "launch",
        "xsweep.command": launch.command[:_LONGEST_TAG],
        "mlflow.note.content": note,
    }
    started = launch.started
    run = client.create_run(
        home, start_time=int(started.timestamp() * 1000), tags=tags, run_name=f"launch {started:%Y-%m-%d %H:%M}"
    )
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)


def _write(client: MlflowClient, home: str, parent: str, fact: Facts) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    tags = {"xsweep.key": fact.tags["xsweep.key"], "mlflow.parentRunId": parent}
    run = client.create_run(home, now - int(fact.seconds * 1000), tags, fact.name).info.run_id
    reach("tracking.begun")
    metrics = [Metric(key, value, now, step) for key, value, step in fact.metrics]
    params = [Param(key, value) for key, value in fact.params.items()]
    labels = [RunTag(key, value) for key, value in {**fact.tags, "xsweep.digest": fact.digest}.items()]
    client.log_batch(run, metrics[:_BATCH], params, labels)
    for start in range(_BATCH, len(metrics), _BATCH):
        client.log_batch(run, metrics[start : start + _BATCH])
    reach("tracking.told")
    # Last: until here the run counts as half written, and the next sync would replace it.
    client.set_terminated(run, "FINISHED" if fact.finished else "FAILED", now)
