"""Sharding with FSDP2: each layer and the root, parameters cut by their first dimension.

One worker shards nothing. Everything else in this room sees a parameter through ``local``, this worker's part of it in
fp32; for one worker that is the parameter itself, or the master of one in bf16.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from xsweep.errors import EnvironmentProblem
from xsweep.models.heads import Network
from xsweep.models.load import layers, materialise
from xsweep.train.checkpoint import own_rows
from xsweep.train.masters import add_masters, master, settle
from xsweep.train.tensors import write_tensors
from xsweep.train.world import World


def place_encoder(encoder: nn.Module, world: World, precision: str, whole: Collection[nn.Parameter] = ()) -> None:
    """Give an encoder without memory room on the device, cut over the workers by layer and root.

    What is not trained is held in ``precision``. Parameters in ``whole``, not trained either, are not cut: they need
    no gradients, and gathering a word table for each pass would cost more than its memory.
    """
    for parameter in encoder.parameters():
        if precision == "bf16" and (world.size == 1 or not parameter.requires_grad):
            parameter.data = parameter.data.to(torch.bfloat16)
    if world.size > 1:
        # mT5's blocks hand on their position bias, a slice; nothing is added to it in place.
        warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
        options: dict[str, Any] = {"mesh": _mesh(world), "mp_policy": _policy(precision), "ignored_params": set(whole)}
        for layer in layers(encoder):
            fully_shard(layer, reshard_after_forward=True, **options)
        fully_shard(encoder, reshard_after_forward=True, **options)
    materialise(encoder, world.device)
    if precision == "bf16" and world.size == 1:
        add_masters(trained(encoder).values())


def shard_head(head: nn.Module, world: World, precision: str) -> None:
    """The same for a head that has its values; it is a root of its own since it changes from stage to stage."""
    if world.size > 1:
        fully_shard(head, mesh=_mesh(world), mp_policy=_policy(precision), reshard_after_forward=True)
        return
    head.to(world.device)
    if precision == "bf16":
        add_masters(head.parameters())


def _policy(precision: str) -> MixedPrecisionPolicy:
    if precision == "fp32":
        return MixedPrecisionPolicy()
    return MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)


def sync_gradients(network: Network, on: bool) -> None:
    """Whether the next backward pass reduces gradients over the workers; only the last of a step needs to."""
    for part in (network.encoder, network.head):
        if isinstance(part, FSDPModule):
            part.set_requires_gradient_sync(on)


def trained(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def local(tensor: Tensor) -> Tensor:
    """This worker's rows of ``tensor``, or of its master, sharing memory; empty when there are fewer than workers."""
    held = master(tensor)
    if held is not None:
        return held
    plain = tensor.detach()
    return plain.to_local() if isinstance(plain, DTensor) else plain


def save_weights(network: nn.Module, path: Path, world: World) -> None:
    """Write ``encoder.*`` and ``head.*`` as trained, gathered one parameter at a time, on the first worker.

    Several heads are ``heads.0.*`` and so on.
    """
    tensors = {}
    for name, parameter in trained(network).items():
        plain = parameter.detach()
        whole = plain.full_tensor() if isinstance(plain, DTensor) else local(parameter)
        if world.first:
            tensors[name] = whole.cpu().contiguous()
    if world.first:
        write_tensors(tensors, path)


def load_weights(network: nn.Module, path: Path, world: World, *, head: str) -> None:
    """Put saved values into the encoder, and those of the saved ``head`` into the head unless that is "".

    Raises ``EnvironmentProblem`` on a misfit.
    """
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        for own, parameter in trained(network).items():
            if not head and not own.startswith("encoder."):
                continue
            name = re.sub(r"^head\.", f"{head}.", own)
            if name not in names:
                raise EnvironmentProblem(f"{path}: holds no {name}, so it is of another model or another `freeze`")
            saved = file.get_slice(name)
            if tuple(saved.get_shape()) != tuple(parameter.shape):
                raise EnvironmentProblem(f"{path}: {name} is {saved.get_shape()}, not {list(parameter.shape)}")
            start = first_row(parameter, world)
            local(parameter).copy_(saved[start : start + len(local(parameter))])
    settle(network)


def first_row(parameter: Tensor, world: World) -> int:
    """Where this worker's rows begin; 0 where it has all."""
    return own_rows(parameter.shape[0], world.rank, world.size).start if is_cut(parameter) else 0


def is_cut(parameter: Tensor) -> bool:
    """Whether each worker has rows of its own."""
    return isinstance(parameter, DTensor)


def _mesh(world: World) -> DeviceMesh:
    return init_device_mesh(world.device.type, (world.size,))
