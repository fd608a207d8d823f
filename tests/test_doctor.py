"""`xsweep doctor`: every check in every state, each with what to do."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli import xsweep
from tests.tiny import sweep_file, universe
from xsweep.doctor import check_contents, check_lease, check_store, check_tracking, text
from xsweep.engine import machine
from xsweep.engine.machine import Check
from xsweep.spec.sweep import Layouts
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store

KEY = "a" * 32
WANTED = ["ray>=2.60,<2.62", "torch>=2.10", "peft>=0.17; extra == 'lora'"]


def installed(**versions: str) -> Callable[[str], str]:
    def version(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    return version


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


MACHINE: list[tuple[Check, str, str]] = [
    (machine.check_versions(installed(ray="2.60.0", torch="2.13.0"), WANTED), "ok", "ray 2.60.0, torch 2.13.0"),
    (
        machine.check_versions(installed(ray="2.40.0", torch="2.13.0"), WANTED),
        "fail",
        "ray 2.40.0 is not <2.62",
    ),
    (machine.check_versions(installed(ray="2.60.0"), WANTED), "fail", "torch is missing: install"),
    (machine.check_cores(2, Layouts(workers=2), True), "ok", "2"),
    (machine.check_cores(2, Layouts(workers=2, cpus=2), True), "fail", "a group of workers takes 4: lower layout"),
    (machine.check_cores(2, Layouts(workers=2, cpus=2), False), "ok", "2"),
    (machine.check_cores(2, Layouts(), True), "ok", "2"),
    (machine.check_memory(8 * 10**9, 16 * 10**9), "ok", "8.0 GB free of 16.0 GB"),
    (machine.check_memory(10**9, 16 * 10**9), "warn", "close other programs"),
    (machine.check_shared_memory(10**9), "ok", "1 GB free"),
    (machine.check_shared_memory(64 * 2**20), "warn", "--shm-size"),
    (machine.check_shared_memory(None), "warn", "no /dev/shm"),
    (machine.check_disk(Path("/x"), 50 * 10**9), "ok", "50.0 GB free at /x"),
    (machine.check_disk(Path("/x"), 5 * 10**9), "warn", "xsweep gc"),
    (machine.check_disk(Path("/x"), 10**8), "fail", "free some"),
    (machine.check_gpus([], Layouts(), True), "ok", "none"),
    (machine.check_gpus(["H200"] * 2, Layouts(gpus=1), True), "ok", "2 x H200"),
    (machine.check_gpus([], Layouts(gpus=1), True), "fail", "use --address, or set layout.gpus: 0"),
    (machine.check_gpus([], Layouts(gpus=1), False), "ok", "none"),
    (machine.check_cluster(None), "ok", "a private one"),
    (machine.check_cluster("auto"), "warn", "name it as HOST:PORT"),
    (machine.check_cluster("nonsense"), "fail", "a cluster's is HOST:PORT"),
    (machine.check_cluster("127.0.0.1:1"), "fail", "127.0.0.1:1 does not answer"),
    (machine.check_cluster("127.0.0.1:99999"), "fail", "does not answer"),
]


@pytest.mark.parametrize(("check", "state", "said"), MACHINE, ids=[f"{c.name} {s}" for c, s, _ in MACHINE])
def test_the_machine(check: Check, state: str, said: str) -> None:
    assert (check.state, said in check.said) == (state, True), check


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "http://127.0.0.1:{}/"])
def test_a_cluster_that_answers(form: str) -> None:
    with listening() as server:
        assert machine.check_cluster(form.format(server.getsockname()[1])).state == "ok"


@pytest.mark.parametrize(
    ("environment", "mode", "state", "said"),
    [
        ({}, 0o600, "fail", "set RAY_AUTH_MODE=token"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "canary"}, 0o600, "ok", "from RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_MODE": "token"}, 0o600, "ok", "auth_token"),
        ({"RAY_AUTH_MODE": "token"}, 0o644, "fail", "mode 0644, so others can read it: chmod 600"),
        ({"RAY_AUTH_MODE": "token"}, None, "fail", "no such file"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nowhere/token"}, 0o600, "fail", "/nowhere/token"),
    ],
)
def test_the_token(tmp_path: Path, environment: dict[str, str], mode: int | None, state: str, said: str) -> None:
    if mode is not None:
        path = tmp_path / ".ray" / "auth_token"
        path.parent.mkdir()
        path.write_text("canary")
        path.chmod(mode)
    check = machine.check_token("head:6379", environment, tmp_path)
    assert (check.state, said in check.said) == (state, True), check
    assert "canary" not in check.said
    assert machine.check_token(None, environment, tmp_path).state == "ok"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "runs")
    weights = store.work(KEY) / "m"
    weights.write_bytes(b"weights")
    metrics = {"score": 51.5}
    manifest = Manifest(key=KEY, kind="target", status="ok", metrics=metrics)
    store.commit(manifest, {"metrics.json": json.dumps(metrics).encode()}, {"m": weights})
    store.decide("d" * 32, {"lr": 1e-5})
    return store


def forge(path: Path) -> None:
    path.write_text(path.read_text().replace("51.5", "61.5"))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda root: None, ""),
        (lambda root: forge(root / "stages" / KEY / "manifest.json"), "results/metrics.json"),
        (lambda root: forge(root / "stages" / KEY / "results" / "metrics.json"), "results/metrics.json"),
        (lambda root: (root / "stages" / KEY / "manifest.json").write_text("{"), "manifest.json"),
        (lambda root: (root / "stages" / KEY / "results" / "metrics.json").unlink(), "metrics.json"),
        (lambda root: (root / "stages" / KEY / "weights" / "m").write_bytes(b"we"), f"{KEY}/weights"),
        (lambda root: (root / "decisions" / f"{'d' * 32}.json").write_text("["), "dddd.json"),
    ],
    ids=["whole", "forged manifest", "forged result", "cut manifest", "no result", "cut weights", "cut decision"],
)
def test_what_the_store_holds(store: Store, harm: Callable[[Path], Any], said: str) -> None:
    harm(store.root)
    check = check_contents(Store(store.root))
    assert check.state == ("fail" if said else "ok")
    assert said in check.said
    assert "as written" in check.said


def test_evicted_weights_are_no_damage(store: Store) -> None:
    store.evict(KEY)
    assert check_contents(store).said == "1 stages, 0.0 MB of results and 0.0 MB of weights, as written"


def test_the_store_and_its_driver(store: Store, tmp_path: Path) -> None:
    assert check_store(tmp_path / "later", tmp_path).said.endswith("made by the first run")
    assert check_store(store.root, store.root).state == "ok"
    store.root.chmod(0o777)
    assert check_store(store.root, store.root).said.endswith(f"chmod o-w {store.root}")
    assert check_lease(store.root).said == "none runs"
    with store.lease():
        assert check_lease(store.root).state == "warn"
    code = "import os, sys\nfrom xsweep.store.store import Store\nwith Store(sys.argv[1]).lease(): os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=True)
    check = check_lease(store.root)
    assert check.state == "ok"
    assert "was killed: a run goes on where it was" in check.said


def test_the_tracking_store(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    uri = f"sqlite:///{file}"
    assert check_tracking(uri).said.endswith("made by the first run")
    assert not file.exists()
    with sqlite3.connect(file) as base:
        base.execute("create table t (x)")
    assert check_tracking(uri) == Check("tracking", "ok", str(file))
    file.write_bytes(b"nonsense" * 600)
    assert check_tracking(uri).state == "warn"
    unreached = check_tracking("http://user:canary@127.0.0.1:1")
    assert unreached.state == "warn"
    assert "xsweep sync" in unreached.said
    assert "canary" not in unreached.said


def test_the_sum_is_said_last() -> None:
    said = text([Check("a", "ok", "fine"), Check("long", "fail", "do this")])
    assert said == "ok    a     fine\nfail  long  do this\n2 checks: 1 failed, 0 to look at"


def test_the_command(tmp_path: Path) -> None:
    mirror, file = universe(tmp_path), sweep_file(tmp_path)
    words = ["doctor", str(file), "--mirror", str(mirror), "--store", str(tmp_path / "runs")]
    good = xsweep(tmp_path, *words, "--json")
    assert good.returncode == 0, good.stdout + good.stderr
    assert {check["name"] for check in json.loads(good.stdout)} >= {"versions", "disk", "store", "sources", "token"}
    assert not (tmp_path / "runs").exists(), "looking makes nothing"
    (mirror / "org--pairs" / "de" / "test.parquet").unlink()
    bad = xsweep(tmp_path, *words)
    assert bad.returncode == 5
    assert "fail  sources" in bad.stdout
    assert "org/pairs de test: no split 'test'" in bad.stdout
