"""What runs on the cluster: the mailbox that holds the queue, and the loop in which a worker group takes from it."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from xsweep.errors import XsweepError
from xsweep.plan.stage import Job
from xsweep.spec.sweep import Gang

Result = dict[str, Any]
"""How a job ended: status, reason, error (class name), traceback, outcomes, group, seconds, workers."""

ATTEMPTS = 3
"""A job during which this many workers died is given up."""
WORKER_DIED = "WorkerDied"
OUT_OF_MEMORY = "OutOfMemoryError"
"""Class name of what torch raises; a job that ends so is tried again in smaller micro-batches."""
HALVINGS = 2
"""How often a job's micro-batches are halved before it is given up."""
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
    gang: Gang
    ready: bool = False
    dead: bool = False
    retired: bool = False
    """It ends once it has no job."""
    life: str = ""
    """Which incarnation speaks: a killed worker's last call must not swallow a job."""
    lease: str | None = None


@dataclass(frozen=True)
class State:
    """What the groups are at, for the one who starts and retires them."""

    ready: int = 0
    """Groups that have come up so far."""
    running: tuple[tuple[int, str], ...] = ()
    """Group -> the key of the job that it runs."""
    waiting: tuple[tuple[Gang, int], ...] = ()
    """Jobs that no group has taken yet, by what they need."""


class Mailbox:
    """One asynchronous actor for all groups: the queue, who runs what, and the results by key.

    Every method may be called again with the same arguments without harm.
    """

    def __init__(self) -> None:
        self._groups: dict[int, _Group] = {}
        self._entries: dict[str, _Entry] = {}
        self._queues: dict[Gang, deque[str]] = {}
        self._results: list[tuple[str, Result]] = []
        self._news = asyncio.Event()
        self._drained: Result | None = None
        """What any job that had not started has come to, once nothing more is to start."""
        self._over: Result | None = None
        """What any job without a result has come to, once the pool is closed or no group is left."""

    async def open(self, group: int, gang: Gang) -> None:
        """A group is about to start; it will take jobs of its gang alone."""
        self._groups.setdefault(group, _Group(gang))

    async def retire(self, group: int) -> None:
        """Let a group end after the job that it runs."""
        self._groups[group].retired = True
        self._end_when_none_is_left("every worker group has ended")
        self._wake()

    async def submit(self, key: str, job: Job) -> None:
        """Queue the job ``key`` unless it was before."""
        entry = self._entry(key)
        if entry.job is not None or entry.result.done():
            return
        if self._drained:
            self._settle(key, self._drained)
            return
        entry.job = job
        self._queue(job).append(key)
        if self._over:
            self._settle_all(self._over)
        self._wake()

    async def wait(self, key: str) -> Result:
        """The result of the job ``key``, which may be submitted later."""
        return await asyncio.shield(self._entry(key).result)

    async def news(self, seen: int, before: State = State()) -> tuple[list[tuple[str, Result]], State]:
        """Results after the first ``seen``, and how things are; answers as soon as either is new."""
        end = time.monotonic() + _NEWS_SECONDS
        while len(self._results) == seen and self._state() == before and not self._over:
            if not await self._changed(end):
                break
        return self._results[seen:], self._state()

    def _state(self) -> State:
        running = [(number, group.lease) for number, group in self._groups.items() if group.lease is not None]
        waiting = [(gang, len(queue)) for gang, queue in self._queues.items() if queue]
        return State(sum(group.ready for group in self._groups.values()), tuple(running), tuple(waiting))

    def _queue(self, job: Job) -> deque[str]:
        return self._queues.setdefault(job.layout.gang, deque())

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
        queue = self._queues.setdefault(mine.gang, deque())
        while mine.life == life and not mine.dead and not self._over:
            if mine.lease is None and mine.retired:
                return False
            if mine.lease is None and queue:
                mine.lease = queue.popleft()
                self._wake()
            if mine.lease is not None:
                job = self._entries[mine.lease].job
                assert job is not None
                return mine.lease, job
            if not await self._changed(end):
                return True
        return False

    async def fail(self, group: int, key: str, result: Result) -> None:
        """A rank has failed, and its group is about to start anew: the job is over, as the first rank says it.

        Where memory ran out it is queued again with half the tokens a micro-batch, ``HALVINGS`` times.
        """
        mine, entry = self._groups[group], self._entries[key]
        if mine.lease != key or entry.job is None:
            return
        mine.lease = None
        layout = entry.job.layout
        if result["error"] != OUT_OF_MEMORY or layout.ooms == HALVINGS:
            again = f" (the micro-batches were halved {layout.ooms} times, to {layout.tokens} tokens)"
            result = {**result, "reason": result["reason"] + (again if layout.ooms else "")}
            self._settle(key, {**result, "group": group})
            return
        entry.job = replace(entry.job, layout=layout.halved())
        self._queue(entry.job).appendleft(key)
        self._wake()

    async def left(self, group: int, reason: str) -> None:
        """A group has ended: as it was asked to, or it is lost, and its job goes back to the queue. When groups were
        lost and no other is left, all is over."""
        mine = self._groups[group]
        mine.dead = not mine.retired or mine.lease is not None
        if mine.lease is not None and (job := self._entries[mine.lease].job) is not None:
            self._queue(job).appendleft(mine.lease)
        mine.lease = None
        self._end_when_none_is_left(reason)
        self._wake()

    def _end_when_none_is_left(self, reason: str) -> None:
        """Where groups were lost and no other is left, none is started in their place."""
        groups = self._groups.values()
        if any(group.dead for group in groups) and all(group.dead or group.retired for group in groups):
            self._settle_all(ended(LOST, reason))

    async def over(self) -> bool:
        """Whether the pool is closed or lost; answers when it is, and else after a while."""
        end = time.monotonic() + _TICK_SECONDS
        while not self._over and await self._changed(end):
            pass
        return self._over is not None

    async def drain(self, reason: str) -> None:
        """Let what runs end; whatever waits, or comes later, is aborted."""
        self._drained = self._drained or ended("aborted", reason)
        for queue in self._queues.values():
            while queue:
                self._settle(queue.popleft(), self._drained)

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
        self._queues.clear()
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
