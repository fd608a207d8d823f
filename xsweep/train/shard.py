"""Sharding with FSDP2: each layer and the root, parameters cut by their first dimension.

One worker shards nothing. Everything else in this room sees a parameter through ``local``, this worker's
part of it, and ``gather``, the whole; for one worker both are the parameter itself.
"""

from __future__ import annotations

import re
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from xsweep.errors import EnvironmentProblem
from xsweep.models.heads import Network
from xsweep.models.load import layers
from xsweep.train.tensors import write_tensors
from xsweep.train.world import World


def shard_encoder(encoder: nn.Module, world: World) -> None:
    """Move the encoder to the device, cut over the workers by layer and root.

    Frozen parameters stay whole on each worker: they need no gradients, and gathering a word table for
    each pass would cost more than its memory.
    """
    if world.size == 1:
        encoder.to(world.device)
        return
    frozen = {parameter for parameter in encoder.parameters() if not parameter.requires_grad}
    for parameter in frozen:
        parameter.data = parameter.data.to(world.device)
    mesh = _mesh(world)
    for layer in layers(encoder):
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=frozen)
    fully_shard(encoder, mesh=mesh, reshard_after_forward=True, ignored_params=frozen)


def shard_head(head: nn.Module, world: World) -> None:
    """The same for a head, which is a root of its own since it changes from stage to stage."""
    if world.size == 1:
        head.to(world.device)
    else:
        fully_shard(head, mesh=_mesh(world), reshard_after_forward=True)


def sync_gradients(network: Network, on: bool) -> None:
    """Whether the next backward pass reduces gradients over the workers; only the last of a step needs to."""
    for part in (network.encoder, network.head):
        if isinstance(part, FSDPModule):
            part.set_requires_gradient_sync(on)


def trained(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def local(tensor: Tensor) -> Tensor:
    """This worker's rows of ``tensor``, sharing its memory; empty when there are fewer rows than workers."""
    plain = tensor.detach()
    return plain.to_local() if isinstance(plain, DTensor) else plain


def save_weights(network: nn.Module, path: Path, world: World) -> None:
    """Write ``encoder.*`` and ``head.*`` as trained, gathered one parameter at a time, on the first worker.

    Several heads are ``heads.0.*`` and so on.
    """
    tensors = {}
    for name, parameter in trained(network).items():
        plain = parameter.detach()
        whole = plain.full_tensor() if isinstance(plain, DTensor) else plain
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
            local(parameter).copy_(saved[_rows(parameter, world)])


def _rows(parameter: nn.Parameter, world: World) -> slice:
    """The rows that this worker holds: equal parts by the first dimension, the last ones smaller or empty."""
    if not isinstance(parameter, DTensor):
        return slice(None)
    rows = parameter.shape[0]
    each = -(-rows // world.size)
    return slice(min(world.rank * each, rows), min((world.rank + 1) * each, rows))


def _mesh(world: World) -> DeviceMesh:
    return init_device_mesh(world.device.type, (world.size,))
