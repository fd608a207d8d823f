"""What each test row adds to a score, from a stage's prediction files: a score is a ratio of two sums over rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray


@dataclass(frozen=True)
class Parts:
    """A run's score in one language: 100 * sum(``right``) / sum(``of``) over its rows, by their number."""

    ids: NDArray[np.int32]
    right: NDArray[np.float32]
    of: NDArray[np.float32]

    @cached_property
    def plain(self) -> bool:
        """Whether every row counts as one, so that the score is a mean over rows."""
        return bool((self.of == 1).all())

    @property
    def score(self) -> float:
        """In points."""
        whole = float(self.of.sum(dtype=np.float64))
        return 100 * float(self.right.sum(dtype=np.float64)) / whole if whole else 0.0


_ONE = pl.lit(1.0)
_SUMS: tuple[tuple[str, tuple[str, ...], pl.Expr, pl.Expr], ...] = (
    ("f1", ("tp", "fp", "fn"), 2 * pl.col("tp"), 2 * pl.col("tp") + pl.col("fp") + pl.col("fn")),
    ("f1", ("correct", "kept", "gold"), 2 * pl.col("correct") * pl.col("kept"), pl.col("kept") + pl.col("gold")),
    ("f1", ("f1",), pl.col("f1"), _ONE),
    ("exact_match", ("exact_match",), pl.col("exact_match"), _ONE),
    ("accuracy", ("correct", "words"), pl.col("correct"), pl.col("words")),
    ("accuracy", ("correct", "total"), pl.col("correct"), pl.col("total")),
    ("accuracy", ("correct",), pl.col("correct"), _ONE),
    ("map20", ("average_precision",), pl.col("average_precision"), _ONE),
)
"""Metric, the columns that it takes, what is right in a row, of how much; the first that a file has the columns of."""

_JUDGED = "has_answer"
"""Column of predictions that a threshold over all rows decides: no sum over rows."""


def read_parts(path: Path, metric: str) -> Parts | None:
    """What the rows of the predictions in ``path`` add to ``metric``, sorted by row; None where no such sum is known.

    Raises ``OSError`` where the file cannot be read.
    """
    try:
        have = pl.read_parquet_schema(path)
        known = [entry for entry in _SUMS if entry[0] == metric and have.keys() >= {*entry[1], "id"}]
        if not known or _JUDGED in have:
            return None
        _, names, right, of = known[0]
        table = pl.read_parquet(path, columns=["id", *names])
    except pl.exceptions.PolarsError as error:
        raise OSError(f"{path}: {error}") from error
    sums = table.sort("id").select("id", right=right.cast(pl.Float32), of=of.cast(pl.Float32))
    ids = sums["id"].to_numpy()
    return None if len(ids) != len(np.unique(ids)) else Parts(ids, sums["right"].to_numpy(), sums["of"].to_numpy())
