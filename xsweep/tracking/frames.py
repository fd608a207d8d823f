"""Scores as a Polars frame with a fixed schema, from the store's records or from MLflow: the two are equal."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import polars as pl

from xsweep.plan.records import Record
from xsweep.tracking.facts import COUNTS, distinct, finite, manifests, outcome
from xsweep.tracking.reader import Run, by_key, runs

SCORES = pl.Schema(
    {
        "model": pl.String(),
        "ladder": pl.String(),
        "params": pl.Int64(),
        "embedding_params": pl.Int64(),
        "arm": pl.String(),
        "family": pl.String(),
        "target": pl.String(),
        "same_data": pl.Boolean(),
        "seed": pl.Int64(),
        "language": pl.String(),
        "metric": pl.String(),
        "primary": pl.Boolean(),
        "score": pl.Float64(),
        "n": pl.Int64(),
        "status": pl.String(),
        "key": pl.String(),
    }
)
"""One row per reporting evaluation, language and metric. ``score`` in points, always finite; ``n`` the examples
scored; ``primary`` marks the metric that counts; ``status`` is ``ok`` or ``degenerate``, the latter also when a
stage that the scored model descends from was."""

_ORDER = ("model", "arm", "target", "seed", "language", "metric", "key")


def scores_from_records(records: Sequence[Record]) -> pl.DataFrame:
    """SCORES of the reporting cells that were scored, straight from the store."""
    ended = manifests(records)
    scored = distinct(record for record in records if _scored(record))
    return _frame([row for record in scored.values() for row in _of_record(record, ended)])


def read_runs(uri: str, sweep_name: str, keys: Collection[str] | None = None) -> pl.DataFrame:
    """SCORES of the sweep's MLflow experiment.

    An experiment may hold runs of cells that the sweep file has lost since; ``keys`` restricts the frame to stages
    of interest. Raises ``EnvironmentProblem`` when the tracking store cannot be reached.
    """
    return scores_from_runs(runs(uri, sweep_name), keys)


def scores_from_runs(found: list[Run], keys: Collection[str] | None = None) -> pl.DataFrame:
    """SCORES of runs that were read already."""
    return _frame([row for key, run in by_key(found).items() if keys is None or key in keys for row in _of_run(run)])


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCORES).sort(_ORDER)


def _scored(record: Record) -> bool:
    reported = record.kind == "evaluate" and record.role == "report"
    return reported and record.manifest is not None and record.manifest.status in COUNTS


def _of_record(record: Record, ended: dict[str, Any]) -> Iterator[dict[str, Any]]:
    manifest = record.manifest
    assert manifest is not None  # _scored
    cell = {
        "model": record.model.name,
        "ladder": record.model.ladder,
        "params": record.model.params,
        "embedding_params": record.model.embedding_params,
        "arm": record.arm,
        "family": record.family,
        "target": record.target,
        "same_data": record.same_data,
        "status": outcome(manifest, ended),
        "key": record.key,
    }
    for language, scores in manifest.metrics.get("test", {}).items():
        for metric in scores.keys() - {"n"}:
            if finite(scores[metric]):
                measured = {"language": language, "metric": metric, "primary": metric == record.metric}
                value = {"score": float(scores[metric]), "n": scores.get("n")}
                yield from (cell | measured | value | {"seed": seed} for seed in record.seeds)


def _of_run(run: Run) -> Iterator[dict[str, Any]]:
    tags = {key.removeprefix("xsweep."): value for key, value in run.tags.items()}
    if (tags["stage"], tags["role"]) != ("evaluate", "report") or tags["status"] not in COUNTS:
        return
    cell = {name: tags[name] for name in ("model", "ladder", "arm", "family", "target", "status", "key")} | {
        "params": int(tags["params"]) if tags["params"] else None,
        "embedding_params": int(tags["embedding_params"]) if tags["embedding_params"] else None,
        "same_data": tags["same_data"] == "true",
    }
    seeds = [{"seed": int(seed)} for seed in tags["seed"].split(",")]
    prefix = f"eval/{tags['target']}/"
    for name, score in run.metrics.items():
        language, _, metric = name.removeprefix(prefix).rpartition("/")
        if not name.startswith(prefix) or language == "mean_others" or metric == "n":
            continue
        n = run.metrics.get(f"{prefix}{language}/n")
        measured = {"language": language, "metric": metric, "primary": metric == tags["metric"]}
        value = {"score": score, "n": None if n is None else int(n)}
        yield from (cell | measured | value | seed for seed in seeds)
