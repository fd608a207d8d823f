"""From what a stage came to, to its manifest in the store."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from xsweep.plan.stage import TRAINING_VERSION, Stage
from xsweep.spec.sweep import Layout
from xsweep.store.manifests import Manifest, Status
from xsweep.store.store import Store
from xsweep.train.world import World

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a stage ended, on the first worker with all that is to be written."""

    status: Status
    reason: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, bytes] = field(default_factory=dict)
    weights: Path | None = None
    timings: Mapping[str, float] = field(default_factory=dict)

    def summary(self, stage: Stage) -> dict[str, Any]:
        """What the engine wants to know."""
        return summary(stage, self.status, self.reason, self.metrics)


def summary(stage: Stage, status: str, reason: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """One stage of a job's answer; ``score`` in points, None where there is none."""
    return {"key": stage.key, "kind": stage.kind, "status": status, "reason": reason, "score": metrics.get("score")}


def commit(store: Store, stage: Stage, outcome: Outcome, layout: Layout, world: World, *, lost: float = 0.0) -> None:
    """Write ``outcome`` as the manifest of ``stage``; of a stage that has one, only the weights are brought back.

    Seconds of attempts that failed, ``lost`` and those of the manifest of a failed one, stay among its timings: they
    were spent.
    """
    old = store.manifest(stage.key)
    lost += old.timings.get("lost", 0.0) if old is not None else 0.0
    manifest = Manifest(
        key=stage.key,
        kind=stage.kind,
        status=outcome.status,
        reason=outcome.reason,
        spec=stage.payload(),
        parent=stage.parent,
        layout={
            "world": world.size,
            "tokens": layout.tokens,
            "threads": layout.cpus,
            "device": world.device.type,
            **({"recompute": True} if layout.recompute else {}),
            **({"ooms": layout.ooms} if layout.ooms else {}),
        },
        versions={"training": str(TRAINING_VERSION), **_versions()},
        timings={**outcome.timings, **({"lost": lost} if lost else {})},
        metrics=outcome.metrics,
    )
    if old is not None and old.final and _plain(manifest) != _plain(old):
        log.warning("stage %s: rebuilt differently: %s, was %s", stage.key, _plain(manifest), _plain(old))
    text = json.dumps(json.loads(manifest.to_json())["metrics"], indent=1, sort_keys=True)
    results = {**outcome.results, "metrics.json": text.encode()}
    store.commit(manifest, results, {} if outcome.weights is None else {"model.safetensors": outcome.weights})


def _plain(manifest: Manifest) -> tuple[str, Any]:
    """What must be equal when a stage is run again."""
    return manifest.status, json.loads(manifest.to_json())["metrics"]


def _versions() -> dict[str, str]:
    return {name: version(package) for name, package in _PACKAGES.items()}


_PACKAGES = {"torch": "torch", "transformers": "transformers", "xsweep": "xsweep-scaling"}
