"""What is trained through one head: its rows, and the gradient of a batch of them."""

from __future__ import annotations

import torch

from xsweep.models.heads import Network, losses
from xsweep.tasks.features import Features, FloatArray
from xsweep.tasks.noise import hide
from xsweep.tasks.retrieval import sides
from xsweep.train.batches import Micro, Rows, micro_batches
from xsweep.train.contrast import contrast
from xsweep.train.predict import Setting
from xsweep.train.shard import sync_gradients


class Part:
    """The rows of one head, which ``network`` is the encoder with; ``scale``, (rows,), multiplies their losses."""

    def __init__(
        self, network: Network, format_: str, features: Features, setting: Setting, scale: FloatArray | None = None
    ) -> None:
        self._network, self._features, self._setting = network, features, setting
        self._length, self._width = features.lengths, features.widths
        self._shown, self._weights = features, features.weights
        """What the epoch under way shows of the features, and what each row counts."""
        self._texts = sides(features) if format_ == "retrieval" else None
        self._scale = None if scale is None else torch.from_numpy(scale).to(setting.world.device, torch.float32)

    def begin(self, seed: int) -> None:
        """Begin an epoch: hide tokens anew, where any are hidden."""
        self._shown = hide(self._features, seed)
        self._weights = self._shown.weights

    def tokens(self, batch: Rows) -> int:
        """Real tokens of ``batch``."""
        return int(self._length[batch].sum())

    def gradient(self, batch: Rows) -> torch.Tensor:
        """Add the gradient of the mean over ``batch``; returns this worker's share of the loss."""
        if self._texts is not None:
            scale = None if self._scale is None else self._scale[torch.from_numpy(batch)]
            return contrast(self._network, self._texts, batch, self._setting, scale)
        micros = micro_batches(self._width, batch, self._setting.world, self._setting.tokens, self._setting.price)
        loss = torch.zeros((), device=self._setting.world.device)
        for number, micro in enumerate(micros, 1):
            sync_gradients(self._network, number == len(micros))
            loss += self._backward(micro, max(1, int(self._weights[batch].sum())))
        return loss

    def _backward(self, micro: Micro, count: int) -> torch.Tensor:
        """Add a micro-batch's share of the gradient of the mean over ``count`` rows, or labelled tokens.

        Returns its share of the loss.
        """
        batch = self._setting.collate(self._shown, micro.rows)
        logits = self._network(batch.ids, batch.mask, batch.types, batch.labels)
        each = losses(logits, batch.targets, batch.allowed, batch.labels, batch.choices)
        if self._scale is not None:
            each = each * self._scale[torch.from_numpy(micro.rows)]
        share = each.sum() * (0.0 if micro.idle else 1 / count)
        # Sharded gradients are averaged over the workers; the global mean is their sum.
        (share * self._setting.world.size).backward()  # type: ignore[no-untyped-call]
        return share.detach()
