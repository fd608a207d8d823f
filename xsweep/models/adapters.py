"""Low-rank adapters (LoRA, Hu et al. 2021) on every linear map of the layers, by way of ``peft``."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from xsweep.errors import EnvironmentProblem
from xsweep.models.load import parameters_on_meta, stack_name


def add_adapters(encoder: nn.Module, rank: int, alpha: float, dropout: float) -> None:
    """Freeze ``encoder`` and put adapters without memory beside the linear maps of its layers.

    Raises ``EnvironmentProblem`` where ``peft`` is not installed.
    """
    try:
        import peft
    except ImportError:
        hint = "install it with: pip install 'xsweep-scaling[lora]'"
        raise EnvironmentProblem(f"train.lora needs the package `peft`, which is not installed; {hint}") from None
    stack = stack_name(encoder)
    maps = [n for n, m in encoder.named_modules() if isinstance(m, nn.Linear) and n.startswith(f"{stack}.")]
    # peft scales by alpha / rank.
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=maps)  # type: ignore[arg-type]
    with parameters_on_meta():
        peft.inject_adapter_in_model(config, encoder, low_cpu_mem_usage=True)


def is_adapter(name: str) -> bool:
    """Whether a parameter belongs to an adapter rather than to the model."""
    return ".lora_A." in name or ".lora_B." in name


def fresh_adapter(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """First values of an adapter's parameter: the second map zero, so that nothing is added at first."""
    value = torch.zeros(shape)
    if ".lora_A." in name:
        value.uniform_(-1 / math.sqrt(shape[1]), 1 / math.sqrt(shape[1]), generator=generator)
    return value


def merged(base: Tensor, first: Tensor, second: Tensor, scale: float) -> Tensor:
    """The linear map that a map and its adapter come to together."""
    return base + scale * (second @ first)
