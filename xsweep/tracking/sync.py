"""Store -> MLflow: one experiment per sweep, one parent run per launch, one child run per ended stage.

Written with explicit run ids only, so nothing depends on MLflow's process-wide state. A stage is looked up by its
key before it is written, so replaying a store adds nothing; a run whose facts have changed, or that was left half
written, is deleted (MLflow keeps deleted runs until its own garbage collection) and written anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from xsweep.errors import EnvironmentProblem
from xsweep.plan.records import Record
from xsweep.store.failpoint import reach
from xsweep.tracking.client import shown, sqlite_file, tracking
from xsweep.tracking.facts import Facts, distinct, facts, manifests
from xsweep.tracking.reader import Run, experiment, runs

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LONGEST_TAG = 7900
"""MLflow refuses tags of more than 8000 characters."""
_BATCH = 1000
"""MLflow's limit of metrics in one call."""


class Unsent(EnvironmentProblem):
    """The tracking store has not taken all; what it has stays, and is not sent again."""

    def __init__(self, runs: str, problem: str) -> None:
        super().__init__(f"{problem}; {runs} unsent")


@dataclass(frozen=True)
class Launch:
    """One start of the program on a sweep: what its parent run says."""

    id: str
    started: datetime
    command: str
    plan_text: str
    sweep_yaml: str
    store: str = ""
    """Address of the store."""
    report: str = ""
    """Where its report is, or will be."""


def sync(
    sweep_name: str, records: Sequence[Record], uri: str, launch: Launch, going: Callable[[], bool] = lambda: True
) -> int:
    """Bring the tracking store at ``uri`` level with ``records``; returns how many stages were written.

    A launch that has nothing to write leaves no parent run. Raises ``Unsent`` when the tracking store cannot be
    reached, refuses, or was not done while ``going`` held; what was written until then stays and is not written again.
    """
    ended = manifests(records)
    told = {key: facts(record, ended) for key, record in distinct(records).items()}
    try:
        known = runs(uri, sweep_name)
    except EnvironmentProblem as problem:
        raise Unsent(f"up to {len(told)} runs", str(problem)) from problem
    kept, doomed = _sorted_out(known, told)
    missing = [fact for key, fact in told.items() if key not in kept]
    if not missing and not doomed:
        return 0
    written = 0
    try:
        with tracking(uri) as client:
            home = _experiment(client, sweep_name, uri)
            parent = next((run.id for run in known if run.tags.get("xsweep.launch") == launch.id), None)
            parent = parent or (_parent(client, home, launch) if missing else "")
            for run in doomed:
                client.delete_run(run.id)
            for fact in missing:
                if not going():
                    raise EnvironmentProblem(f"MLflow at {shown(uri)} takes runs too slowly")
                _write(client, home, parent, fact)
                written += 1
    except EnvironmentProblem as problem:
        raise Unsent(f"{len(missing) - written} runs", str(problem)) from problem
    return written


def _sorted_out(known: Sequence[Run], told: Mapping[str, Facts]) -> tuple[set[str], list[Run]]:
    """Keys of the stages that have their run, and the runs that are to go: half written, out of date, or second ones.

    A call whose answer was lost is made again, so that one stage can be met twice.
    """
    kept: set[str] = set()
    doomed = []
    for run in known:
        key = run.tags.get("xsweep.key", "")
        if key in kept or _stale(run, told):
            doomed.append(run)
        elif key in told:
            kept.add(key)
    return kept, doomed


def _stale(run: Run, told: Mapping[str, Facts]) -> bool:
    """Whether the run is of a stage at hand, but does not hold just what is known of it."""
    fact = told.get(run.tags.get("xsweep.key", ""))
    return fact is not None and (run.status == "RUNNING" or run.tags.get("xsweep.digest") != fact.digest)


def _experiment(client: MlflowClient, sweep_name: str, uri: str) -> str:
    name = experiment(sweep_name)
    found = client.get_experiment_by_name(name)
    if found is None:
        file = sqlite_file(uri)  # beside the database; MLflow would take the current folder
        artifacts = str(file.resolve().parent / "artifacts") if file else None
        # Or MLflow would open the experiment on its pages for traces of language models.
        return client.create_experiment(name, artifacts, {"mlflow.experimentKind": "custom_model_development"})
    if found.lifecycle_stage != "active":
        restore = f"mlflow experiments restore -x {found.experiment_id}"
        raise EnvironmentProblem(f"the MLflow experiment {name} was deleted; restore it with: {restore}")
    return str(found.experiment_id)


def _parent(client: MlflowClient, home: str, launch: Launch) -> str:
    places = [("Report", launch.report), ("Store", launch.store), ("Command", launch.command)]
    note = "\n".join(f"- {name}: `{place}`" for name, place in places if place)
    note += f"\n- Compare: [the trials of the searches]({_view(home, 'search', 'score')}), "
    note += f"[the scores reported]({_view(home, 'evaluate', 'scale/params')}); narrow either by"
    note += " `params.model`, `params.arm` and `params.target`, choose runs, then *Compare*"
    note += f"\n\n```\n{launch.plan_text.strip()}\n```\n"
    if len(note) > _LONGEST_TAG:
        note = note[: _LONGEST_TAG - 60] + "\n... (the rest is in plan.txt)\n```"
    tags = {
        "xsweep.launch": launch.id,
        "xsweep.stage": "launch",
        "xsweep.command": launch.command[:_LONGEST_TAG],
        "mlflow.note.content": note,
    }
    started = launch.started
    run = client.create_run(
        home, start_time=int(started.timestamp() * 1000), tags=tags, run_name=f"launch {started:%Y-%m-%d %H:%M}"
    ).info.run_id
    _attach(client, run, {"plan.txt": launch.plan_text, "sweep.yaml": launch.sweep_yaml})
    client.set_terminated(run, "FINISHED")
    return str(run)


def _view(home: str, of: str, by: str) -> str:
    """Address of MLflow's table of such runs. Sorted by a metric: by time it would fold them below their launch."""
    chosen = quote(f"params.{'role' if of == 'search' else 'stage'} = '{of}'")
    return f"#/experiments/{home}/runs?searchFilter={chosen}&orderByKey={quote(f'metrics.`{by}`')}&orderByAsc=false"


def _attach(client: MlflowClient, run: str, texts: Mapping[str, str]) -> None:
    """Put texts beside a run; a store of artifacts that takes none is noted, and keeps no run from being written."""
    for name, text in texts.items():
        try:
            client.log_text(run, text, name)
        except Exception as error:  # whatever the library of that store raises
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            client.set_tag(run, "xsweep.artifacts", f"none: {first}"[:_LONGEST_TAG])
            return


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
