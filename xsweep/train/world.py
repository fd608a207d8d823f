"""The workers that share a stage, and the few ways in which they talk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class World:
    """This worker's place among ``size`` workers. With one worker every exchange is free and exact."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def single(cls) -> World:
        """One worker, on a GPU when there is one."""
        return cls(0, 1, _device())

    @classmethod
    def current(cls) -> World:
        """What ``torch.distributed`` says, or one worker when it is not set up."""
        if not dist.is_initialized():
            return cls.single()
        return cls(dist.get_rank(), dist.get_world_size(), _device())

    @property
    def first(self) -> bool:
        """Whether this worker is the one that writes."""
        return self.rank == 0

    def total(self, tensor: Tensor) -> Tensor:
        """``tensor`` summed over the workers, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def agree(self, number: int) -> int:
        """The first worker's ``number``, on all."""
        if self.size == 1:
            return number
        shared = torch.tensor([number], dtype=torch.int64, device=self.device)
        dist.broadcast(shared, src=0)
        return int(shared.item())

    @contextmanager
    def together(self) -> Iterator[None]:
        """Fail on every worker when the block fails on one, so that none waits for a worker that has left."""
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            failure = error
        failed = self.total(torch.tensor([float(failure is not None)], device=self.device)).item()
        if failure is not None:
            raise failure
        if failed:
            raise RuntimeError("another worker of this stage failed; its own message says why")


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", torch.cuda.current_device())))
