"""The training loop of one stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from xsweep.plan.stage import Stage
from xsweep.train.batches import Rows
from xsweep.train.beginning import Beginnings
from xsweep.train.checkpoint import Checkpoints
from xsweep.train.failpoint import after_step
from xsweep.train.optimizer import Optimizer, finite, global_norm
from xsweep.train.part import Part
from xsweep.train.pulse import PULSE
from xsweep.train.schedule import schedule_of
from xsweep.train.seeds import derive
from xsweep.train.world import World


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
    taken_steps: int = 0
    """Of all this, what another run with the same beginning did: steps, tokens, seconds."""
    taken_tokens: int = 0
    taken_seconds: float = 0.0


class DivergenceError(Exception):
    """Training left the finite numbers."""


Score = Callable[[int], dict[str, Any]]
"""Development scores after an epoch (from 1); raises ``DivergenceError``."""

Batches = Callable[[int], Sequence[tuple[int, Rows]]]
"""The steps of an epoch (from 1), as many in each: the number of a part, and which of its rows."""


class Loop:
    """Trains ``network``, part by part, as ``stage`` says."""

    def __init__(
        self,
        network: nn.Module,
        parts: Sequence[Part],
        batches: Batches,
        stage: Stage,
        world: World,
        checkpoints: Checkpoints,
        beginnings: Beginnings,
        score: Score,
        on_step: Callable[[Progress], None] | None,
    ) -> None:
        assert stage.hyper is not None
        self._network, self._parts, self._batches = network, parts, batches
        self._stage, self._world = stage, world
        self._per_epoch = len(batches(1))
        self._schedule = schedule_of(stage, self._per_epoch)
        self.steps = self._schedule.last
        self._optimizer = Optimizer(network, stage.training, stage.hyper.lr, self._schedule)
        self._checkpoints, self._beginnings, self._score, self._on_step = checkpoints, beginnings, score, on_step
        self.state = State()

    def run(self) -> State:
        """Train to the end, from the newest checkpoint if there is one; raises ``DivergenceError``."""
        device = self._world.device
        PULSE.stage()
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(derive(self._stage.seed, "dropout", self._world.rank))
            step = self._resume()
            while True:
                if len(self.state.history) < step // self._per_epoch:
                    self.state.history.append(self._score(step // self._per_epoch))
                if step == self._schedule.parting > self.state.taken_steps:
                    self._beginnings.leave(step, self._optimizer.tensors(), asdict(self.state), self._optimizer.cut)
                if step == self.steps:
                    return self.state
                step = self._epoch(step)

    def _resume(self) -> int:
        with self._world.together():
            own = self._checkpoints.load(self._optimizer.cut)
            saved = own or self._beginnings.take(self._optimizer.cut)
        if saved is None:
            return 0
        if saved.workers != self._world.size:
            torch.manual_seed(derive(self._stage.seed, "dropout", self._world.rank, saved.step))
        self._optimizer.restore(saved.tensors)
        self.state = State(**saved.state)
        if own is None:
            self.state.taken_steps = saved.step
            self.state.taken_tokens, self.state.taken_seconds = self.state.tokens, self.state.seconds
        return saved.step

    def _epoch(self, step: int) -> int:
        """What is left of the epoch that ``step`` lies in, or of it until the run parts; returns the step after it."""
        epoch, parting = step // self._per_epoch + 1, self._schedule.parting
        end = min(epoch * self._per_epoch, parting if parting > step else self.steps)
        begin = (epoch - 1) * self._per_epoch
        self._network.train()
        for part in self._parts:
            part.begin(derive(self._stage.seed, "hide", epoch))
        for number, batch in self._batches(epoch)[step - begin : end - begin]:
            with PULSE.step():
                loss, wanted = self._step(step, self._parts[number], batch)
            step += 1
            if wanted:
                self._checkpoints.save(step, self._optimizer.tensors(), asdict(self.state), self._optimizer.cut)
            if self._on_step is not None:
                done = (self._stage.key, self._stage.kind, step, self.steps, epoch, loss)
                self._on_step(Progress(*done, self.state.tokens, self.state.seconds))
            after_step(step)
        return step

    def _step(self, step: int, part: Part, batch: Rows) -> tuple[float, bool]:
        """One optimiser step; returns the batch's mean loss and whether a checkpoint is due."""
        start, world = time.perf_counter(), self._world
        loss = part.gradient(batch)
        norm = self._optimizer.gather()
        # One exchange a step: the loss, the norm, and whether the first worker's clock asks for a checkpoint.
        due = torch.tensor(float(self._checkpoints.due()), device=world.device)
        shared = world.total(torch.stack([loss, due]))
        norm = global_norm(norm, world)
        mean, wanted = shared.tolist()
        if not finite(mean, norm.item()):
            raise DivergenceError(f"the loss or its gradient was not finite at step {step + 1} of {self.steps}")
        self._optimizer.step(step, norm)
        self.state.tokens += part.tokens(batch)
        self.state.seconds += time.perf_counter() - start
        return mean, wanted > 0
