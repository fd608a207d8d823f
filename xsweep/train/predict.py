"""Scoring passes: every row once, sorted by length, in micro-batches under the token budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xsweep.models.heads import Network, losses
from xsweep.tasks.features import NO_LABEL, Features, FloatArray
from xsweep.train.batches import Batch, Micro, Rows, collate, cut
from xsweep.train.world import World


@dataclass(frozen=True)
class Setting:
    """How a network is run: the same for training and scoring."""

    world: World
    tokens: int
    """Largest micro-batch of one worker, padding included."""
    pad: int
    """The padding token's id."""
    price: int
    """What one more micro-batch costs, in tokens (``batches.price``)."""

    def collate(self, features: Features, rows: Rows) -> Batch:
        """A padded micro-batch on the worker's device."""
        return collate(features, rows, self.pad, self.world.device)


@dataclass(frozen=True)
class Outputs:
    """Logits by feature, and the loss of each feature, (n,).

    (labels,) of pairs, (choices, 1), (tokens, 2) of spans, or (labelled tokens, outputs).
    """

    logits: list[FloatArray]
    losses: FloatArray

    @property
    def finite(self) -> bool:
        """Whether no logit is NaN or infinite."""
        return all(bool(np.isfinite(row).all()) for row in self.logits)


def infer(network: Network, features: Features, width: int, setting: Setting) -> Outputs:
    """Run all ``features``; ``width`` is that of the outputs. Every worker gets everything.

    Of raw text only the likeliest token is kept, as one output: logits over a vocabulary would fill any memory.
    Workers fill their own places of a buffer of zeros, and the sum over workers is the whole.
    """
    before = _before(features)
    device = setting.world.device
    buffer = torch.zeros(len(features) if before is None else int(before[-1]), width, device=device)
    each = torch.zeros(len(features), device=device)
    network.eval()
    with torch.no_grad():
        for micro in _share(features.widths, setting):
            batch = setting.collate(features, micro.rows)
            logits = network(batch.ids, batch.mask, batch.types, batch.labels)
            if micro.idle:
                continue
            rows = torch.from_numpy(micro.rows).to(device)
            each[rows] = losses(logits, batch.targets, batch.allowed, batch.labels, batch.choices)
            if features.noise is not None:
                logits = logits.argmax(-1, keepdim=True).float()
            elif batch.allowed is not None:
                logits = logits[batch.mask.bool()]
            buffer[rows if before is None else _places(before, micro.rows, features, device)] = logits
    whole = setting.world.total(buffer).cpu().numpy()
    return Outputs(_split(whole, features, before), setting.world.total(each).cpu().numpy())


def _before(features: Features) -> NDArray[np.int64] | None:
    """(tokens + 1,) how many tokens before each have outputs; None where rows have.

    Labelled ones have, all of spans, and of multiple choice each sequence's first, which stands for the sequence.
    """
    if features.labels is not None:
        return np.concatenate([[0], np.cumsum(features.labels != NO_LABEL)])
    if features.sequences is not None:
        return np.searchsorted(features.sequences[:-1], np.arange(len(features.ids) + 1))
    return None if features.allowed is None else np.arange(len(features.ids) + 1)


def _share(length: Rows, setting: Setting) -> Iterator[Micro]:
    """This worker's micro-batches of all rows; idle ones keep it in step with the others."""
    world = setting.world
    parts = cut(length, np.argsort(length, kind="stable"), setting.tokens, setting.price)
    for turn in range(0, len(parts), world.size):
        mine = turn + world.rank
        yield Micro(parts[mine]) if mine < len(parts) else Micro(parts[turn][:1], idle=True)


def _places(before: NDArray[np.int64], rows: Rows, features: Features, device: torch.device) -> Tensor:
    """Where the outputs of ``rows`` lie in the buffer; ``before`` counts the tokens with outputs before each token."""
    ends = [(before[features.offsets[row]], before[features.offsets[row + 1]]) for row in rows]
    return torch.from_numpy(np.concatenate([np.arange(start, end) for start, end in ends])).to(device)


def _split(whole: NDArray[np.float32], features: Features, before: NDArray[np.int64] | None) -> list[FloatArray]:
    if before is None:
        return list(whole)
    return np.split(whole, before[features.offsets[1:-1]])
