"""The service as a whole: a head with tokens, MLflow on PostgreSQL, artifacts and store on S3, a job that is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests import clusters
from tests.clusters import Head
from tests.servers import S3, SECRET, make_bucket, mlflow_server, postgres_server, s3_server
from tests.test_end_to_end import tables, xsweep
from tests.test_quickstart import CUTS, QUICKSTART
from xsweep.store.s3 import Bucket
from xsweep.tracking.reader import runs_from_mlflow

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1800)]
STORE = "s3://results/team"


@dataclass
class Service:
    head: Head
    s3: S3
    mlflow: str


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with s3_server() as s3:
        make_bucket(s3, "results")
        make_bucket(s3, "artifacts")
        with (
            postgres_server(tmp_path) as backend,
            mlflow_server(backend, "s3://artifacts/mlflow", s3.environment) as server,
            clusters.head("--num-cpus=2", '--resources={"driver": 1}', settings=s3.environment) as head,
        ):
            yield Service(head, s3, server.address)


def quickstart(folder: Path) -> Path:
    """The shipped quickstart of one small encoder, one arm and one target."""
    text = QUICKSTART.read_text("utf-8")
    for old, new in {**CUTS, "models: [world-24, world-48, world-96]": "models: [world-24]"}.items():
        text = text.replace(old, new)
    folder.mkdir()
    (folder / "quickstart.yaml").write_text(text, "utf-8")
    return folder


def kill_job(head: Head) -> None:
    """Kill the job's command and all that it has started itself, with -9."""
    [node] = head.processes
    killed = 0
    for process in psutil.Process(node.pid).children(recursive=True):
        words = process.cmdline() if process.is_running() else []
        if "run" in words and "quickstart.yaml" in words:
            process.kill()
            killed += 1
    assert killed


def test_a_job_that_is_killed_and_submitted_again_comes_to_the_tables_of_a_local_run(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, work = service.head, quickstart(tmp_path / "work")
    for name, value in service.s3.environment.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket(STORE)
    submit = ("submit", "quickstart.yaml", "--store", STORE, "--tracking", service.mlflow)

    refused = head.xsweep(work, *submit, token="0" * 64)
    assert (refused.returncode, refused.stderr.count("\n")) == (5, 1)
    with ThreadPoolExecutor(2) as both:
        twice = [done.result() for done in [both.submit(head.xsweep, work, *submit) for _ in range(2)]]
    assert sorted(done.returncode for done in twice) == [0, 5], [done.stdout + done.stderr for done in twice]
    assert any("runs already on this store, as job xsweep-quickstart-1" in done.stderr for done in twice)

    end = time.monotonic() + 400
    while len([name for name in bucket.sizes("stages") if name.endswith("/manifest.json")]) < 3:
        assert time.monotonic() < end, head.xsweep(work, "logs", "quickstart").stdout
        time.sleep(0.5)
    kill_job(head)
    assert head.xsweep(work, "logs", "-f", "quickstart").returncode not in (0, 2, 3, 4)
    again = head.xsweep(work, *submit, "--follow")
    assert again.returncode == 0, again.stdout + again.stderr
    jobs = json.loads(head.xsweep(work, "jobs", "--json").stdout)
    assert [job["status"] for job in jobs] == ["SUCCEEDED", "FAILED"]
    assert service.mlflow in again.stdout

    local = quickstart(tmp_path / "local")
    done = xsweep(local, "run", "quickstart.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    expected = tables(local, "quickstart")
    kept = {name: bucket.get(f"reports/quickstart/tables/{name}") for name in expected}
    assert {name: found.data for name, found in kept.items() if found} == expected
    told = [
        run.tags["xsweep.key"] for run in runs_from_mlflow(service.mlflow, "quickstart") if "xsweep.key" in run.tags
    ]
    ended = [name for name in bucket.sizes("stages") if name.endswith("/manifest.json")]
    assert len(told) == len(set(told)) == len(ended)
    assert SECRET not in again.stdout + json.dumps(jobs)
