"""AdamW with a schedule and clipping, on each worker's own part of the parameters."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from xsweep.spec.sweep import Training
from xsweep.train.masters import master, settle
from xsweep.train.schedule import Schedule
from xsweep.train.shard import is_cut, local, trained
from xsweep.train.trim import trimmed_tables
from xsweep.train.world import World


class Optimizer:
    """AdamW over plain tensors that share the parameters' memory, so that sharding is not its concern."""

    def __init__(self, network: nn.Module, recipe: Training, lr: float, schedule: Schedule) -> None:
        self._lr, self._schedule, self._recipe = lr, schedule, recipe
        self.parameters = trained(network)
        self._network = network
        self._own = {name: local(parameter) for name, parameter in self.parameters.items()}
        self._trimmed = trimmed_tables(network)
        # Looked up once: walking a small network's modules takes a twentieth of its step.
        self._mastered = any(master(parameter) is not None for parameter in self.parameters.values())
        # Both outlive their stage, and one that broke off may have left a gradient.
        for kept in (*self.parameters.values(), *self._own.values()):
            kept.grad = None
        leaves = {name: leaf for name, leaf in self._own.items() if leaf.numel()}
        # Biases and norms have one dimension; they are not decayed.
        decayed = [leaf for leaf in leaves.values() if leaf.ndim > 1]
        others = [leaf for leaf in leaves.values() if leaf.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self._adam = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=1e-8, fused=True)

    def gather(self) -> Tensor:
        """Hand the gradients over; returns the norm of this worker's part, a scalar tensor."""
        for name, parameter in self.parameters.items():
            if master(parameter) is None:  # a master has its gradient already
                self._own[name].grad = None if parameter.grad is None else local(parameter.grad)
                parameter.grad = None
        gradients = [leaf.grad for leaf in self._own.values() if leaf.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def step(self, number: int, norm: Tensor) -> None:
        """Clip by the global ``norm`` and take optimiser step ``number`` (from 0)."""
        torch.nn.utils.clip_grads_with_norm_(self._own.values(), self._recipe.clip, norm)
        rated = self._lr * self._schedule.rate(number)
        for group in self._adam.param_groups:
            group["lr"] = rated
        for table in self._trimmed.values():
            table.decay(1 - rated * self._recipe.weight_decay)
        self._adam.step()
        self._adam.zero_grad()
        if self._mastered:
            settle(self._network)

    @property
    def cut(self) -> dict[str, int]:
        """Names among ``tensors`` of which this worker has rows of its own, with the number of all rows."""
        names = {name: parameter.shape[0] for name, parameter in self.parameters.items() if is_cut(parameter)}
        moments = {f"{name}:{moment}": rows for name, rows in names.items() for moment in _ROWS}
        return names | moments

    def tensors(self) -> dict[str, Tensor]:
        """Parameters, moments and numbers of updates of this worker, by name: the whole state."""
        found = {}
        for name, leaf in self._own.items():
            table = self._trimmed.get(name)
            found[name] = table.whole() if table else leaf
            for moment in _MOMENTS if leaf in self._adam.state else ():
                value = self._adam.state[leaf][moment]
                found[f"{name}:{moment}"] = table.spread(value) if table and moment in _ROWS else value
        return found

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what ``tensors`` gave; a head that had no batch yet has no moments."""
        for name, leaf in self._own.items():
            table = self._trimmed.get(name)
            if table:
                table.load(tensors[name])
            elif leaf.numel():  # fewer rows than workers otherwise
                leaf.copy_(tensors[name])
            else:
                continue
            if f"{name}:step" in tensors:
                # Copied, since what was read from a file may lie there at another alignment.
                state = {moment: tensors[f"{name}:{moment}"].to(leaf.device, copy=True) for moment in _MOMENTS}
                if table:
                    state |= {moment: table.pick(state[moment]) for moment in _ROWS}
                self._adam.state[leaf] = state
        settle(self._network)


_ROWS = ("exp_avg", "exp_avg_sq")
_MOMENTS = ("step", *_ROWS)
"""What Adam keeps of each parameter; ``step`` counts its own updates, which a head among several has fewer of."""


def global_norm(norm: Tensor, world: World) -> Tensor:
    """The norm over all workers from the norm of this one's part."""
    return norm if world.size == 1 else world.total(norm**2).sqrt()


def finite(*numbers: float) -> bool:
    """Whether every number is finite."""
    return all(map(math.isfinite, numbers))
