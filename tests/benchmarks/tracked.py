"""Seconds to read 10,000 tracked runs of 30 metrics into a Polars frame, and by MLflow's own search, side by side.

One run is told to MLflow as a sweep tells it, and copied inside MLflow's SQLite database under other ids.

    python -m tests.benchmarks.tracked [RUNS]
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import mlflow

from tests import made_up
from xsweep.tracking.frames import read_runs
from xsweep.tracking.reader import runs
from xsweep.tracking.sync import Launch, sync

NAME, METRICS = "tracked", 30


def fill(uri: str, file: Path, total: int) -> None:
    """One scored run of 30 metrics (15 languages, each a score and a count) as told by ``sync``, ``total`` times."""
    sweep = made_up.sweep(models=[made_up.SMALL], seeds=(1,))
    scored = [record for record in made_up.records(sweep) if (record.kind, record.role) == ("evaluate", "report")]
    sync(NAME, scored[:1], uri, Launch("launch-1", datetime.now(UTC), "xsweep run", "plan", f"name: {NAME}"))
    [run] = [run for run in runs(uri, NAME) if "xsweep.key" in run.tags]
    prefix = f"eval/{run.tags['xsweep.target']}"
    names = [f"{prefix}/l{code:02}/{name}" for code in range(METRICS // 2) for name in ("accuracy", "n")]
    with closing(sqlite3.connect(file)) as base, base:
        base.execute("DELETE FROM latest_metrics WHERE run_uuid = ?", (run.id,))
        columns = {table: [row[1] for row in base.execute(f"PRAGMA table_info({table})")] for table in ("runs", "tags")}
        rest = ", ".join(columns["runs"][1:])
        tags = base.execute("SELECT * FROM tags WHERE run_uuid = ?", (run.id,)).fetchall()
        place = columns["tags"].index("run_uuid"), columns["tags"].index("key"), columns["tags"].index("value")
        for number in range(total):
            id = run.id if number == 0 else f"{number:032x}"
            if number:
                base.execute(f"INSERT INTO runs SELECT ?, {rest} FROM runs WHERE run_uuid = ?", (id, run.id))
                for row in map(list, tags):
                    row[place[0]] = id
                    if row[place[1]] == "xsweep.key":
                        row[place[2]] = id
                    base.execute(f"INSERT INTO tags VALUES ({', '.join('?' * len(row))})", row)
            rows = [(name, 50.0 + number % 7, 0, 0, 0, id) for name in names]
            written = "key, value, timestamp, step, is_nan, run_uuid"
            base.executemany(f"INSERT INTO latest_metrics ({written}) VALUES (?, ?, ?, ?, ?, ?)", rows)


def main(total: int = 10_000) -> None:
    """Print both times and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mlflow.db"
        uri = f"sqlite:///{file}"
        fill(uri, file, total)
        begin, cpu = time.perf_counter(), time.process_time()
        frame = read_runs(uri, NAME)
        ours = time.perf_counter() - begin
        print(f"xsweep: {total} runs x {METRICS} metrics -> {frame.height} rows in {ours:.2f} s "
              f"({time.process_time() - cpu:.2f} CPU-s)")  # fmt: skip
        assert frame.height == total * METRICS // 2
        mlflow.set_tracking_uri(uri)
        begin, found, token = time.perf_counter(), 0, None
        client = mlflow.MlflowClient(uri)
        home = client.get_experiment_by_name(f"xsweep/{NAME}")
        assert home is not None
        while True:
            page = client.search_runs([home.experiment_id], max_results=1000, page_token=token)
            found, token = found + len(page), page.token
            if not token:
                break
        theirs = time.perf_counter() - begin
        print(f"MLflow's search: {found} runs in {theirs:.2f} s, {theirs / ours:.0f} times as long")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
