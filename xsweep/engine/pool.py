"""Warm worker groups: each one long-lived Ray Train run that takes job after job from a mailbox."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from types import TracebackType
from typing import Any

import ray

from xsweep.engine.cluster import Cluster
from xsweep.engine.worker import LOST, WORKER_DIED, Mailbox, Result, describe, ended, loop
from xsweep.errors import EnvironmentProblem
from xsweep.plan.stage import Job
from xsweep.spec.sweep import Layout

_SILENCE_SECONDS = 60.0
"""A mailbox that says nothing for so long is gone."""
_CLOSE_SECONDS = 3.0


class GroupPool:
    """Worker groups of one layout, from ``with`` to the end of its block.

    ``layout.groups`` of them, or as many as the cluster holds now. They start at once, in tens of seconds,
    while jobs may be submitted already. A job is run by ``runner`` (``module:function``, called with the
    job, ``context``, the World and ``on_step=None``), which returns one outcome per stage it has ended.

    A runner that raises fails its job alone. A job whose worker is killed is run again, at most twice.
    Raises EnvironmentProblem when the cluster can not hold one group; when none comes up within
    ``patience`` seconds, when none is left or the cluster is silent, every future raises it, ``problem``
    holds it and Ray's logs are kept. ``on_running`` is called, in a thread of the pool, with the keys of the
    jobs that run, whenever they are others than before.
    """

    def __init__(
        self,
        cluster: Cluster,
        layout: Layout,
        context: Any,
        runner: str = "xsweep.train.stage:run_job",
        *,
        patience: float = 300.0,
        on_running: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        self.groups = 0
        self.problem: EnvironmentProblem | None = None
        self.name = f"mailbox-{uuid.uuid4().hex[:8]}"
        """Of the mailbox actor, for `ray.get_actor` in clients on the cluster."""
        self.cluster = cluster
        self._layout = layout
        self._config = {"runner": runner, "context": context, "cpus": layout.cpus}
        self._patience, self._on_running = patience, on_running
        self._lock = threading.Lock()
        self._futures: dict[str, Future[Result]] = {}
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> GroupPool:
        self.groups = self._count()
        actor = ray.remote(Mailbox).options(name=self.name, num_cpus=0, max_concurrency=10_000)
        self.handle: Any = actor.remote(self.groups)
        targets: list[tuple[Any, ...]] = [(self._run_group, number) for number in range(self.groups)]
        for target, *arguments in [*targets, (self._watch,)]:
            self._threads.append(self.cluster.thread(target, *arguments))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, job: Job) -> Future[Result]:
        """Queue ``job``; the same future whenever the same key is submitted again.

        Results: status "ok", "pruned", "diverged" or "degenerate" as its last stage's; "failed", with a
        reason and the class name of the error; "aborted" when the pool was closed before it ended.
        """
        with self._lock:
            future = self._futures.get(job.key)
            if future is not None:
                return future
            future = self._futures[job.key] = Future()
        if self.problem is not None:
            _resolve(future, self.problem)
        elif self._closing.is_set():
            _resolve(future, ended("aborted", "the pool is closed"))
        else:
            self.handle.submit.remote(job.key, job)
        return future

    def result(self, key: str) -> Result:
        """The result of a job that was submitted, waiting for it if need be."""
        return self._futures[key].result()

    def drain(self, reason: str) -> None:
        """Let the jobs that run end; those that wait, or are submitted later, get the status "aborted"."""
        self.handle.drain.remote(reason)

    def abort(self, reason: str = "stopped") -> None:
        """Give every job without a result the status "aborted", and let no group take another."""
        if not self._closing.is_set():
            self._closing.set()
            self.handle.close.remote(reason)
        wait(list(self._futures.values()), timeout=_CLOSE_SECONDS)
        for future in list(self._futures.values()):  # those that no answer came for
            _resolve(future, ended("aborted", reason))

    def close(self) -> None:
        """Abort what has not ended, and give idle groups a moment to leave; Ray's end cuts the others."""
        self.abort("the pool was closed")
        end = time.monotonic() + _CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        shutil.rmtree(self.cluster.scratch / self.name, ignore_errors=True)

    def _count(self) -> int:
        """How many groups to start."""
        one, there = self._needed(), self.cluster.resources
        fit = min(int(there.get(name, 0.0) // amount) for name, amount in one.items())
        if self.cluster.local and fit < 1:
            raise EnvironmentProblem(f"no worker group fits: {self._needs_and_has()}")
        if self._layout.groups is not None:
            return min(self._layout.groups, fit) if self.cluster.local else self._layout.groups
        return max(fit, 1)

    def _needed(self) -> dict[str, float]:
        need = {"CPU": float(self._layout.workers * self._layout.cpus), "GPU": self._layout.workers * self._layout.gpus}
        return {name: amount for name, amount in need.items() if amount}

    def _needs_and_has(self) -> str:
        there = self.cluster.resources
        return "one needs {}, the cluster has {}".format(
            " and ".join(f"{amount:g} {name}s" for name, amount in self._needed().items()),
            " and ".join(f"{there.get(name, 0.0):g} {name}s" for name in self._needed()),
        )

    def _run_group(self, number: int) -> None:
        """Body of a group's thread: its Train run, from start to end."""
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        layout = self._layout
        resources = {"CPU": float(layout.cpus)} | ({"GPU": layout.gpus} if layout.gpus else {})
        reason = "a worker group ended by itself"
        try:
            TorchTrainer(
                loop,
                train_loop_config={**self._config, "mailbox": self.handle, "group": number},
                scaling_config=ScalingConfig(
                    num_workers=layout.workers, use_gpu=layout.gpus > 0, resources_per_worker=resources
                ),
                run_config=RunConfig(
                    name=f"group-{number}",
                    storage_path=str(self.cluster.scratch / self.name),
                    failure_config=FailureConfig(max_failures=-1),  # the mailbox counts, per job
                ),
            ).fit()
        except BaseException as error:  # Ray raises SystemExit in a waiting thread when it is shut down
            reason = f"a worker group ended: {describe(error)}"
        if not self._closing.is_set():
            self.handle.lost.remote(number, reason)

    def _watch(self) -> None:
        """Body of the thread that brings results in and notices that none can come any more."""
        start, seen, running = time.monotonic(), 0, list[str]()
        while True:
            before = running
            try:
                news, ready, running = self._next_news(seen, before)
            except BaseException as error:
                if not self._closing.is_set():
                    self._give_up(f"the cluster stopped answering: {describe(error)}")
                return
            for key, result in news:
                self._settle(key, result)
            seen += len(news)
            if running != before:
                self._on_running(running)
            if self.problem is not None:
                return
            if self._closing.is_set() and all(future.done() for future in list(self._futures.values())):
                return
            if not ready and time.monotonic() - start > self._patience and not self._closing.is_set():
                self._give_up(f"no worker group came up within {self._patience:.0f} s: {self._needs_and_has()}")
                return

    def _next_news(self, seen: int, running: list[str]) -> tuple[list[tuple[str, Result]], int, list[str]]:
        answer = self.handle.news.remote(seen, running).future()
        end = time.monotonic() + _SILENCE_SECONDS
        while not wait([answer], timeout=0.5).done:
            failure = self.cluster.failure()
            if failure or time.monotonic() > end:
                raise EnvironmentProblem(failure or f"silence for {_SILENCE_SECONDS:.0f} s")
        news: tuple[list[tuple[str, Result]], int, list[str]] = answer.result()
        return news

    def _settle(self, key: str, result: Result) -> None:
        if result["status"] == LOST:
            self._give_up(result["reason"])
            return
        if result["error"] == WORKER_DIED:
            self.cluster.keep()
        with self._lock:
            future = self._futures.setdefault(key, Future())
        _resolve(future, result)

    def _give_up(self, reason: str) -> None:
        if self.problem is None:
            self.problem = EnvironmentProblem(f"{reason}; Ray's logs: {self.cluster.keep()}")
        with self._lock:
            futures = list(self._futures.values())
        for future in futures:
            _resolve(future, self.problem)


def _resolve(future: Future[Result], outcome: Result | EnvironmentProblem) -> None:
    """Set the outcome of a future that has none yet; threads may meet here, and the first one wins."""
    with suppress(InvalidStateError):
        if isinstance(outcome, EnvironmentProblem):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
