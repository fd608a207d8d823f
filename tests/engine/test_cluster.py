"""Starting and ending Ray: in a process of its own, so that what is left behind can be counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.engine.conftest import ROOT

pytestmark = pytest.mark.ray

SCRIPT = """
import json, os, signal, sys, time
import psutil
from pathlib import Path
from xsweep.engine.cluster import Cluster
from xsweep.engine.pool import GroupPool
from xsweep.spec.sweep import Layout
from tests.engine import stubs

folder = Path(sys.argv[1])
signal.signal(signal.SIGTERM, mine := lambda *_: None)
before = dict(os.environ)
with Cluster(cpus=1) as cluster, GroupPool(cluster, [Layout().gang], folder, stubs.RUNNER, groups=1) as pool:
    assert signal.getsignal(signal.SIGTERM) is mine
    pool.submit(stubs.job()).result(timeout=200)
    private = cluster.scratch.parent
    seen = {p.pid: p.create_time() for p in psutil.Process().children(recursive=True)}
    pool.submit(stubs.job("wait:300"))
    start = time.monotonic()
print(json.dumps({
    "pids": seen, "kept": private.exists(), "end": time.monotonic() - start,
    "changed": sorted({name for name, _ in dict(os.environ).items() ^ before.items()}),
    "handler": signal.getsignal(signal.SIGTERM) is mine,
}))
"""


def test_nothing_is_left_of_ray(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1, done.stdout  # no chatter
    told = json.loads(done.stdout)
    print(f"\nended {told['end']:.1f} s after")
    assert told["changed"] == []
    assert told["handler"]
    assert not (tmp_path / ".ray").exists()
    assert len(told["pids"]) > 5
    left = [int(pid) for pid, born in told["pids"].items() if _alive_since(int(pid)) == born]
    assert left == []
    assert not told["kept"]


def _alive_since(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return 0.0
