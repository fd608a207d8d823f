"""The loop in which a worker group takes job after job from the mailbox."""

from __future__ import annotations

import importlib
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


def loop(config: dict[str, Any]) -> None:
    """The train loop of a worker group: job after job, until the mailbox says that it is over.

    ``config``: mailbox (actor handle), group (number), runner (``module:function``), context, cpus. Only
    the first rank talks to the mailbox; the others learn the job from it through a gloo group of their own.
    """
    import ray

    mailbox, group = config["mailbox"], config["group"]
    try:
        runner, world, share = _prepare(config)
    except Exception as error:
        ray.get(mailbox.left.remote(group, f"a worker group could not start: {describe(error)}"))
        return
    life = uuid.uuid4().hex
    if world.rank == 0:
        ray.get(mailbox.hello.remote(group, life))
    on_step = _ends_when_over(mailbox) if world.size == 1 else None
    done: tuple[str, Result] | None = None
    while True:
        task = share(partial(_take, mailbox, group, life, done))
        done = None
        if task is True:
            continue
        if task is False:
            return
        key, job = task
        result, failure = _run(runner, job, config["context"], world, on_step)
        if failure is not None and (world.size > 1 or result["error"] == OUT_OF_MEMORY):
            if "another worker" in str(failure):
                time.sleep(1.0)  # World.together: let that worker's own words come first
            ray.get(mailbox.fail.remote(group, key, result))
            raise failure  # the other ranks wait for this one, and memory is full: only a new start frees them
        done = (key, result)


def _take(mailbox: Any, group: int, life: str, done: tuple[str, Result] | None) -> Any:
    import ray

    return ray.get(mailbox.take.remote(group, life, done))


class _OverError(Exception):
    """The pool was closed while a job ran."""


def _ends_when_over(mailbox: Any) -> Callable[[Any], None]:
    """A callback for every step that raises once the pool is closed, so that its end need not cut the group.

    Only for a worker alone: several would have to raise at the same step.
    """
    import ray

    over = threading.Event()

    def listen() -> None:
        while not ray.get(mailbox.over.remote()):
            pass
        over.set()

    def on_step(_: Any) -> None:
        if over.is_set():
            raise _OverError

    threading.Thread(target=listen, name="listener", daemon=True).start()
    return on_step


def describe(error: BaseException) -> str:
    """Type, message and the place of an exception, in one line; the message alone of one made for users."""
    if isinstance(error, XsweepError):
        return " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}{place}" if message else f"{type(error).__name__}{place}"


def _prepare(config: dict[str, Any]) -> tuple[Callable[..., Any], Any, Callable[[Callable[[], Any]], Any]]:
    import torch
    from ray.train.torch import get_device
    from torch import distributed

    from xsweep.train.world import World

    torch.set_num_threads(config["cpus"])
    module, _, name = config["runner"].partition(":")
    runner = getattr(importlib.import_module(module), name)
    world = replace(World.current(), device=get_device())  # Ray knows which GPU, or part of one, is ours
    if world.size == 1:
        return runner, world, lambda ask: ask()
    channel = distributed.new_group(backend="gloo")

    def share(ask: Callable[[], Any]) -> Any:
        box = [ask() if world.rank == 0 else None]
        distributed.broadcast_object_list(box, src=0, group=channel, device=torch.device("cpu"))
        return box[0]

    return runner, world, share


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
