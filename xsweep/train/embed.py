"""Vectors of texts: one pass over the texts, sorted by length, for one layer or for all of them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xsweep.models.heads import Network, pool
from xsweep.models.load import layers
from xsweep.models.model import Pooling
from xsweep.tasks.features import Features
from xsweep.tasks.neighbours import Vectors
from xsweep.train.batches import Batch, Rows, cut
from xsweep.train.predict import Setting

IN_MEMORY = 1 << 30
"""Bytes of vectors that are held in memory; more are kept in a file and mapped."""


@dataclass(frozen=True)
class Slot:
    """Where a vector is taken: a layer, 0 for the embeddings, and how its tokens become one vector."""

    layer: int
    pooling: Pooling


def all_slots(layers: int) -> list[Slot]:
    """Every layer and pooling of an encoder with ``layers`` layers."""
    poolings: tuple[Pooling, ...] = ("first", "mean")
    return [Slot(layer, pooling) for layer in range(layers + 1) for pooling in poolings]


def embed(
    network: Network, texts: Features, rows: Rows, slots: Sequence[Slot] | None, setting: Setting
) -> tuple[Vectors, bool]:
    """Vectors of length 1 of the ``rows`` of ``texts``, (slots, rows, width), and whether all are finite.

    Without ``slots``, (1, rows, width): the head's. The vectors are on the first worker only; others get an array
    without rows. In a turn each worker runs one micro-batch, and the sum over workers of buffers of zeros brings
    them together.
    """
    world = setting.world
    length = texts.lengths[rows]
    parts = cut(length, np.argsort(length, kind="stable"), setting.tokens, setting.price)
    found, finite = None, True
    network.eval()
    with torch.no_grad():
        for start in range(0, len(parts), world.size):
            turn = parts[start : start + world.size]
            mine = world.rank if world.rank < len(turn) else None
            vectors = _vectors(network, setting.collate(texts, rows[turn[mine or 0]]), slots, setting)
            places = np.concatenate(turn)
            block = vectors.new_zeros(len(vectors), len(places), vectors.shape[-1])
            if mine is not None:
                before = sum(map(len, turn[:mine]))
                block[:, before : before + len(turn[mine])] = vectors
            whole = world.total(block).cpu().numpy()
            finite &= bool(np.isfinite(whole).all())
            if found is None:
                found = _room((len(whole), len(rows) if world.first else 0, whole.shape[-1]))
            if world.first:
                found[:, places] = whole
    assert found is not None  # a pool without texts is refused when its rows are loaded
    return found, finite


def _vectors(network: Network, batch: Batch, slots: Sequence[Slot] | None, setting: Setting) -> Tensor:
    """(slots, rows, width) of one micro-batch."""
    if slots is None:
        return network(batch.ids, batch.mask, batch.types).unsqueeze(0)  # type: ignore[no-any-return]
    states = hidden_states(network.encoder, batch)
    pooled = [pool(states[slot.layer].float(), batch.mask, slot.pooling) for slot in slots]
    return functional.normalize(torch.stack(pooled), dim=-1)


def hidden_states(encoder: nn.Module, batch: Batch) -> list[Tensor]:
    """What goes into the first layer and comes out of each, the last one's as the encoder hands it out (with its norm).

    Read by hooks: what ``transformers`` collects itself is lost once the layers are sharded.
    """
    found: list[Tensor] = []

    def first(_: nn.Module, args: Any, named: Any) -> None:
        found.append(args[0] if args else named["hidden_states"])

    def each(_: nn.Module, args: Any, output: Any) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)

    stack = layers(encoder)
    hooks = [stack[0].register_forward_pre_hook(first, with_kwargs=True)]
    hooks += [layer.register_forward_hook(each) for layer in stack]
    try:
        extra = {} if batch.types is None else {"token_type_ids": batch.types}
        last = encoder(input_ids=batch.ids, attention_mask=batch.mask, **extra).last_hidden_state
    finally:
        for hook in hooks:
            hook.remove()
    return [*found[:-1], last]


def _room(shape: tuple[int, int, int]) -> Vectors:
    """Room for vectors: in memory, or in a file that goes when it is no longer used."""
    if 4 * int(np.prod(shape)) <= IN_MEMORY:
        return np.empty(shape, dtype=np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
