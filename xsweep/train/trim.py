"""Word tables without the rows that no token of a stage has.

A row that never occurs has no gradient and no moments, so all that training does to it is the weight decay of every
step. A stage trains the rows that occur, and the others are brought up to date, decay by decay in the order of the
steps, when the whole table is asked for: the result is that of training the whole table, bit for bit on one thread
of a CPU. Elsewhere the norm that gradients are clipped by may be summed in another order, and agrees to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from xsweep.models.heads import Joint, Network
from xsweep.models.load import word_table
from xsweep.tasks.features import Features
from xsweep.train.masters import add_masters, master, settle
from xsweep.train.shard import local
from xsweep.train.world import World

_CHUNK = {"cpu": 1 << 15, "cuda": 1 << 22}
"""Numbers that are decayed at once through many steps: few enough to stay in a core's, or a GPU's, cache."""


class Trimmed(nn.Module):
    """Some rows of a word table in its place; token ids stay those of the whole."""

    def __init__(self, whole: nn.Embedding, kept: Tensor) -> None:
        """``kept``, (rows,), ascending, are the ids whose rows are trained."""
        super().__init__()
        table = local(whole.weight)
        self._whole, self._kept, self._pending = [whole], kept.to(table.device), list[float]()
        self.weight = nn.Parameter(table[self._kept])
        if master(whole.weight) is not None:
            add_masters([self.weight])
        self._row = torch.full((len(table),), -1, device=table.device)
        self._row[self._kept] = torch.arange(len(kept), device=table.device)
        self._padding = None if whole.padding_idx is None else int(self._row[whole.padding_idx])
        # Only what is trained need be on the device.
        self._move(torch.device("cpu"))

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of ``ids``; an id that was not kept is an error, as one beyond the vocabulary is."""
        return functional.embedding(self._row[ids], self.weight, self._padding)

    def decay(self, factor: float) -> None:
        """Note that a step multiplies every row by ``factor`` before anything else."""
        if factor != 1.0:
            self._pending.append(factor)

    def whole(self) -> Tensor:
        """The whole table as if all of it had been trained, on the CPU."""
        table = local(self._whole[0].weight)
        if self._pending:
            device = self.weight.device
            for chunk in torch.split(table.view(-1), _CHUNK[device.type]):
                there = chunk.to(device)
                for factor in self._pending:
                    there.mul_(factor)
                chunk.copy_(there)
            self._pending.clear()
        table[self._kept.to(table.device)] = local(self.weight).to(table.device)
        return table

    def load(self, table: Tensor) -> None:
        """Go on from a ``table`` that ``whole`` gave."""
        self._pending.clear()
        local(self._whole[0].weight).copy_(table)
        local(self.weight).copy_(self.pick(table))

    def spread(self, moment: Tensor) -> Tensor:
        """An optimiser's moment of the whole table: zero where no row is trained."""
        found = moment.new_zeros(len(self._row), *moment.shape[1:], device="cpu")
        return found.index_copy_(0, self._kept.cpu(), moment.cpu())

    def pick(self, moment: Tensor) -> Tensor:
        """What ``spread`` began with, on the device."""
        return moment[self._kept.to(moment.device)].to(self.weight.device)

    def restored(self) -> nn.Embedding:
        """What stood here before, with the table as trained, on the device again."""
        self.whole()
        self._move(self.weight.device)
        settle(self._whole[0])
        return self._whole[0]

    def _move(self, device: torch.device) -> None:
        """Move the whole table, and its master, to ``device``."""
        for tensor in (self._whole[0].weight, master(self._whole[0].weight)):
            if tensor is not None:
                tensor.data = tensor.data.to(device)


@contextmanager
def trimmed(
    network: Network | Joint, features: Sequence[Features], special: Sequence[int], world: World
) -> Iterator[None]:
    """Within, the encoder holds the rows of its word table that ``features`` and ``special`` ids have.

    The table stays as it is where nothing would be gained or lost: where it is frozen, shared with a head that guesses
    hidden tokens, or cut over several workers.
    """
    encoder: Any = network.encoder
    embedding = encoder.get_input_embeddings()
    guessed = any(part.noise is not None for part in features)
    if guessed or world.size > 1 or type(embedding) is not nn.Embedding or not word_table(encoder).requires_grad:
        yield
        return
    small = Trimmed(embedding, torch.from_numpy(_occurring(features, special, embedding.num_embeddings)))
    encoder.set_input_embeddings(small)
    try:
        yield
    finally:
        encoder.set_input_embeddings(small.restored())


def trimmed_tables(network: nn.Module) -> dict[str, Trimmed]:
    """The trimmed tables of ``network``, by the names of their parameters."""
    return {f"{name}.weight": part for name, part in network.named_modules() if isinstance(part, Trimmed)}


def _occurring(features: Sequence[Features], special: Sequence[int], vocabulary: int) -> NDArray[np.int64]:
    """The ids that occur, ascending."""
    occurs = np.zeros(vocabulary, dtype=np.bool_)
    occurs[[number for number in special if number < vocabulary]] = True
    for part in features:
        occurs[part.ids] = True
    return np.flatnonzero(occurs)
