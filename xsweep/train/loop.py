"""The training loop of one stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from xsweep.models.heads import Network, losses
from xsweep.plan.stage import Stage
from xsweep.tasks.features import Features
from xsweep.tasks.noise import hide
from xsweep.tasks.retrieval import sides
from xsweep.train.batches import Micro, Rows, epoch_batches, micro_batches
from xsweep.train.checkpoint import Checkpoints
from xsweep.train.contrast import contrast
from xsweep.train.failpoint import after_step
from xsweep.train.optimizer import Optimizer, finite, global_norm
from xsweep.train.predict import Setting
from xsweep.train.seeds import derive
from xsweep.train.shard import sync_gradients


@dataclass(frozen=True)
class Progress:
    """One finished step of a training stage."""

    key: str
    kind: str
    step: int
    """From 1."""
    steps: int
    epoch: int
    """From 1."""
    loss: float
    """Mean over the step's batch."""
    tokens: int
    """Real tokens trained on so far."""
    seconds: float
    """Time in steps so far, over interruptions too."""


@dataclass
class State:
    """What a checkpoint keeps beside tensors."""

    tokens: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    """Development scores after each epoch; empty dictionaries on all but the first worker."""


class DivergenceError(Exception):
    """Training left the finite numbers."""


Score = Callable[[int], dict[str, Any]]
"""Development scores after an epoch (from 1); raises ``DivergenceError``."""


class Loop:
    """Trains ``network`` on ``features`` as ``stage`` says."""

    def __init__(
        self,
        network: Network,
        features: Features,
        stage: Stage,
        setting: Setting,
        checkpoints: Checkpoints,
        score: Score,
        on_step: Callable[[Progress], None] | None,
    ) -> None:
        assert stage.hyper is not None
        self._network, self._features = network, features
        self._length, self._width = features.lengths, features.widths
        self._shown, self._weights = features, features.weights
        """What the epoch under way shows of the features, and what each row counts."""
        self._texts = sides(features) if stage.tasks[0].format == "retrieval" else None
        self._stage, self._setting, self._epochs = stage, setting, stage.hyper.epochs
        self._per_epoch = -(-len(features) // stage.training.batch_size)
        self.steps = self._per_epoch * self._epochs
        self._optimizer = Optimizer(network, stage.training, stage.hyper.lr, self.steps)
        self._checkpoints, self._score, self._on_step = checkpoints, score, on_step
        self.state = State()

    def run(self) -> State:
        """Train to the end, from the newest checkpoint if there is one; raises ``DivergenceError``."""
        device = self._setting.world.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(derive(self._stage.seed, "dropout", self._setting.world.rank))
            step = self._resume()
            while True:
                if len(self.state.history) < step // self._per_epoch:
                    self.state.history.append(self._score(step // self._per_epoch))
                if step == self.steps:
                    return self.state
                step = self._epoch(step)

    def _resume(self) -> int:
        saved = self._checkpoints.load()
        if saved is None:
            return 0
        self._optimizer.restore(saved.tensors, saved.step)
        self.state = State(**saved.state)
        return saved.step

    def _epoch(self, step: int) -> int:
        """The rest of the epoch that ``step`` lies in; returns the step after it."""
        epoch = step // self._per_epoch + 1
        batches = epoch_batches(len(self._features), self._stage.training.batch_size, self._stage.seed, epoch)
        self._network.train()
        self._shown = hide(self._features, derive(self._stage.seed, "hide", epoch))
        self._weights = self._shown.weights
        for batch in batches[step % self._per_epoch :]:
            loss, wanted = self._step(step, batch)
            step += 1
            if wanted:
                self._checkpoints.save(step, self._optimizer.tensors(), asdict(self.state))
            if self._on_step is not None:
                done = (self._stage.key, self._stage.kind, step, self.steps, epoch, loss)
                self._on_step(Progress(*done, self.state.tokens, self.state.seconds))
            after_step(step)
        return step

    def _step(self, step: int, batch: Rows) -> tuple[float, bool]:
        """One optimiser step; returns the batch's mean loss and whether a checkpoint is due."""
        start, world = time.perf_counter(), self._setting.world
        if self._texts is None:
            loss = self._gradient(batch)
        else:
            loss = contrast(self._network, self._texts, batch, self._setting)
        norm = self._optimizer.gather()
        # One exchange a step: the loss, the norm, and whether the first worker's clock asks for a checkpoint.
        due = torch.tensor(float(self._checkpoints.due()), device=world.device)
        shared = world.total(torch.stack([loss, due]))
        norm = global_norm(norm, world)
        mean, wanted = shared.tolist()
        if not finite(mean, norm.item()):
            raise DivergenceError(f"the loss or its gradient was not finite at step {step + 1} of {self.steps}")
        self._optimizer.step(step, norm)
        self.state.tokens += int(self._length[batch].sum())
        self.state.seconds += time.perf_counter() - start
        return mean, wanted > 0

    def _gradient(self, batch: Rows) -> torch.Tensor:
        """Add the gradient of the mean over ``batch``; returns this worker's share of the loss."""
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
        with self._setting.cast():
            logits = self._network(batch.ids, batch.mask, batch.types, batch.labels)
        total = losses(logits, batch.targets, batch.allowed, batch.labels, batch.choices).sum()
        share = total * (0.0 if micro.idle else 1 / count)
        # Sharded gradients are averaged over the workers; the global mean is their sum.
        (share * self._setting.world.size).backward()  # type: ignore[no-untyped-call]
        return share.detach()
