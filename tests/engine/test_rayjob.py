"""A sweep as a manifest of Kubernetes: what KubeRay wants of it, and that it asks nobody."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tiny import SWEEP
from xsweep.engine.rayjob import manifest
from xsweep.engine.submit import Submission
from xsweep.spec.load import load_sweep
from xsweep.spec.sweep import Gang

GANGS = {
    "base": Gang(1, 4, 0.5),
    "large": Gang(1, 4, 1.0),
    "like": Gang(1, 4, 1.0),
    "xxl": Gang(16, 4, 1.0),
    "tiny": Gang(2, 1, 0.0),
}


def written(folder: Path, image: str | None = None, **fields: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    file = folder / "tiny.yaml"
    file.write_text(SWEEP)
    submission = Submission(**{"sweep": "Tiny_Sweep", "file": file, "folder": folder, "store": "s3://b/runs", **fields})
    text = manifest(submission, load_sweep(file), GANGS, image)
    config, job = yaml.safe_load_all(text)
    return text, config, job


def test_the_job_finds_its_sweep_file(tmp_path: Path) -> None:
    _, config, job = written(tmp_path)
    assert config["data"] == {"tiny.yaml": SWEEP}
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    [mount] = head["containers"][0]["volumeMounts"]
    assert job["spec"]["entrypoint"].startswith(f"exec xsweep run {mount['mountPath']}/tiny.yaml --store s3://b/runs")
    assert head["volumes"] == [{"name": mount["name"], "configMap": {"name": config["metadata"]["name"]}}]
    assert job["metadata"]["name"] == config["metadata"]["name"] == "xsweep-tiny-sweep"


def test_pods_come_with_the_work_and_hold_the_groups(tmp_path: Path) -> None:
    _, _, job = written(tmp_path)
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["enableInTreeAutoscaling"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"] == version("ray")
    groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    assert len(groups) == len(cluster["workerGroupSpecs"])
    assert {group["minReplicas"] for group in groups.values()} == {0}
    limits = {name: g["template"]["spec"]["containers"][0]["resources"]["limits"] for name, g in groups.items()}
    assert {name: found.get("nvidia.com/gpu") for name, found in limits.items()} == {
        "gpu-0-cpu-2": None, "gpu-1-cpu-8": "1", "gpu-1-cpu-4": "1", "gpu-8-cpu-32": "8"
    }  # fmt: skip
    for gang in GANGS.values():
        fits = [
            min(
                int(found["cpu"]) // gang.cpus,
                int(float(found.get("nvidia.com/gpu", 0)) / gang.gpus) if gang.gpus else 99,
            )
            * groups[name]["maxReplicas"]
            for name, found in limits.items()
        ]
        assert max(fits) >= gang.workers


def test_the_image_holds_xsweep_or_gets_it(tmp_path: Path) -> None:
    _, _, bare = written(tmp_path)
    text, _, own = written(tmp_path, image="registry/xsweep:1")
    assert yaml.safe_load(bare["spec"]["runtimeEnvYAML"])["pip"] == [f"xsweep-scaling=={version('xsweep-scaling')}"]
    assert "pip" not in yaml.safe_load(own["spec"]["runtimeEnvYAML"])
    assert text.count("registry/xsweep:1") == 1 + len(own["spec"]["rayClusterSpec"]["workerGroupSpecs"])


def test_secrets_are_named_and_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "canary-0a1b2c3d")
    text, _, job = written(tmp_path, tracking="$TEAM_TRACKING")
    assert "canary" not in text
    assert '--tracking "$TEAM_TRACKING"' in job["spec"]["entrypoint"]
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert head["envFrom"] == [{"secretRef": {"name": "xsweep", "optional": True}}]


def test_shared_folders_are_mounted_where_the_job_looks(tmp_path: Path) -> None:
    _, _, job = written(tmp_path, store="/shared/runs", mirrors=("/shared/data",))
    for group in [job["spec"]["rayClusterSpec"]["headGroupSpec"], *job["spec"]["rayClusterSpec"]["workerGroupSpecs"]]:
        spec = group["template"]["spec"]
        claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if v["name"] != "sweep"}
        paths = {m["name"]: m["mountPath"] for m in spec["containers"][0]["volumeMounts"] if m["name"] != "sweep"}
        assert claims.keys() == paths.keys()
        assert set(paths.values()) == {"/shared/runs", "/shared/data"}
