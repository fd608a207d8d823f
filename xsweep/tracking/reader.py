"""Reading runs back, through MLflow or, a hundred times faster, straight from its SQLite file.

The file's tables are no public interface, so their columns are checked first; if they are not as expected the
slow way is taken. Both ways give the same runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from xsweep.tracking.client import shown, sqlite_file, tracking

UI_PORT = 5000
UI = f"http://127.0.0.1:{UI_PORT}"
"""Where ``xsweep ui`` serves MLflow's pages unless told otherwise."""

_COLUMNS = {
    "experiments": {"experiment_id", "name", "lifecycle_stage"},
    "runs": {"run_uuid", "experiment_id", "status", "lifecycle_stage"},
    "tags": {"run_uuid", "key", "value"},
    "latest_metrics": {"run_uuid", "key", "value", "is_nan"},
}
_RUNS = """
    SELECT {columns} FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id {join}
    WHERE e.name = ? AND e.lifecycle_stage = 'active' AND r.lifecycle_stage = 'active'
"""


@dataclass
class Run:
    """One run that was not deleted: its tags, and the last value of each metric."""

    id: str
    status: str
    experiment: str
    """Id of its experiment."""
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


def experiment(sweep_name: str) -> str:
    """Name of the sweep's MLflow experiment."""
    return f"xsweep/{sweep_name}"


def runs(uri: str, sweep_name: str) -> list[Run]:
    """Every run of the sweep's experiment, by id; empty when there is no such experiment.

    Raises ``EnvironmentProblem`` when the tracking store cannot be reached.
    """
    file = sqlite_file(uri)
    if file and not file.exists():
        return []
    found = runs_from_sqlite(file, sweep_name) if file else None
    found = runs_from_mlflow(uri, sweep_name) if found is None else found
    return sorted(found, key=lambda run: run.id)


def by_key(found: list[Run]) -> Mapping[str, Run]:
    """Stage key -> its run, of those that were written to their end."""
    return {
        run.tags["xsweep.key"]: run for run in reversed(found) if "xsweep.key" in run.tags and run.status != "RUNNING"
    }


def addresses(uri: str, found: list[Run]) -> dict[str, str]:
    """Stage key -> the page of its run, on the server at ``uri``, or on that of ``xsweep ui`` where it is a file."""
    server = uri.rstrip("/") if uri.startswith(("http://", "https://")) else UI
    return {key: f"{shown(server)}/#/experiments/{run.experiment}/runs/{run.id}" for key, run in by_key(found).items()}


def runs_from_mlflow(uri: str, sweep_name: str) -> list[Run]:
    """The runs through MLflow's own search, page by page."""
    found: list[Run] = []
    with tracking(uri) as client:
        home = client.get_experiment_by_name(experiment(sweep_name))
        token: str | None = ""
        while home is not None and home.lifecycle_stage == "active" and token is not None:
            page = client.search_runs([home.experiment_id], max_results=1000, page_token=token or None)
            for r in page:
                info, tags, metrics = r.info, dict(r.data.tags), dict(r.data.metrics)
                found.append(Run(info.run_id, info.status, info.experiment_id, tags, metrics))
            token = page.token or None
    return found


def runs_from_sqlite(file: Path, sweep_name: str) -> list[Run] | None:
    """The runs straight from MLflow's database; None when its tables are not the ones known here."""
    name = (experiment(sweep_name),)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=ro", uri=True)) as base:
            for table, columns in _COLUMNS.items():
                if not columns <= {row[1] for row in base.execute(f"PRAGMA table_info({table})")}:
                    return None
            found = {
                id: Run(id, status, str(home))
                for id, status, home in base.execute(
                    _RUNS.format(columns="r.run_uuid, r.status, r.experiment_id", join=""), name
                )
            }
            for kind, table, only in (("tags", "tags", ""), ("metrics", "latest_metrics", "AND x.is_nan = 0")):
                join = f"JOIN {table} x ON x.run_uuid = r.run_uuid {only}"
                filled = {id: getattr(run, kind) for id, run in found.items()}
                for id, key, value in base.execute(_RUNS.format(columns="r.run_uuid, x.key, x.value", join=join), name):
                    if id in filled:  # else a run begun since the first query
                        filled[id][key] = value
    except sqlite3.Error:
        return None
    return list(found.values())
