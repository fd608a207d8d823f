"""A sweep as a KubeRay RayJob: the manifest that `kubectl apply -f -` takes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from xsweep.engine.submit import STOP_SECONDS, Submission
from xsweep.spec.sweep import Gang, Sweep
from xsweep.spec.yaml12 import written

NODE_GPUS = 8
"""The most GPUs of one pod: what a machine has."""
_LONGEST_NAME = 40
"""KubeRay appends to it and refuses more than 47 characters."""
_FOLDER = "/home/ray/sweep"
_HEAD_DRIVERS = 8

_NOTES = """\
# A sweep as a job of Kubernetes with the KubeRay operator (v1.5.1 or later, which turns token authentication on):
#     xsweep submit SWEEP --store s3://BUCKET/runs --print rayjob | kubectl apply -f -
# Check before: the image ({image});
# CPU and memory of the pods; which nodes they may run on (tolerations of spot nodes); a service account, or the secret
# `xsweep`, whose entries every pod has as variables (HF_TOKEN, MLFLOW_TRACKING_URI, keys).
# A pod that is taken away costs what ran since its last checkpoint; a job that fails is begun again, and goes on.
"""


def manifest(submission: Submission, sweep: Sweep, gangs: Mapping[str, Gang], image: str | None) -> str:
    """The manifest as YAML: a ConfigMap with the sweep file, and the RayJob with pods for each shape of worker group.

    With an ``image``, that holds xsweep; without, Ray's own, onto which each node installs it.
    """
    name = re.sub(r"[^a-z0-9-]+", "-", f"xsweep-{submission.sweep}".lower())[:_LONGEST_NAME].strip("-")
    file = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    data = {submission.file.name: submission.file.read_text(encoding="utf-8-sig")}
    pods = _Pods(submission, name, image or f"rayproject/ray:{version('ray')}-py311-gpu")
    environment: dict[str, Any] = {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}}
    if image is None:
        environment["pip"] = [f"xsweep-scaling=={version('xsweep-scaling')}"]
    job = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name},
        "spec": {
            "entrypoint": submission.entrypoint_of(f"{_FOLDER}/{submission.file.name}"),
            "entrypointResources": '{"driver": 1}',
            "runtimeEnvYAML": written(environment),
            "backoffLimit": 3,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 600,
            "rayClusterSpec": {
                "rayVersion": version("ray"),
                "authOptions": {"mode": "token"},
                "enableInTreeAutoscaling": True,
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0", "resources": f'"{{\\"driver\\": {_HEAD_DRIVERS}}}"'},
                    "template": pods.template("ray-head", {"cpu": "4", "memory": "16Gi"}),
                },
                "workerGroupSpecs": list(
                    {one["groupName"]: one for one in map(pods.group, sorted(gangs.values()))}.values()
                ),
            },
        },
    }
    holds = "it holds xsweep" if image else "each node installs xsweep onto it; or give --image"
    return _NOTES.format(image=holds) + written({**file, "data": data}) + "---\n" + written(job)


class _Pods:
    """Pods that all hold the sweep file, the image, the secret and the shared folders."""

    def __init__(self, submission: Submission, name: str, image: str) -> None:
        self.image = image
        self._mounts = [{"name": "sweep", "mountPath": _FOLDER}]
        self._volumes: list[dict[str, Any]] = [{"name": "sweep", "configMap": {"name": name}}]
        folders = [place for place in (submission.store, *submission.mirrors) if place.startswith("/")]
        for number, folder in enumerate(folders):
            claim = f"xsweep-{number}"  # a volume claim of that name, which many pods may write
            self._mounts.append({"name": claim, "mountPath": folder})
            self._volumes.append({"name": claim, "persistentVolumeClaim": {"claimName": claim}})

    def group(self, gang: Gang) -> dict[str, Any]:
        """Worker pods for a gang: the whole of it in one where a machine has the GPUs, and as many of its like as fill
        them."""
        gpus = min(NODE_GPUS, math.ceil(gang.workers * gang.gpus))
        workers = int(gpus / gang.gpus + 1e-9) if gang.gpus else gang.workers
        pods = math.ceil(gang.workers / workers)
        cpus = workers * gang.cpus
        limits = {"cpu": str(cpus), "memory": f"{16 * max(cpus, gpus * 4)}Gi"}
        if gpus:
            limits["nvidia.com/gpu"] = str(gpus)
        return {
            "groupName": f"gpu-{gpus}-cpu-{cpus}",
            "replicas": 0,
            "minReplicas": 0,
            "maxReplicas": 8 * pods,
            "rayStartParams": {},
            "template": self.template("ray-worker", limits),
        }

    def template(self, name: str, limits: Mapping[str, str]) -> dict[str, Any]:
        """A pod of one container."""
        container = {
            "name": name,
            "image": self.image,
            "envFrom": [{"secretRef": {"name": "xsweep", "optional": True}}],
            "resources": {"limits": dict(limits), "requests": dict(limits)},
            "volumeMounts": self._mounts,
        }
        spec = {"containers": [container], "volumes": self._volumes, "terminationGracePeriodSeconds": STOP_SECONDS + 30}
        return {"spec": spec}
