"""The mailbox: one actor that holds the queue, who runs what, and how each job ended."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from xsweep.plan.stage import Job
from xsweep.spec.sweep import Gang

Result = dict[str, Any]
"""How a job ended: status, reason, error (class name), traceback, outcomes, group, seconds, workers."""

ATTEMPTS = 3
"""A job during which this many workers died is given up."""
WORKER_DIED = "WorkerDied"
OUT_OF_MEMORY = ("OutOfMemoryError", "MemoryError")
"""Class names of what torch and Python raise; a job that ends so is tried again in smaller micro-batches."""
HALVINGS = 2
"""How often a job's micro-batches are halved before it is given up."""
LOST = "lost"
"""Status inside the engine: no group is left that could run the job."""
_TICK_SECONDS = 20.0
"""An idle group hears from the mailbox this often, so that waiting ranks never meet a collective's timeout."""
_NEWS_SECONDS = 5.0
"""The driver hears from the mailbox this often, so that silence means trouble."""
_BEAT_SECONDS = 5.0
"""Every worker is heard of at least this often."""


def ended(status: str, reason: str = "", **more: Any) -> Result:
    """A result without outcomes."""
    nothing: Result = {"error": "", "traceback": "", "outcomes": [], "group": None, "seconds": 0.0, "workers": 1}
    return {"status": status, "reason": reason, **nothing, **more}


@dataclass
class _Entry:
    result: asyncio.Future[Result]
    job: Job | None = None
    deaths: int = 0
    lost: float = 0.0
    """Seconds of its attempts that came to nothing."""
    hung: str = ""
    """What was the matter with the last worker that was ended since it hung."""


@dataclass
class _Worker:
    """One rank of a group, as it was last heard of."""

    heard: float
    actor: Any


@dataclass
class _Group:
    gang: Gang
    ready: bool = False
    """It has come up, and has not ended."""
    dead: bool = False
    retired: bool = False
    """It ends once it has no job."""
    life: str = ""
    """Which incarnation speaks: a killed worker's last call must not swallow a job."""
    lease: str | None = None
    since: float = 0.0
    """When it took that job."""
    rate: float | None = None
    """Tokens per second at which the stage that it runs has trained so far; None before it has."""
    workers: dict[int, _Worker] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """What the groups are at, for the one who starts and retires them."""

    ready: int = 0
    """Groups that are up."""
    running: tuple[tuple[int, str], ...] = ()
    """Group -> the key of the job that it runs."""
    waiting: tuple[tuple[Gang, int], ...] = ()
    """Jobs that no group has taken yet, by what they need."""
    rates: tuple[tuple[str, float], ...] = ()
    """Key of a job -> tokens per second at which it trains."""


class Mailbox:
    """One asynchronous actor for all groups: the queue, who runs what, and the results by key.

    Every method may be called again with the same arguments without harm. A worker that nothing is heard of for
    ``silence`` seconds while its group has a job is ended: it was stopped, or it hangs.
    """

    def __init__(self, silence: float = 120.0) -> None:
        self._silence = silence
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
        self._end_the_silent()
        while len(self._results) == seen and self._state() == before and not self._over:
            if not await self._changed(end):
                break
        return self._results[seen:], self._state()

    def _state(self) -> State:
        running = [(number, group.lease) for number, group in self._groups.items() if group.lease is not None]
        rates = [(group.lease, group.rate) for group in self._groups.values() if group.lease and group.rate]
        waiting = [(gang, len(queue)) for gang, queue in self._queues.items() if queue]
        ready = sum(group.ready for group in self._groups.values())
        return State(ready, tuple(running), tuple(waiting), tuple(rates))

    def _queue(self, job: Job) -> deque[str]:
        return self._queues.setdefault(job.layout.gang, deque())

    async def hello(self, group: int, life: str) -> None:
        """A group's first rank has started, perhaps after its predecessor died in the middle of a job."""
        mine = self._groups[group]
        last = max((worker.heard for worker in mine.workers.values()), default=mine.since)
        mine.ready, mine.life, mine.workers = True, life, {}
        if mine.lease is None:
            return
        entry = self._entries[mine.lease]
        entry.deaths += 1
        self._lose(entry, max(0.0, last - mine.since))
        if entry.deaths >= ATTEMPTS:
            hung = f"; once {entry.hung}" if entry.hung else ""
            self._settle(mine.lease, ended("failed", f"its worker died {ATTEMPTS} times{hung}", error=WORKER_DIED))
        if entry.result.done():
            mine.lease = None
        mine.since = time.monotonic()

    async def take(self, group: int, life: str, done: tuple[str, Result] | None = None) -> tuple[str, Job] | bool:
        """Hand in the last result and get the next job: (key, job), True to ask again, False to end."""
        mine = self._groups[group]
        end = time.monotonic() + _TICK_SECONDS
        if done:
            await self.hand_in(group, life, done)
        queue = self._queues.setdefault(mine.gang, deque())
        while mine.life == life and not mine.dead and not self._over:
            if mine.lease is None and mine.retired:
                return False
            if mine.lease is None and queue:
                mine.lease, mine.rate, mine.since = queue.popleft(), None, time.monotonic()
                self._wake()
            if mine.lease is not None:
                job = self._entries[mine.lease].job
                assert job is not None
                return mine.lease, job
            if not await self._changed(end):
                return True
        return False

    async def hand_in(self, group: int, life: str, done: tuple[str, Result]) -> None:
        """Take a result in; for a group that takes no other job before it starts anew."""
        mine = self._groups[group]
        if mine.life == life and mine.lease == done[0]:
            self._settle(done[0], {**done[1], "group": group})
            mine.lease = None

    async def fail(self, group: int, key: str, result: Result) -> None:
        """A rank has failed, and its group is about to start anew: the job is over, as the first rank says it.

        Where memory ran out it is queued again with half the tokens a micro-batch, ``HALVINGS`` times.
        """
        mine, entry = self._groups[group], self._entries[key]
        if mine.lease != key or entry.job is None:
            return
        mine.lease = None
        layout = entry.job.layout
        if result["error"] not in OUT_OF_MEMORY or layout.ooms == HALVINGS:
            again = f" (the micro-batches were halved {layout.ooms} times, to {layout.tokens} tokens)"
            result = {**result, "reason": result["reason"] + (again if layout.ooms else "")}
            self._settle(key, {**result, "group": group})
            return
        entry.job = replace(entry.job, layout=layout.halved())
        self._lose(entry, result["seconds"])
        self._queue(entry.job).appendleft(key)
        self._wake()

    async def left(self, group: int, reason: str) -> None:
        """A group has ended: as it was asked to, or it is lost, and its job goes back to the queue. When groups were
        lost and no other is left, all is over."""
        mine = self._groups[group]
        mine.dead = not mine.retired or mine.lease is not None
        mine.ready, mine.workers = False, {}
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

    async def beat(self, group: int, rank: int, actor: Any, rate: float | None = None) -> bool:
        """A worker lives. Whether the pool is closed or lost: answers when it is, and else after a while."""
        mine, end = self._groups[group], time.monotonic() + _BEAT_SECONDS
        mine.workers[rank] = _Worker(time.monotonic(), actor)
        mine.rate = rate if rank == 0 else mine.rate
        while not self._over and await self._changed(end):
            pass
        return self._over is not None

    async def hangs(self, group: int, said: str) -> None:
        """A worker of the group is about to end itself, since it hangs, or since another of the group is gone."""
        if (lease := self._groups[group].lease) is not None:
            self._entries[lease].hung = said

    def _end_the_silent(self) -> None:
        latest = time.monotonic() - self._silence
        for group in self._groups.values():
            silent = [worker for worker in group.workers.values() if worker.heard < latest]
            if group.lease is not None and silent:
                self._entries[group.lease].hung = f"nothing was heard of it for {self._silence:g} s"
                group.workers = {}  # until the group has started anew
                for worker in silent:
                    _end(worker.actor)

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

    def _lose(self, entry: _Entry, seconds: float) -> None:
        """Count an attempt that came to nothing, so that the next one can write it down."""
        entry.lost += seconds
        if entry.job is not None:
            entry.job = replace(entry.job, lost=entry.lost)

    def _settle(self, key: str, result: Result) -> None:
        entry = self._entries[key]
        if not entry.result.done():
            result = {**result, "seconds": result["seconds"] + entry.lost}
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


def _end(actor: Any) -> None:
    """End the process of an actor, stopped or not."""
    import ray

    ray.kill(actor, no_restart=True)
