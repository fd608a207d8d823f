"""What is told about a stage: its name, tags, parameters and metrics. Pure; MLflow itself is not needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xsweep.plan.records import Record
from xsweep.store.keys import content_key
from xsweep.store.manifests import Manifest

ENGLISH = "en"
COUNTS = ("ok", "degenerate")
"""Statuses of stages whose scores count; degenerate ones are flagged wherever they are shown."""

Metric = tuple[str, float, int]
"""Name, finite value, step."""


@dataclass(frozen=True)
class Facts:
    """One stage as a tracker sees it. ``seconds`` is how long the stage took, 0 when unknown."""

    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Sequence[Metric]
    finished: bool
    seconds: float

    @property
    def digest(self) -> str:
        """Equal facts, equal digest: what says whether a tracker already holds just this."""
        return content_key(asdict(self))


def distinct(records: Iterable[Record]) -> dict[str, Record]:
    """Key -> record of every stage that has ended; of records that share a stage, the first."""
    found: dict[str, Record] = {}
    for record in records:
        if record.key and record.manifest:
            found.setdefault(record.key, record)
    return found


def manifests(records: Sequence[Record]) -> dict[str, Manifest]:
    """Key -> manifest of every stage that has ended."""
    return {record.key: record.manifest for record in records if record.key and record.manifest}


def outcome(manifest: Manifest, ended: Mapping[str, Manifest]) -> str:
    """The stage's status; ``degenerate`` also when a stage that it descends from was.

    Not when that one learned from shuffled labels: to be no better than chance is what such a control is for.
    """
    if manifest.status != "ok":
        return manifest.status
    parent = ended.get(manifest.parent) if manifest.parent else None
    if parent is None or (parent.status == "degenerate" and parent.spec.get("shuffled")):
        return "ok"
    return "degenerate" if outcome(parent, ended) == "degenerate" else "ok"


def seconds(manifest: Manifest) -> float:
    """Seconds that the stage took."""
    return manifest.seconds


def facts(record: Record, ended: Mapping[str, Manifest]) -> Facts:
    """Everything that is told about an ended stage; ``ended`` holds the manifests of the others."""
    manifest = record.manifest
    if manifest is None:
        raise ValueError(f"{name(record)}: a stage that has not ended has no facts")
    told = list(_measured(record, manifest))
    metrics = [(key, float(value), step) for key, value, step in told if finite(value)]
    tags = {f"xsweep.{key}": value for key, value in _words(record, manifest, outcome(manifest, ended)).items()}
    if len(metrics) < len(told):
        tags["xsweep.nonfinite"] = "true"
    params = _params(record) | _mixed(manifest.spec)
    return Facts(name(record), tags, params, metrics, manifest.status != "failed", seconds(manifest))


def name(record: Record) -> str:
    """For people, never parsed: what tells this stage from its neighbours."""
    last = "s" + ",".join(map(str, record.seeds)) if record.trial is None else f"t{record.trial:02d}"
    short = " / ".join(part for part in (record.arm, record.target, record.model.name, last) if part)
    plain = record.kind == "evaluate" or (record.trial is not None and record.judged)
    return short if plain else f"{short} ({record.kind})"


def finite(value: Any) -> bool:
    """Whether ``value`` is a number that can be plotted."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _words(record: Record, manifest: Manifest, status: str) -> dict[str, str]:
    words = {
        "key": manifest.key,
        "stage": record.kind,
        "role": record.role,
        "status": status,
        "attempt": str(manifest.attempt),
        "model": record.model.name,
        "ladder": record.model.ladder,
        "params": _number(record.model.params),
        "embedding_params": _number(record.model.embedding_params),
        "arm": record.arm,
        "family": record.family,
        "target": record.target or "",
        "seed": ",".join(map(str, record.seeds)),
        "metric": record.metric,
        "same_data": str(record.same_data).lower(),
    }
    optional = {
        "study": record.study,
        "trial": None if record.trial is None else str(record.trial),
        "repeat": str(record.repeat) if record.repeat else None,
        "parent": manifest.parent,
        "reason": manifest.reason[:1000],
    }
    return words | {key: value for key, value in optional.items() if value}


def _params(record: Record) -> dict[str, str]:
    """The same facts where MLflow's parallel coordinates and tables look for them.

    Its comparison of runs takes those that differ for axes: of a search's trials just what was searched, the learning
    rate as it was drawn, by its logarithm, too.
    """
    params = {
        "stage": record.kind,
        "role": record.role,
        "model": record.model.name,
        "params": _number(record.model.params),
        "arm": record.arm,
        "family": record.family,
        "target": record.target or "",
        "seed": ",".join(map(str, record.seeds)),
    }
    if record.hyper:
        params |= {"lr": repr(record.hyper.lr), "log10_lr": f"{math.log10(record.hyper.lr):.4f}"}
        params["epochs"] = str(record.hyper.epochs)
        params |= {"until": str(record.hyper.until)} if record.hyper.until else {}
        if before := record.hyper.before:
            params |= {"intermediate_lr": repr(before.lr), "intermediate_log10_lr": f"{math.log10(before.lr):.4f}"}
            params["intermediate_epochs"] = str(before.epochs)
    return {key: value for key, value in params.items() if value}


def _mixed(spec: Mapping[str, Any]) -> dict[str, str]:
    """What a mixture is made of; nothing for other stages."""
    mixture = spec.get("mixture")
    if not mixture:
        return {}
    sampling, mlm = mixture["sampling"], mixture["mlm"]
    return {
        "tasks": ",".join(task["name"] for task in spec["tasks"]),
        "sampling": " ".join(f"{name}={value}" for name, value in sorted(sampling.items()) if value is not None),
        "heads": mixture["heads"],
        "weights": ",".join(f"{name}={weight}" for name, weight in sorted(mixture["weights"].items())) or "1",
        "mlm": f"{mlm['task']['name']} {mlm['ratio']}" if mlm else "none",
    }


def _measured(record: Record, manifest: Manifest) -> Iterator[tuple[str, Any, int]]:
    """Name, value (perhaps not finite), step of everything measured. A failed attempt measured nothing that counts.

    First what runs are compared by, since that is what MLflow's comparison shows: a trial's ``score``, an evaluation's
    mean over the other languages.
    """
    if manifest.status == "failed":
        return
    metrics = manifest.metrics
    if "score" in metrics:
        yield "score", metrics["score"], 0
    yield from _tested(record, metrics.get("test", {}))
    if record.model.params and record.role == "report":  # of a search's trials it is the same
        yield "scale/log10_params", math.log10(record.model.params), 0
        yield "scale/params", record.model.params, 0
    for entry in metrics.get("dev", ()):
        for key in sorted(entry.keys() - {"epoch"}):
            yield f"dev/{key}", entry[key], int(entry["epoch"])
    for key in ("train_examples", "steps", "tokens"):
        if key in metrics:
            yield f"train/{key.removeprefix('train_')}", metrics[key], 0
    for task, read in sorted(metrics.get("tasks", {}).items()):
        yield f"train/epoch_rows/{task}", read["epoch_rows"], 0
    for key in sorted(manifest.timings):
        yield f"time/{key}", manifest.timings[key], 0


def _tested(record: Record, test: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any, int]]:
    others = [test[language] for language in sorted(test) if language != ENGLISH]
    named = set.intersection(*(set(row) for row in others)) - {"n"} if others else set()
    for metric in sorted(named, key=lambda name: (name != record.metric, name)):
        values = [row[metric] for row in others]
        mean = math.fsum(values) / len(values) if all(map(finite, values)) else None
        yield f"eval/{record.target}/mean_others/{metric}", mean, 0
    for language in sorted(test):
        for metric in sorted(test[language]):
            yield f"eval/{record.target}/{language}/{metric}", test[language][metric], 0


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
