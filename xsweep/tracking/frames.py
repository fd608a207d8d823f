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

Row = tuple[Any, ...]
"""Values in the order of SCORES: a frame of 150,000 rows is built twice as fast from tuples as from mappings."""

_CELL = {name: kind for name, kind in SCORES.items() if name not in ("language", "metric", "primary", "score", "n")}
_NAME = r"^eval/(?<of>[^/]*)/(?<language>.*)/(?<metric>[^/]*)$"
"""A metric of a scored target, such as ``eval/xnli/de/accuracy``."""
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
    scored = {key: run for key, run in by_key(found).items() if (keys is None or key in keys) and _reported(run)}
    cells = [cell for run in scored.values() for cell in _cells(run)]
    told = [(key, name, value) for key, run in scored.items() for name, value in run.metrics.items()]
    metrics = (
        pl.DataFrame(told, {"key": pl.String(), "name": pl.String(), "score": pl.Float64()}, orient="row")
        .filter(pl.col("name").str.starts_with("eval/"))
        .with_columns(pl.col("name").str.extract_groups(_NAME).struct.unnest())
        .filter(pl.col("language") != "mean_others")
    )
    counts = metrics.filter(metric="n").select("key", "of", "language", n=pl.col("score").cast(pl.Int64))
    return (
        pl.DataFrame(cells, {**_CELL, "counts": pl.String()}, orient="row")
        .join(metrics.filter(pl.col("metric") != "n"), left_on=["key", "target"], right_on=["key", "of"])
        .join(counts, left_on=["key", "target", "language"], right_on=["key", "of", "language"], how="left")
        .with_columns(primary=pl.col("metric") == pl.col("counts"))
        .select(*SCORES)
        .sort(_ORDER)
    )


def _reported(run: Run) -> bool:
    stage, role, status = (run.tags[f"xsweep.{name}"] for name in ("stage", "role", "status"))
    return (stage, role) == ("evaluate", "report") and status in COUNTS


def _cells(run: Run) -> Iterator[Row]:
    """The run as a row of ``_CELL`` and the metric that counts, for each of its seeds."""
    tags = {name: run.tags[f"xsweep.{name}"] for name in (*_CELL, "metric")}
    sizes = {name: int(tags[name]) if tags[name] else None for name in ("params", "embedding_params")}
    for seed in tags["seed"].split(","):
        yield tuple({**tags, **sizes, "same_data": tags["same_data"] == "true", "seed": int(seed)}.values())


def _frame(rows: list[Row]) -> pl.DataFrame:
    columns = zip(*rows, strict=True) if rows else ([] for _ in SCORES)
    return pl.DataFrame(dict(zip(SCORES, columns, strict=True)), schema=SCORES).sort(_ORDER)


def _scored(record: Record) -> bool:
    reported = record.kind == "evaluate" and record.role == "report"
    return reported and record.manifest is not None and record.manifest.status in COUNTS


def _of_record(record: Record, ended: dict[str, Any]) -> Iterator[Row]:
    manifest, model = record.manifest, record.model
    assert manifest is not None  # _scored
    cell = (model.name, model.ladder, model.params, model.embedding_params, record.arm, record.family, record.target,
            record.same_data)  # fmt: skip
    end = (outcome(manifest, ended), record.key)
    for language, scores in manifest.metrics.get("test", {}).items():
        for metric in scores.keys() - {"n"}:
            if finite(scores[metric]):
                value = (language, metric, metric == record.metric, float(scores[metric]), scores.get("n"))
                yield from ((*cell, seed, *value, *end) for seed in record.seeds)
