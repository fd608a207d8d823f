"""Shuffled labels: a control that trains on the same inputs and as long, but has nothing to learn from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xsweep.tasks.features import NO_LABEL, Features, IntArray

SHUFFLED = ("pair", "choice", "tag", "span")
"""Formats whose labels can be shuffled: raw text and matches have none apart from their texts."""


def shuffled(features: Features, form: str, seed: int) -> Features:
    """``features`` of a format with their labels shuffled, a function of ``seed`` alone; inputs stay as they are.

    Labels are permuted among the rows (pairs), among the rows of equally many choices, or among the labelled words of
    the corpus (tags). An answer keeps its length and is put anywhere in its window's context; which windows hold
    an answer stays, so that questions without one (SQuAD v2.0) can still be told from the others. Raises
    ``ValueError`` for a format without labels.
    """
    if form not in SHUFFLED:
        raise ValueError(f"a {form} task has no labels to shuffle")
    random = np.random.Generator(np.random.PCG64(seed))
    if form == "tag":
        assert features.labels is not None
        labels = features.labels.copy()
        asked = np.flatnonzero(labels != NO_LABEL)
        labels[asked] = random.permutation(labels[asked])
        return replace(features, labels=labels)
    if form == "span":
        return replace(features, targets=_placed(features, random))
    kinds = _choices(features) if form == "choice" else np.zeros(len(features), dtype=np.int64)
    targets = features.targets.copy()
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        targets[rows] = random.permutation(targets[rows])
    return replace(features, targets=targets)


def _choices(features: Features) -> NDArray[np.int64]:
    """(n,) choices of each row."""
    assert features.sequences is not None
    return np.diff(np.searchsorted(features.sequences, features.offsets))


def _placed(features: Features, random: np.random.Generator) -> IntArray:
    """(n, 2) first and last token of each answer at a new place in its window's context."""
    assert features.allowed is not None
    first, last = features.targets.T
    start, end = features.allowed.T
    held = last > 0  # the first token is the template's: an answer's last never is
    longer = np.where(held, last - first, 0)
    # Evenly among the places that leave room for the whole answer.
    room = np.where(held, end - start - longer, 1)
    places = start + random.integers(0, room)
    moved = np.stack([places, places + longer], axis=1)
    return np.where(held[:, None], moved, features.targets).astype(np.int32)
