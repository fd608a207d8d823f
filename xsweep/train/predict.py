"""Scoring passes: every row once, sorted by length, in micro-batches under the token budget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xsweep.models.heads import Network, losses
from xsweep.tasks.features import Features, FloatArray
from xsweep.train.batches import PRICES, Batch, Micro, Rows, collate, cut
from xsweep.train.world import World


@dataclass(frozen=True)
class Setting:
    """How a network is run: the same for training and scoring."""

    world: World
    tokens: int
    """Largest micro-batch of one worker, padding included."""
    pad: int
    """The padding token's id."""
    precision: str

    def cast(self) -> AbstractContextManager[object]:
        """The context of a forward pass: bf16 for what is safe in it, or nothing."""
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def collate(self, features: Features, rows: Rows) -> Batch:
        """A padded micro-batch on the worker's device."""
        return collate(features, rows, self.pad, self.world.device)


@dataclass(frozen=True)
class Outputs:
    """Logits by feature, (labels,) or (tokens, 2), and the loss of each feature, (n,)."""

    logits: list[FloatArray]
    losses: FloatArray

    @property
    def finite(self) -> bool:
        """Whether no logit is NaN or infinite."""
        return all(bool(np.isfinite(row).all()) for row in self.logits)


def infer(network: Network, features: Features, width: int, setting: Setting) -> Outputs:
    """Run all ``features``; ``width`` is the head's. Every worker gets everything.

    Workers fill their own places of a buffer of zeros, and the sum over workers is the whole.
    """
    spans = features.allowed is not None
    total = len(features.ids) if spans else len(features)
    device = setting.world.device
    buffer, each = torch.zeros(total, width, device=device), torch.zeros(len(features), device=device)
    network.eval()
    with torch.no_grad():
        for micro in _share(features.lengths, setting):
            batch = setting.collate(features, micro.rows)
            with setting.cast():
                logits = network(batch.ids, batch.mask, batch.types)
            if micro.idle:
                continue
            rows = torch.from_numpy(micro.rows).to(device)
            each[rows] = losses(logits, batch.targets, batch.allowed)
            places = _places(features, micro.rows, device) if spans else rows
            buffer[places] = logits[batch.mask.bool()] if spans else logits
    whole = setting.world.total(buffer).cpu().numpy()
    return Outputs(_split(whole, features, spans), setting.world.total(each).cpu().numpy())


def _share(length: Rows, setting: Setting) -> Iterator[Micro]:
    """This worker's micro-batches of all rows; idle ones keep it in step with the others."""
    world = setting.world
    parts = cut(length, np.argsort(length, kind="stable"), setting.tokens, PRICES[world.device.type])
    for turn in range(0, len(parts), world.size):
        mine = turn + world.rank
        yield Micro(parts[mine]) if mine < len(parts) else Micro(parts[turn][:1], idle=True)


def _places(features: Features, rows: Rows, device: torch.device) -> Tensor:
    """Where the tokens of ``rows`` lie in the arrays over tokens."""
    places = np.concatenate([np.arange(features.offsets[row], features.offsets[row + 1]) for row in rows])
    return torch.from_numpy(places).to(device)


def _split(whole: NDArray[np.float32], features: Features, spans: bool) -> list[FloatArray]:
    if not spans:
        return list(whole)
    return [whole[features.span(index)] for index in range(len(features))]
