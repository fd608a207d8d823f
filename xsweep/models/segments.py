"""Sequences one after the other in one row of tokens, without padding: where each begins, and how they are padded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PRICE = {"cpu": 4096, "cuda": 2_000_000}
"""What one more block costs in an attention product, in pairs of tokens.

On a core about what gathering and launching it does, as timed there for widths of 256 to 768; a GPU is idle while a
block is launched, so that there all sequences of a micro-batch are one.
"""


@dataclass(frozen=True, eq=False)
class Block:
    """Neighbouring sequences that are padded to the longest of them."""

    rows: int
    width: int
    tokens: int
    """Real ones."""
    taken: Tensor | None
    """(rows * width,) which token stands at each place, a real one on padding too; None without padding."""
    places: Tensor | None
    """(tokens,) the place of each; None without padding."""
    real: Tensor
    """(rows, width) whether a place holds a token of its own."""

    def pad(self, values: Tensor) -> Tensor:
        """(rows, width, ...) from (tokens, ...): padding holds some real value, through which no gradient flows."""
        if self.taken is None or self.places is None:
            return values.reshape(self.rows, self.width, *values.shape[1:])
        padded: Tensor = _Gather.apply(values, self.taken, self.places, False)  # type: ignore[no-untyped-call]
        return padded.view(self.rows, self.width, *values.shape[1:])

    def flat(self, padded: Tensor) -> Tensor:
        """(tokens, ...) from (rows, width, ...); the gradient of padding is zero."""
        values = padded.flatten(0, 1)
        if self.taken is None or self.places is None:
            return values
        return _Gather.apply(values, self.places, self.taken, True)  # type: ignore[no-untyped-call, no-any-return]


class _Gather(torch.autograd.Function):
    """``values[taken]``, whose gradient is gathered from ``back`` too, since no value that counts is taken twice.

    ``scattered``: values that are not taken have a gradient, zero.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, taken: Tensor, back: Tensor, scattered: bool) -> Tensor:
        ctx.taken, ctx.back, ctx.scattered, ctx.size = taken, back, scattered, len(values)
        return values.index_select(0, taken)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        if not ctx.scattered:
            return gradient.index_select(0, ctx.back), None, None, None
        whole = gradient.new_zeros(ctx.size, *gradient.shape[1:])
        return whole.index_copy_(0, ctx.taken, gradient), None, None, None


@dataclass(frozen=True, eq=False)
class Segments:
    """``n`` sequences with ``tokens`` tokens in all."""

    lengths: NDArray[np.int64]
    """(n,), none of them 0."""
    device: torch.device

    @cached_property
    def firsts(self) -> NDArray[np.int64]:
        """(n,) the first token of each sequence."""
        first: NDArray[np.int64] = np.cumsum(self.lengths) - self.lengths
        return first

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return int(self.lengths.max())

    @cached_property
    def edges(self) -> Tensor:
        """(n + 1,) where each sequence begins, and where the last one ends; int32, as attention kernels want it."""
        return self._tensor(np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int32))

    @cached_property
    def starts(self) -> Tensor:
        """``firsts`` on the device."""
        return self._tensor(self.firsts)

    @cached_property
    def row(self) -> Tensor:
        """(tokens,) the sequence of each token."""
        return self._tensor(np.repeat(np.arange(len(self.lengths)), self.lengths))

    @cached_property
    def positions(self) -> Tensor:
        """(tokens,) the place of each token in its sequence, from 0."""
        return self._tensor(np.arange(int(self.lengths.sum())) - np.repeat(self.firsts, self.lengths))

    @cached_property
    def whole(self) -> Block:
        """All sequences as one block."""
        return self._block(0, len(self.lengths))

    @cached_property
    def blocks(self) -> list[Block]:
        """Sequences as the blocks that cost least in an attention product, in order."""
        edges = cheapest(self.lengths, PRICE[self.device.type])
        return [self._block(*ends) for ends in pairwise(edges)]

    def _block(self, start: int, end: int) -> Block:
        lengths = self.lengths[start:end]
        rows, width, tokens = len(lengths), int(lengths.max()), int(lengths.sum())
        column = np.arange(width)
        real = column < lengths[:, None]
        if tokens == rows * width:
            return Block(rows, width, tokens, None, None, self._tensor(real))
        # Padding repeats its sequence's last token: any finite value serves, and this one is at hand.
        first = np.cumsum(lengths) - lengths
        taken = first[:, None] + np.minimum(column, lengths[:, None] - 1)
        places = np.flatnonzero(real)
        return Block(rows, width, tokens, self._tensor(taken.ravel()), self._tensor(places), self._tensor(real))

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)


def cheapest(lengths: NDArray[np.int64], price: int) -> list[int]:
    """Edges of the blocks, each of neighbours padded to the longest, that cost least in all.

    A block costs ``price``, and the square of its width for each of its sequences. Neighbours of one length stay
    together.
    """
    ends = np.append(np.flatnonzero(np.diff(lengths)) + 1, len(lengths))
    edges = np.concatenate([[0], ends])
    best, before = np.zeros(len(edges), dtype=np.int64), np.zeros(len(edges), dtype=np.int64)
    widths = lengths[edges[:-1]]
    for end in range(1, len(edges)):
        # The longest of the runs from each possible first one up to this.
        widest = np.maximum.accumulate(widths[:end][::-1])[::-1]
        costs = best[:end] + (edges[end] - edges[:end]) * widest**2 + price
        before[end] = np.argmin(costs)
        best[end] = costs[before[end]]
    found = [len(edges) - 1]
    while found[-1] > 0:
        found.append(int(before[found[-1]]))
    return [int(edges[number]) for number in reversed(found)]
