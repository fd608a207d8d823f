"""The gradient of a dual encoder: every query of a batch against every candidate of it.

The loss joins all rows of a step, so micro-batches and workers cannot each go backward on their own. All texts are
encoded once without gradients, the loss is taken of their vectors, and then each micro-batch is encoded again and
handed its part of the gradient of the vectors (Gao et al. 2021, "Scaling deep contrastive learning batch size").
So memory is that of one micro-batch, and how the batch is cut up changes nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xsweep.models.heads import Network
from xsweep.tasks.features import Features
from xsweep.train.batches import Micro, Rows, micro_batches
from xsweep.train.predict import Setting
from xsweep.train.shard import sync_gradients

SCALE = 100.0
"""What cosines are multiplied by before the softmax. LAReQA's baseline learns it from 100 on; at its learning rate
of 2e-5 Adam could move it by one in 50,000 steps, so here it is fixed."""


def contrast(network: Network, texts: Features, batch: Rows, setting: Setting, scale: Tensor | None = None) -> Tensor:
    """Add the gradient of the mean loss of the matches ``batch``; returns this worker's share of the loss.

    ``texts`` holds both sides of each match (``retrieval.sides``). The loss of a match is the cross-entropy of its
    candidate among the batch's, given its query; ``scale``, (matches,), multiplies it.
    """
    world = setting.world
    rows = np.concatenate([2 * batch, 2 * batch + 1])
    place = {int(row): number for number, row in enumerate(rows)}
    micros = micro_batches(texts.lengths, rows, world, setting.tokens, setting.price)
    places = [torch.tensor([place[int(row)] for row in micro.rows], device=world.device) for micro in micros]
    # Left behind, so that the second pass draws the dropout of the first again.
    with torch.no_grad(), torch.random.fork_rng([world.device] if world.device.type == "cuda" else []):
        vectors = _together(network, texts, rows, list(zip(micros, places, strict=True)), setting)
    loss, gradient = _loss(vectors, scale)
    for number, (micro, where) in enumerate(zip(micros, places, strict=True), 1):
        sync_gradients(network, number == len(micros))
        share = (_encoded(network, texts, micro, setting) * gradient[where]).sum() * (0.0 if micro.idle else 1.0)
        # Sharded gradients are averaged over the workers; the whole is their sum.
        (share * world.size).backward()  # type: ignore[no-untyped-call]
    return loss / world.size


def _together(
    network: Network, texts: Features, rows: Rows, work: list[tuple[Micro, Tensor]], setting: Setting
) -> Tensor:
    """The vectors of all ``rows``, (rows, width), from all workers."""
    found: Tensor | None = None
    for micro, where in work:
        vectors = _encoded(network, texts, micro, setting)
        if found is None:
            found = vectors.new_zeros(len(rows), vectors.shape[-1])
        if not micro.idle:
            found[where] = vectors
    assert found is not None
    return setting.world.total(found)


def _loss(vectors: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """The mean loss of the matches whose queries come first in ``vectors`` and candidates after, and its gradient."""
    leaf = vectors.detach().requires_grad_()
    queries, candidates = leaf.chunk(2)
    right = torch.arange(len(queries), device=leaf.device)
    cosines = SCALE * queries @ candidates.T
    if scale is None:
        loss = functional.cross_entropy(cosines, right)
    else:
        loss = (functional.cross_entropy(cosines, right, reduction="none") * scale).mean()
    (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.detach(), gradient


def _encoded(network: Network, texts: Features, micro: Micro, setting: Setting) -> Tensor:
    batch = setting.collate(texts, micro.rows)
    vectors: Tensor = network(batch.ids, batch.mask, batch.types)
    return vectors
