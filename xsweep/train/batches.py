"""From ragged features to padded tensors: which rows make a step, who takes them, and in which micro-batches.

The batch of a step is a function of seed and epoch alone. Everything below it (workers, micro-batches)
only cuts it up so that little padding is computed, and leaves the gradient as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xsweep.tasks.features import NO_LABEL, Features, IntArray
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
    """One micro-batch as tensors, padded to its own longest row."""

    ids: Tensor
    mask: Tensor
    """1 on real tokens, 0 on padding."""
    types: Tensor | None
    targets: Tensor
    allowed: Tensor | None
    labels: Tensor | None
    """(rows, width in tokens) labels of tokens, ``NO_LABEL`` on padding too; None where rows are labelled."""


def price(device: str, trunk: int) -> int:
    """What one more micro-batch costs, in tokens: a GPU is idle while a short one is launched, a core hardly.

    On a core the fixed cost of a pass forward and back is that of 22M / ``trunk`` parameters tokens, from 1300 of a
    trunk of 16k parameters to 16 of one of 3.7M, as timed there; below 32 the difference is lost.
    """
    return 2048 if device == "cuda" else max(32, 22_000_000 // trunk)


def epoch_batches(rows: int, size: int, seed: int, epoch: int) -> list[Rows]:
    """The steps of one epoch: a seeded permutation of all rows, ``size`` at a time, the last maybe fewer."""
    order = np.random.Generator(np.random.PCG64(derive(seed, "order", epoch))).permutation(rows)
    return [order[start : start + size] for start in range(0, rows, size)]


def micro_batches(length: Rows, batch: Rows, world: World, tokens: int, price: int) -> list[Micro]:
    """What this worker runs of one step's ``batch``.

    Of W workers each takes every W-th row by length. A sharded forward pass needs all workers, so all
    get equally many micro-batches; each works the others' out for itself.
    """
    by_length = batch[np.argsort(length[batch], kind="stable")]
    shares = [cut(length, by_length[other :: world.size], tokens, price) for other in range(world.size)]
    mine = [Micro(rows) for rows in shares[world.rank]]
    idle = Micro(by_length[:1], idle=True)
    return mine + [idle] * (max(map(len, shares)) - len(mine))


def cut(length: Rows, rows: Rows, tokens: int, price: int) -> list[Rows]:
    """Cut ``rows``, shortest first, into the parts that cost least in all.

    A part costs its tokens, each row padded to the longest, and ``price``, which is what a pass costs
    beside them. No part exceeds ``tokens``, save a single row that is longer.
    """
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


def collate(features: Features, rows: Rows, pad: int, device: torch.device) -> Batch:
    """The micro-batch of ``rows`` on ``device``, padded with token ``pad``."""
    starts = features.offsets[rows].astype(np.int64)
    length = features.offsets[rows + 1] - starts
    column = np.arange(int(length.max()))
    real = column < length[:, None]
    place = np.where(real, starts[:, None] + column, 0)

    def ragged(values: NDArray[Any], fill: int) -> Tensor:
        return _tensor(np.where(real, values[place], fill), device)

    return Batch(
        ids=ragged(features.ids, pad),
        mask=_tensor(real, device),
        types=None if features.type_ids is None else ragged(features.type_ids, 0),
        targets=_tensor(features.targets[rows], device),
        allowed=None if features.allowed is None else _tensor(features.allowed[rows], device),
        labels=None if features.labels is None else ragged(features.labels, NO_LABEL),
    )


def concat(parts: Sequence[Features]) -> Features:
    """Features of several tasks or languages as one; ``example`` counts on from part to part."""
    if len(parts) == 1:
        return parts[0]
    examples = np.cumsum([0, *(int(part.example.max(initial=-1)) + 1 for part in parts)])
    tokens = np.cumsum([0, *(len(part.ids) for part in parts)])
    ends = [part.offsets[1:] + start for part, start in zip(parts, tokens, strict=False)]
    return Features(
        ids=np.concatenate([part.ids for part in parts]),
        offsets=np.concatenate([np.zeros(1, dtype=np.int64), *ends]),
        example=np.concatenate([part.example + np.int32(n) for part, n in zip(parts, examples, strict=False)]),
        targets=np.concatenate([part.targets for part in parts]),
        allowed=_concat([part.allowed for part in parts]),
        chars=_concat([part.chars for part in parts]),
        type_ids=_concat([part.type_ids for part in parts]),
        labels=_concat([part.labels for part in parts]),
        noise=parts[0].noise,
        truncated=sum(part.truncated for part in parts),
    )


def _concat(arrays: Sequence[IntArray | None]) -> IntArray | None:
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present else None


def _tensor(values: NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64)).to(device, non_blocking=True)
