"""What the numbers were made of and with: data sets, counts, digests, programs."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import polars as pl

from xsweep.plan.records import Record
from xsweep.tasks.catalog import CATALOG

DATA = pl.Schema(
    {
        "name": pl.String(),
        "role": pl.String(),
        "languages": pl.Int64(),
        "least_scored": pl.Int64(),
        "most_scored": pl.Int64(),
        "train_examples": pl.Int64(),
        "dropped": pl.String(),
        "licence": pl.String(),
        "fingerprints": pl.String(),
    }
)
"""One row per arm trained on and per target. ``least_scored`` and ``most_scored``: rows behind a score, over languages.
``dropped`` counts training rows that were left out or cut, by reason. ``fingerprints`` is a digest of the rows' own
fingerprints. What a file of scores does not say is null."""

ENVIRONMENT = pl.Schema({"name": pl.String(), "value": pl.String()})
"""Versions of the programs, those that trained and those that analysed, and the digest of the scores."""

_ANALYSED_WITH = ("numpy", "scipy", "polars", "statsmodels")


def data(frame: pl.DataFrame, records: Sequence[Record] = ()) -> pl.DataFrame:
    """DATA of a FRAME and, where a sweep made it, its records."""
    trained: dict[tuple[str, str], Mapping[str, Any]] = {}
    prints: dict[tuple[str, str], Mapping[str, str]] = {}
    for record in records:
        if record.manifest and record.role == "report" and record.kind in ("intermediate", "target"):
            where = ("target", record.target or "") if record.kind == "target" else ("intermediate", record.arm)
            if record.kind == "intermediate" or record.arm == "none":
                trained.setdefault(where, record.manifest.metrics)
                prints.setdefault(where, record.manifest.spec.get("prints", {}))
    scored = frame.group_by("target", maintain_order=True).agg(
        pl.col("language").n_unique(), least=pl.col("n").min(), most=pl.col("n").max()
    )
    places: list[tuple[str, str, int | None, int | None, int | None]]
    places = [(target, "target", languages, least, most) for target, languages, least, most in scored.iter_rows()]
    places += [(arm, "intermediate", None, None, None) for arm in frame["arm"].unique(maintain_order=True)
               if arm != "none"]  # fmt: skip
    rows = []
    for name, role, languages, least, most in places:
        metrics, fingerprint = trained.get((role, name), {}), prints.get((role, name), {})
        dropped = ", ".join(f"{count} {why}" for why, count in sorted(metrics.get("dropped", {}).items()) if count)
        digest = hashlib.sha256(repr(sorted(fingerprint.items())).encode()).hexdigest()[:16] if fingerprint else None
        licence = CATALOG[name].licence if name in CATALOG else None
        rows.append(
            (name, role, languages, least, most, metrics.get("train_examples"), dropped, licence or None, digest)
        )
    return pl.DataFrame(rows, DATA, orient="row")


def environment(frame: pl.DataFrame, records: Sequence[Record] = ()) -> pl.DataFrame:
    """ENVIRONMENT of a FRAME and, where a sweep made it, its records."""
    rows = [*_trained_with(records), ("analysed with xsweep", version("xsweep-scaling"))]
    rows += [("analysed with python", platform.python_version())]
    rows += [(f"analysed with {name}", version(name)) for name in _ANALYSED_WITH]
    text = frame.sort(frame.columns).write_csv(float_scientific=False)
    return pl.DataFrame(
        [*rows, ("scores sha256", hashlib.sha256(text.encode()).hexdigest())], ENVIRONMENT, orient="row"
    )


def _trained_with(records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    found: dict[str, set[str]] = {}
    for record in records:
        for name, used in (record.manifest.versions if record.manifest else {}).items():
            found.setdefault(name, set()).add(str(used))
    yield from ((f"trained with {name}", ", ".join(sorted(found[name]))) for name in sorted(found))
