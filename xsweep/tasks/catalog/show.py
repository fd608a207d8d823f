"""Catalogue entries in words, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xsweep.tasks.catalog import sources_of
from xsweep.tasks.task import Data, Task


def described(task: Task) -> dict[str, Any]:
    """An entry's own fields, and beside them what follows from them.

    ``covers``: the languages scored, or that it is an intermediate only; ``trains_on``, ``selects_on``, ``tests_on``:
    splits by hub id; ``sources``: data sets that it trains on, those held inside others included.
    """
    return {
        **task.model_dump(mode="json"),
        "covers": " ".join(task.languages) or "intermediate only",
        "trains_on": _splits(task.train),
        "selects_on": _splits(task.selection),
        "tests_on": _splits((task.test,) if task.test else ()),
        "sources": sorted(sources_of(task)),
    }


def _splits(parts: tuple[Data, ...]) -> str:
    """Such as ``facebook/anli train_r1 train_r2``, several data sets joined by `` + ``."""
    splits: dict[str, list[str]] = {}
    for data in parts:
        splits.setdefault(data.dataset, []).append(data.split)
    return " + ".join(" ".join([dataset, *names]) for dataset, names in splits.items())


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equally many cells as lines, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
