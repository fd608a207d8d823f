"""Secrets stay out of every file: canaries planted where users keep theirs, then searched for in all that is left."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import xsweep as package
from tests.test_end_to_end import xsweep
from tests.tiny import SWEEP, sweep_file, universe
from xsweep.engine.cluster import Cluster

CANARIES = {
    "MLFLOW_TRACKING_PASSWORD": "canary-mlflow-password",
    "MLFLOW_TRACKING_TOKEN": "canary-mlflow-token",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-secret",
    "AWS_SESSION_TOKEN": "canary-aws-session",
    "HF_TOKEN": "canary-hf-token",
    "RAY_AUTH_TOKEN": "canary-ray-token",
}
ROOT = Path(package.__file__).parent
SMALL = SWEEP.replace("  - {name: t2, id: org/tiny-2, pooling: mean}\n", "").replace("seeds: [1, 2]", "seeds: [1]")


def files_with(word: bytes, *folders: Path) -> list[str]:
    return [
        str(path) for folder in folders for path in folder.rglob("*") if path.is_file() and word in path.read_bytes()
    ]


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("server", [None, "http://user:canary-in-the-address@127.0.0.1:1"])
def test_no_canary_is_written_by_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str | None) -> None:
    """Store, report, MLflow's database, cache, Ray's logs and what is printed; with SQLite and with a server away."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    mirror, file = universe(tmp_path), sweep_file(tmp_path, SMALL)
    words = ["--tracking", server] if server else []
    done = xsweep(tmp_path, "run", str(file), *words, mirror=mirror)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "canary" not in done.stdout + done.stderr
    assert (tmp_path / "runs" / "reports" / "tiny" / "report.html").is_file()
    assert files_with(b"canary", tmp_path) == []


def test_no_secret_travels_with_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray shows a driver's settings to everyone who sees the cluster."""
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    for name, value in {**CANARIES, "XSWEEP_API_KEY": "canary", "HF_HUB_OFFLINE": "1", "XSWEEP_CACHE": "/c"}.items():
        monkeypatch.setenv(name, value)
    sent = Cluster("127.0.0.1:6379")._remote_options()["runtime_env"]["env_vars"]
    assert sent.items() >= {"HF_HUB_OFFLINE": "1", "XSWEEP_CACHE": "/c"}.items()
    assert "canary" not in str(sent)


CALLS = {"trust_remote_code", "weights_only", "allow_pickle"}


def test_no_code_of_others_is_ever_trusted() -> None:
    """Every such argument in the source stands on its safe side, and nothing unpickles."""
    found = 0
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in CALLS:
                assert isinstance(node.value, ast.Constant), f"{path}:{node.value.lineno}"
                assert node.value.value is (node.arg == "weights_only"), f"{path}:{node.value.lineno}"
                found += 1
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("pickle.load", "pickle.loads", "eval", "exec", "yaml.load", "os.system"), path
                assert not called.endswith(".load_model"), f"{path}: {called}"
                if called == "torch.load":
                    assert any(word.arg == "weights_only" for word in node.keywords), path
    assert found >= 4


def test_loaders_say_that_no_code_is_trusted() -> None:
    """Left out, transformers may ask on the terminal."""
    calls = [node for path in sorted(ROOT.rglob("*.py")) for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Call) and "transformers.Auto" in ast.unparse(node.func)]  # fmt: skip
    loading = [call for call in calls if ast.unparse(call.func).endswith("from_pretrained")]
    assert loading
    assert all(any(word.arg == "trust_remote_code" for word in call.keywords) for call in loading)
