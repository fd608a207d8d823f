"""What runs on the cluster: the mailbox that holds the queue, and the loop in which a worker group takes from it."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from xsweep.errors import XsweepError
from xsweep.plan.stage import Job

Result = dict[str, Any]
"""How a job ended: status, reason, error (class name), traceback, outcomes, group, seconds, workers."""

ATTEMPTS = 3
"""A job during which this many workers died is given up."""
WORKER_DIED = "WorkerDied"
LOST = "lost"
"""Status inside the engine: no group is left that could run the job."""
_TICK_SECONDS = 20.0
"""An idle group hears from the mailbox this often, so that waiting ranks never meet a collective's timeout."""
_NEWS_SECONDS = 5.0
"""The driver hears from the mailbox this often, so that silence means trouble."""


def ended(status: str, reason: str = "", **more: Any) -> Result:
    """A result without outcomes."""
    nothing: Result = {"error": "", "traceback": "", "outcomes": [], "group": None, "seconds": 0.0, "workers": 1}
    return {"status": status, "reason": reason, **nothing, **more}


@dataclass
class _Entry:
    result: asyncio.Future[Result]
    job: Job | None = None
    deaths: int = 0


@dataclass
class _Group:
    ready: bool = False
    dead: bool = False
    life: str = ""
    """Which incarnation speaks: a killed worker's last call must not swallow a job."""
    lease: str | None = None


class Mailbox:
    """One asynchronous actor for all groups: the queue, who runs what, and the results by key.

    Every method may be called again with the same arguments without harm.
    """

    def __init__(self, groups: int) -> None:
        self._groups = [_Group() for _ in range(groups)]
        self._entries: dict[str, _Entry] = {}
        self._queue: deque[str] = deque()
        self._results: list[tuple[str, Result]] = []
        self._news = asyncio.Event()
        self._drained: Result | None = None
        """What any job that had not started has come to, once nothing more is to start."""
        self._over: Result | None = None
        """What any job without a result has come to, once the pool is closed or no group is left."""

    async def submit(self, key: str, job: Job) -> None:
        """Queue the job ``key`` unless it was before."""
        entry = self._entry(key)
        if entry.job is not None or entry.result.done():
            return
        if self._drained:
            self._settle(key, self._drained)
            return
        entry.job = job
        self._queue.append(key)
        if self._over:
            self._settle_all(self._over)
        self._wake()

    async def wait(self, key: str) -> Result:
        """The result of the job ``key``, which may be submitted later."""
        return await asyncio.shield(self._entry(key).result)

    async def news(self, seen: int, running: Sequence[str] = ()) -> tuple[list[tuple[str, Result]], int, list[str]]:
        """Results after the first ``seen``, how many groups have come up so far, and the keys that run now.

        Answers as soon as there is a result or other keys than ``running`` run.
        """
        end = time.monotonic() + _NEWS_SECONDS
        while len(self._results) == seen and self._running() == list(running) and not self._over:
            if not await self._changed(end):
                break
        return self._results[seen:], sum(group.ready for group in self._groups), self._running()

    def _running(self) -> list[str]:
        return [group.lease for group in self._groups if group.lease is not None]

    async def hello(self, group: int, life: str) -> None:
        """A group's first rank has started, perhaps after its predecessor died in the middle of a job."""
        mine = self._groups[group]
        mine.ready, mine.life = True, life
        if mine.lease is None:
            return
        entry = self._entries[mine.lease]
        entry.deaths += 1
        if entry.deaths >= ATTEMPTS:
            self._settle(mine.lease, ended("failed", f"its worker died {ATTEMPTS} times", error=WORKER_DIED))
        if entry.result.done():
            mine.lease = None

    async def take(self, group: int, life: str, done: tuple[str, Result] | None = None) -> tuple[str, Job] | bool:
        """Hand in the last result and get the next job: (key, job), True to ask again, False to end."""
        mine = self._groups[group]
        end = time.monotonic() + _TICK_SECONDS
        if done and mine.life == life and mine.lease == done[0]:
            self._settle(done[0], {**done[1], "group": group})
            mine.lease = None
        while mine.life == life and not mine.dead and not self._over:
            if mine.lease is None and self._queue:
                mine.lease = self._queue.popleft()
                self._wake()
            if mine.lease is not None:
                job = self._entries[mine.lease].job
                assert job is not None
                return mine.lease, job
            if not await self._changed(end):
                return True
        return False

    async def fail(self, group: int, key: str, result: Result) -> None:
        """One rank of several has failed, and its group is about to start anew: the job is over."""
        self._settle(key, {**result, "group": group})

    async def lost(self, group: int, reason: str) -> None:
        """A group is gone for good: its job goes back to the queue; without any group left, all is over."""
        mine = self._groups[group]
        mine.dead = True
        if mine.lease is not None and not self._entries[mine.lease].result.done():
            self._queue.appendleft(mine.lease)
        mine.lease = None
        if all(group.dead for group in self._groups):
            self._settle_all(ended(LOST, reason))
        self._wake()

    async def over(self) -> bool:
        """Whether the pool is closed or lost; answers when it is, and else after a while."""
        end = time.monotonic() + _TICK_SECONDS
        while not self._over and await self._changed(end):
            pass
        return self._over is not None

    async def drain(self, reason: str) -> None:
        """Let what runs end; whatever waits, or comes later, is aborted."""
        self._drained = self._drained or ended("aborted", reason)
        while self._queue:
            self._settle(self._queue.popleft(), self._drained)

    async def close(self, reason: str) -> None:
        """End all groups after the step they are at; whatever has no result yet is aborted."""
        self._settle_all(ended("aborted", reason))

    def _entry(self, key: str) -> _Entry:
        if key not in self._entries:
            self._entries[key] = _Entry(asyncio.get_running_loop().create_future())
        return self._entries[key]

    def _settle(self, key: str, result: Result) -> None:
        entry = self._entries[key]
        if not entry.result.done():
            entry.result.set_result(result)
            entry.job = None  # a finished job is never needed again
            self._results.append((key, result))
            self._wake()

    def _settle_all(self, result: Result) -> None:
        self._over = self._over or result
        self._queue.clear()
        for key in self._entries:
            self._settle(key, self._over)
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _changed(self, end: float) -> bool:
        """Wait for a change, at most until ``end``; False when that has come."""
        try:
            await asyncio.wait_for(self._news.wait(), end - time.monotonic())
        except TimeoutError:
            return False
        return True


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
        ray.get(mailbox.lost.remote(group, f"a worker group could not start: {describe(error)}"))
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
        if failure is not None and world.size > 1:
            if "another worker" in str(failure):
                time.sleep(1.0)  # World.together: let that worker's own words come first
            ray.get(mailbox.fail.remote(group, key, result))
            raise failure  # the other ranks wait for this one: only a new start of the group frees them
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
