"""The loop in which a worker group takes job after job from the mailbox."""

from __future__ import annotations

import importlib
import itertools
import os
import signal
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from xsweep.engine.mailbox import OUT_OF_MEMORY, Result, ended
from xsweep.errors import XsweepError
from xsweep.plan.stage import Job

SPOILED = (*OUT_OF_MEMORY, "AcceleratorError")
"""Class names of what leaves a process in no state to go on in; "CUDA error" in the message says the same."""


def loop(config: dict[str, Any]) -> None:
    """The train loop of a worker group: job after job, until the mailbox says that it is over.

    ``config``: mailbox (actor handle), group (number), runner (``module:function``), context, cpus, gpus, renew (jobs
    after which the group starts anew, in fresh processes). Only the first rank takes jobs from the mailbox; the
    others learn of them from it through a gloo group of their own.
    """
    import ray

    mailbox, group = config["mailbox"], config["group"]
    try:
        runner, world, channel = _prepare(config)
    except Exception as error:
        ray.get(mailbox.left.remote(group, f"a worker group could not start: {describe(error)}"))
        return
    life = uuid.uuid4().hex
    if world.rank == 0:
        ray.get(mailbox.hello.remote(group, life))
    on_step = _Heart(mailbox, group, channel).on_step
    done: tuple[str, Result] | None = None
    for jobs in itertools.count():
        if done and jobs >= config["renew"]:
            channel.share(partial(_hand_in, mailbox, group, life, done))
            raise _Renewed
        task = channel.share(partial(_take, mailbox, group, life, done))
        done = None
        while task is True:
            task = channel.share(partial(_take, mailbox, group, life, None))
        if task is False:
            return
        key, job = task
        result, failure = _run(runner, job, config["context"], world, on_step)
        if failure is not None and not isinstance(failure, _OverError) and (world.size > 1 or _spoils(failure)):
            if peer_is_gone(failure):  # killed, or it tells by itself why it failed: the job goes back to the queue
                ray.get(mailbox.hangs.remote(group, describe(failure)))
                raise failure
            if "another worker" in str(failure):
                time.sleep(1.0)  # World.together: let that worker's own words come first
            ray.get(mailbox.fail.remote(group, key, result))
            raise failure  # the other ranks wait for this one, and memory is full: only a new start frees them
        done = (key, result)


class _Renewed(Exception):
    """Raised so that Ray Train starts the group anew, in fresh processes."""


class _OverError(Exception):
    """The pool was closed while a job ran."""


def _spoils(error: Exception) -> bool:
    """Whether the process cannot run another job after this."""
    return type(error).__name__ in SPOILED or "CUDA error" in str(error)


def peer_is_gone(error: Exception) -> bool:
    """Whether a collective broke off under this worker: gloo says so by the place in its own source, NCCL by a type."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or "/gloo/" in str(error)


def _hand_in(mailbox: Any, group: int, life: str, done: tuple[str, Result]) -> None:
    import ray

    ray.get(mailbox.hand_in.remote(group, life, done))


def _take(mailbox: Any, group: int, life: str, done: tuple[str, Result] | None) -> Any:
    import ray

    return ray.get(mailbox.take.remote(group, life, done))


class _Channel:
    """How the workers of a group talk beside their stages: over gloo, whatever carries the gradients."""

    def __init__(self, world: Any) -> None:
        from torch import distributed

        self.rank, self._alone = world.rank, world.size == 1
        self._group = None if self._alone else distributed.new_group(backend="gloo")

    def share(self, ask: Callable[[], Any]) -> Any:
        """What the first worker was told, on all; the others do not ask."""
        import torch
        from torch import distributed

        box = [ask() if self.rank == 0 else None]
        if not self._alone:
            distributed.broadcast_object_list(box, src=0, group=self._group, device=torch.device("cpu"))
        return box[0]

    def agree(self, wish: bool) -> bool:
        """The first worker's wish, on all."""
        import torch
        from torch import distributed

        if self._alone:
            return wish
        box = torch.tensor([wish], dtype=torch.uint8)
        distributed.broadcast(box, src=0, group=self._group)
        return bool(box.item())


class _Heart:
    """Tells the mailbox that this worker lives, and ends the process when it hangs at a step."""

    def __init__(self, mailbox: Any, group: int, channel: _Channel) -> None:
        self._mailbox, self._group, self._channel = mailbox, group, channel
        self._over = False
        self._rate: float | None = None
        threading.Thread(target=self._beat, name="heart", daemon=True).start()

    def on_step(self, progress: Any) -> None:
        """Called after every step: raises on all workers, after the same step, once the pool is closed."""
        self._rate = progress.tokens / progress.seconds if progress.seconds else None
        if self._channel.agree(self._over):
            raise _OverError

    def _beat(self) -> None:
        import ray

        from xsweep.train.pulse import PULSE

        myself = ray.get_runtime_context().current_actor
        while not self._over:
            self._over = ray.get(self._mailbox.beat.remote(self._group, self._channel.rank, myself, self._rate))
            if said := PULSE.overdue():
                ray.get(self._mailbox.hangs.remote(self._group, said))
                os.kill(os.getpid(), signal.SIGKILL)


def describe(error: BaseException) -> str:
    """Type, message and the place of an exception, in one line; the message alone of one made for users."""
    if isinstance(error, XsweepError):
        return " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}{place}" if message else f"{type(error).__name__}{place}"


def _prepare(config: dict[str, Any]) -> tuple[Callable[..., Any], Any, _Channel]:
    import torch
    from ray.train.torch import get_device

    from xsweep.train.world import World

    torch.set_num_threads(config["cpus"])
    _cap_memory(get_device(), config["gpus"])
    module, _, name = config["runner"].partition(":")
    runner = getattr(importlib.import_module(module), name)
    world = replace(World.current(), device=get_device())  # Ray knows which GPU, or part of one, is ours
    return runner, world, _Channel(world)


def _cap_memory(device: Any, share: float) -> None:
    """Keep to our part of a GPU that workers share: beyond it torch runs out of memory, and smaller batches help."""
    if device.type == "cuda" and 0 < share < 1:
        import torch

        torch.cuda.set_per_process_memory_fraction(share, device)


def _run(
    runner: Callable[..., Any], job: Job, context: Any, world: Any, on_step: Callable[[Any], None] | None
) -> tuple[Result, None] | tuple[Result, Exception]:
    start = time.perf_counter()
    try:
        outcomes = runner(job, context, world, on_step=on_step)
    except Exception as error:
        trace = "" if isinstance(error, XsweepError) else "".join(traceback.format_exception(error))
        told = {"error": type(error).__name__, "traceback": trace, "seconds": time.perf_counter() - start}
        return ended("failed", describe(error), **told, workers=world.size), error
    last = outcomes[-1]
    result = ended(last["status"], last.get("reason", ""), seconds=time.perf_counter() - start, workers=world.size)
    return {**result, "outcomes": outcomes}, None
