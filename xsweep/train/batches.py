"""From ragged features to tensors: which rows make a step, who takes them, and in which micro-batches.

The batch of a step is a function of seed and epoch alone. Everything below it (workers, micro-batches)
only cuts it up, so that it fits and little padding is computed, and leaves the gradient as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xsweep.models.segments import Segments
from xsweep.tasks.features import Features, IntArray
from xsweep.train.seeds import derive
from xsweep.train.world import World

Rows: TypeAlias = NDArray[np.int64]
"""Numbers of rows (features), or one number for each."""


@dataclass(frozen=True)
class Micro:
    """Rows that go through the network at once; an ``idle`` one only keeps a worker in step with the others."""

    rows: Rows
    idle: bool = False


@dataclass(frozen=True)
class Batch:
    """One micro-batch as tensors: its sequences one after the other, without padding."""

    ids: Tensor
    """(tokens,)"""
    segments: Segments
    types: Tensor | None
    """(tokens,)"""
    targets: Tensor
    allowed: Tensor | None
    labels: Tensor | None
    """(tokens,) labels, ``NO_LABEL`` where none is asked for; None where rows are labelled."""
    choices: Tensor | None
    """(rows, most choices) which sequence of the batch is each choice, -1 for none; None where rows are sequences."""


def price(device: str, trunk: int) -> int:
    """What one more padded micro-batch costs, in tokens: a GPU is idle while a short one is launched, a core hardly.

    On a core the fixed cost of a pass forward and back is that of 22M / ``trunk`` parameters tokens, from 1300 of a
    trunk of 16k parameters to 16 of one of 3.7M, as timed there; below 32 the difference is lost.
    """
    return 2048 if device == "cuda" else max(32, 22_000_000 // trunk)


def epoch_batches(rows: int, size: int, seed: int, epoch: int) -> list[Rows]:
    """The steps of one epoch: a seeded permutation of all rows, ``size`` at a time, the last maybe fewer."""
    order = np.random.Generator(np.random.PCG64(derive(seed, "order", epoch))).permutation(rows)
    return [order[start : start + size] for start in range(0, rows, size)]


def micro_batches(width: Rows, batch: Rows, world: World, tokens: int, price: int | None) -> list[Micro]:
    """What this worker runs of one step's ``batch``.

    ``width`` is the tokens that each row takes, and of W workers each takes every W-th row by it. A sharded
    forward pass needs all workers, so all get equally many micro-batches; each works the others' out for itself.
    """
    by_width = batch[np.argsort(width[batch], kind="stable")]
    shares = [cut(width, by_width[other :: world.size], tokens, price) for other in range(world.size)]
    mine = [Micro(rows) for rows in shares[world.rank]]
    idle = Micro(by_width[:1], idle=True)
    return mine + [idle] * (max(map(len, shares)) - len(mine))


def cut(length: Rows, rows: Rows, tokens: int, price: int | None) -> list[Rows]:
    """Cut ``rows``, shortest first, into parts of at most ``tokens``, save a single row that is longer.

    With a ``price`` these are the parts that cost least in all: a part costs its tokens, each row padded to the
    longest, and ``price``, which is what a pass costs beside them. Without, nothing is padded, and they are the fewest.
    """
    if price is None:
        return _filled(length, rows, tokens)
    widest = length[rows]
    best = np.zeros(len(rows) + 1, dtype=np.int64)
    before = np.zeros(len(rows) + 1, dtype=np.int64)
    for end in range(1, len(rows) + 1):
        width = int(widest[end - 1])
        first = end - min(end, max(1, tokens // width))
        starts = np.arange(first, end)
        costs = best[starts] + (end - starts) * width
        before[end] = first + int(np.argmin(costs))
        best[end] = int(costs.min()) + price
    parts, end = [], len(rows)
    while end > 0:
        parts.append(rows[before[end] : end])
        end = int(before[end])
    return parts[::-1]


def _filled(length: Rows, rows: Rows, tokens: int) -> list[Rows]:
    """The fewest neighbouring ``rows`` of at most ``tokens`` in all."""
    total = np.cumsum(length[rows])
    parts, start = [], 0
    while start < len(rows):
        before = total[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(total, before + tokens, side="right")))
        parts.append(rows[start:end])
        start = end
    return parts


def collate(features: Features, rows: Rows, device: torch.device) -> Batch:
    """The micro-batch of ``rows`` on ``device``."""
    starts, ends, choices = _sequences(features, rows)
    segments = Segments(ends - starts, device)
    places = np.repeat(starts - segments.firsts, segments.lengths) + np.arange(int(segments.lengths.sum()))

    def of_tokens(values: IntArray | None) -> Tensor | None:
        return None if values is None else _tensor(values[places], device)

    return Batch(
        ids=_tensor(features.ids[places], device),
        segments=segments,
        types=of_tokens(features.type_ids),
        targets=_tensor(features.targets[rows], device),
        allowed=None if features.allowed is None else _tensor(features.allowed[rows], device),
        labels=of_tokens(features.labels),
        choices=None if choices is None else _tensor(choices, device),
    )


def _sequences(features: Features, rows: Rows) -> tuple[Rows, Rows, NDArray[np.int64] | None]:
    """Where each sequence of ``rows`` begins and ends, and which of them are the choices of each row.

    Sequences of several choices come shortest first, so that neighbours are of like lengths, as rows are.
    """
    if features.sequences is None:
        return features.offsets[rows], features.offsets[rows + 1], None
    first, last = (np.searchsorted(features.sequences, features.offsets[rows + k]) for k in (0, 1))
    count = last - first
    column = np.arange(int(count.max()))
    choices = np.where(column < count[:, None], (np.cumsum(count) - count)[:, None] + column, -1)
    taken = np.concatenate([np.arange(*ends) for ends in zip(first, last, strict=True)])
    order = np.argsort(features.sequences[taken + 1] - features.sequences[taken], kind="stable")
    taken, turn = taken[order], np.argsort(order, kind="stable")
    return features.sequences[taken], features.sequences[taken + 1], np.where(choices < 0, -1, turn[choices])


def concat(parts: Sequence[Features]) -> Features:
    """Features of several tasks or languages as one; ``example`` counts on from part to part."""
    if len(parts) == 1:
        return parts[0]
    examples = np.cumsum([0, *(int(part.example.max(initial=-1)) + 1 for part in parts)])
    tokens = np.cumsum([0, *(len(part.ids) for part in parts)])
    sequences = [part.sequences for part in parts if part.sequences is not None]
    return Features(
        ids=np.concatenate([part.ids for part in parts]),
        offsets=_joined([part.offsets for part in parts], tokens),
        example=np.concatenate([part.example + np.int32(n) for part, n in zip(parts, examples, strict=False)]),
        targets=np.concatenate([part.targets for part in parts]),
        allowed=_concat([part.allowed for part in parts]),
        chars=_concat([part.chars for part in parts]),
        type_ids=_concat([part.type_ids for part in parts]),
        labels=_concat([part.labels for part in parts]),
        words=_concat([part.words for part in parts]),
        sequences=_joined(sequences, tokens) if sequences else None,
        noise=parts[0].noise,
        truncated=sum(part.truncated for part in parts),
        unread=sum(part.unread for part in parts),
    )


def _joined(edges: Sequence[NDArray[np.int64]], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges of ragged rows of several parts as one; ``tokens`` counts those before each part."""
    return np.concatenate([np.zeros(1, dtype=np.int64), *(e[1:] + n for e, n in zip(edges, tokens, strict=False))])


def _concat(arrays: Sequence[IntArray | None]) -> IntArray | None:
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present else None


def _tensor(values: NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64)).to(device, non_blocking=True)
