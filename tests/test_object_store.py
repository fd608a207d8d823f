"""A whole sweep with its store on an S3 server: the report of a local one, and nothing of the credentials anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import S3, SECRET, make_bucket, s3_server
from tests.tiny import SWEEP, sweep_file, universe
from xsweep.store.s3 import Bucket

pytestmark = [pytest.mark.ray, pytest.mark.slow]
SMALL = SWEEP.replace("  - {name: t2, id: org/tiny-2, pooling: mean}\n", "").replace("trials: 2", "trials: 1")


@pytest.fixture
def server() -> Iterator[S3]:
    with s3_server() as running:
        make_bucket(running, "results")
        yield running


def xsweep(folder: Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    own = {**os.environ, **environment, "XSWEEP_CACHE": str(folder / "cache"), "HOME": str(folder)}
    call = [sys.executable, "-m", "xsweep.cli", *words]
    return subprocess.run(call, capture_output=True, text=True, env=own, timeout=500, cwd=folder, check=False)


def tables(report: Path) -> dict[str, bytes]:
    """Every result table of a report; those with times are not results."""
    return {path.name: path.read_bytes() for path in (report / "tables").glob("*.csv") if "time" not in path.name}


def test_a_sweep_in_a_bucket_is_one_in_a_folder(server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, file = universe(tmp_path), sweep_file(tmp_path, SMALL)
    run = ("run", str(file), "--mirror", str(mirror), "--store")
    lost = xsweep(tmp_path, server.environment, *run, "s3://nowhere/x")
    assert lost.returncode == 5, lost.stderr
    assert "there is no bucket nowhere; make it first" in lost.stderr
    assert "Traceback" not in lost.stderr
    done = xsweep(tmp_path, server.environment, *run, "s3://results/pilot")
    assert done.returncode == 0, done.stdout + done.stderr
    calls = len(server.calls)
    again = xsweep(tmp_path, server.environment, *run, "s3://results/pilot")
    assert again.returncode == 0, again.stdout + again.stderr
    local = xsweep(tmp_path, {}, *run, "local")
    assert local.returncode == 0, local.stdout + local.stderr
    found = tables(tmp_path / "runs" / "results" / "pilot" / "reports" / "tiny")
    assert found
    assert found == tables(tmp_path / "local" / "reports" / "tiny")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket("s3://results/pilot")
    assert {f"tiny/tables/{name}" for name in found} <= set(bucket.sizes("reports"))
    stages = bucket.names("stages")
    assert calls / len(stages) < 100, "calls to S3 a stage"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    kept = (bucket.get(f"{part}/{name}") for part in ("stages", "reports", "decisions") for name in bucket.sizes(part))
    texts = [path.read_bytes() for path in written] + [found.data for found in kept if found]
    assert not [text for text in texts if SECRET.encode() in text]
