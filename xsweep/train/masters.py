"""bf16 weights with fp32 masters, for a worker alone; where several share a model, FSDP2 does the same with its shards.

Weights are bf16, so that forward and backward passes are; gradients are added up in fp32, and what an optimiser
changes, what is saved and what is loaded are the masters, since steps of a fine-tune are smaller than bf16 can show.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def add_masters(parameters: Iterable[nn.Parameter]) -> None:
    """Make each of ``parameters`` bf16, with a master that has its values."""
    for parameter in parameters:
        held = parameter.detach().to(torch.float32, copy=True)
        parameter.data = parameter.detach().to(torch.bfloat16)
        parameter.master = held  # type: ignore[attr-defined]
        parameter.register_post_accumulate_grad_hook(_hand_over)


def master(tensor: Tensor) -> Tensor | None:
    """The master of a parameter; None where it has none."""
    return getattr(tensor, "master", None)


def settle(module: nn.Module) -> None:
    """Put the masters' values, rounded, into the parameters of ``module``."""
    for parameter in module.parameters():
        held = master(parameter)
        if held is not None:
            parameter.detach().copy_(held)


def _hand_over(parameter: Tensor) -> None:
    """Add a gradient that has just been computed to the master's."""
    held, gradient = master(parameter), parameter.grad
    assert held is not None
    assert gradient is not None
    held.grad = gradient.float() if held.grad is None else held.grad.add_(gradient)
    parameter.grad = None
