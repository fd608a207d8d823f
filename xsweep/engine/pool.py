"""Warm worker groups: each one long-lived Ray Train run that takes job after job from a mailbox."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from types import TracebackType
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from xsweep.engine.cluster import Cluster
from xsweep.engine.mailbox import LOST, WORKER_DIED, Mailbox, Result, State, ended
from xsweep.engine.room import Room
from xsweep.engine.worker import describe, loop
from xsweep.errors import EnvironmentProblem, Interrupted
from xsweep.plan.stage import Job
from xsweep.spec.sweep import Gang

_SILENCE_SECONDS = 40.0
"""A mailbox that says nothing for so long is gone."""
_CLOSE_SECONDS = 3.0
RENEW_AFTER = 2000
"""A group starts anew after so many jobs: what a process may have gathered in them goes."""
HANGS_SECONDS = 120.0
"""A worker that nothing is heard of for so long is ended and replaced."""
_AGAIN = "nothing that had ended is lost; run the same command again to go on"


class GroupPool:
    """Worker groups of a few gangs, from ``with`` to the end of its block.

    Groups start when jobs wait for their gang, in tens of seconds, at most ``groups`` at once and as many as the
    cluster holds; the largest gangs first, and where they do not fit side by side, one after the other. A job is run by
    ``runner`` (``module:function``, called with the job, ``context``, the World and ``on_step=None``), which returns
    one outcome per stage it has ended.

    A runner that raises fails its job alone. A job whose worker dies or hangs (not heard of for ``silence`` seconds, or
    at one step for too long: see ``xsweep.train.pulse``) is run again, at most twice, and so is one that runs out of
    memory, in smaller micro-batches. A group starts anew, in fresh processes, after all of these and after ``renew``
    jobs. On a cluster of several nodes groups that idle end, so that nodes may go.
    When jobs wait and no group comes up within ``patience`` seconds, or none is left, every future raises
    EnvironmentProblem, ``problem`` holds it and Ray's logs are kept; so with Interrupted when the cluster is gone or
    silent. ``on_running`` is called, in a thread of the pool, with the keys of the jobs that run and the tokens per
    second of those that train, whenever either changes.
    """

    def __init__(
        self,
        cluster: Cluster,
        gangs: Iterable[Gang],
        context: Any,
        runner: str = "xsweep.train.stage:run_job",
        *,
        groups: int | None = None,
        patience: float = 300.0,
        silence: float = HANGS_SECONDS,
        renew: int = RENEW_AFTER,
        on_running: Callable[[Sequence[str], Mapping[str, float]], None] = lambda _, __: None,
    ) -> None:
        self.groups = 0
        """The most that can be up at once."""
        self.problem: EnvironmentProblem | Interrupted | None = None
        self.name = f"mailbox-{uuid.uuid4().hex[:8]}"
        """Of the mailbox actor, for `ray.get_actor` in clients on the cluster."""
        self.cluster = cluster
        self._room = Room(cluster, tuple(gangs), groups)
        self._config = {"runner": runner, "context": context, "renew": renew}
        self._patience, self._silence, self._on_running = patience, silence, on_running
        self._lock = threading.Lock()
        self._futures: dict[str, Future[Result]] = {}
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> GroupPool:
        self.groups = self._room.most()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        mailbox = ray.remote(Mailbox).options(
            name=self.name, num_cpus=0, max_concurrency=10_000, scheduling_strategy=here
        )  # with the driver: all are lost with the mailbox, so that no other node may take it along
        self.handle: Any = mailbox.remote(self._silence)
        self._threads.append(self.cluster.thread(self._watch))
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
        if not self._room.knows(job.layout.gang):
            raise ValueError(f"job {job.key}: the pool has no groups of {job.layout.gang}")
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

    def _run_group(self, number: int, gang: Gang) -> None:
        """Body of a group's thread: its Train run, from start to end."""
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        config = {"cpus": gang.cpus, "gpus": gang.gpus, "mailbox": self.handle, "group": number}
        resources = {"CPU": float(gang.cpus)} | ({"GPU": gang.gpus} if gang.gpus else {})
        reason = "a worker group ended by itself"
        try:
            TorchTrainer(
                loop,
                train_loop_config=self._config | config,
                scaling_config=ScalingConfig(
                    num_workers=gang.workers, use_gpu=gang.gpus > 0, resources_per_worker=resources
                ),
                run_config=RunConfig(
                    name=f"group-{number}",
                    storage_path=str(self.cluster.scratch / self.name),
                    failure_config=FailureConfig(max_failures=-1),  # the mailbox counts, per job
                ),
            ).fit()
        except BaseException as error:  # Ray raises SystemExit in a waiting thread when it is shut down
            reason = f"a worker group ended: {describe(error)}"
        self._room.left(number)
        if not self._closing.is_set():
            self.handle.left.remote(number, reason)

    def _watch(self) -> None:
        """Body of the thread that starts and retires groups, brings results in and notices that none can come."""
        stuck, seen, state = 0.0, 0, State()
        """Since when jobs have waited without any group, and how many results have come."""
        while True:
            before = state
            try:
                news, state = self._next_news(seen, before)
                self._balance(state)
            except BaseException as error:
                if not self._closing.is_set():
                    self.cluster.lost()
                    said = f"the cluster stopped answering: {describe(error)}"
                    self._give_up(Interrupted(f"{said}; {_AGAIN}. Ray's logs: {self.cluster.keep()}"))
                return
            stuck = (stuck or time.monotonic()) if state.waiting and not state.ready else 0.0
            for key, result in news:
                self._settle(key, result)
            seen += len(news)
            if (state.running, state.rates) != (before.running, before.rates):
                self._on_running([key for _, key in state.running], dict(state.rates))
            if self.problem is not None:
                return
            if self._closing.is_set() and all(future.done() for future in list(self._futures.values())):
                return
            if stuck and time.monotonic() - stuck > self._patience and not self._closing.is_set():
                said = f"no worker group came up within {self._patience:.0f} s: {self._room.said()}"
                self._give_up(self._failed(said))
                return

    def _balance(self, state: State) -> None:
        """Start the groups that the waiting jobs need and there is room for, and retire those in their way."""
        if self._closing.is_set():
            return
        start, retire = self._room.balance(state, time.monotonic())
        for number in retire:
            self.handle.retire.remote(number)
        for number, gang in start:
            ray.get(self.handle.open.remote(number, gang))
            self._threads.append(self.cluster.thread(self._run_group, number, gang))

    def _next_news(self, seen: int, before: State) -> tuple[list[tuple[str, Result]], State]:
        answer = self.handle.news.remote(seen, before).future()
        end = time.monotonic() + _SILENCE_SECONDS
        while not wait([answer], timeout=0.5).done:
            failure = self.cluster.failure()
            if failure or time.monotonic() > end:
                raise EnvironmentProblem(failure or f"silence for {_SILENCE_SECONDS:.0f} s")
        news: tuple[list[tuple[str, Result]], State] = answer.result()
        return news

    def _settle(self, key: str, result: Result) -> None:
        if result["status"] == LOST:
            self._give_up(self._failed(result["reason"]))
            return
        if result["error"] == WORKER_DIED:
            self.cluster.keep()
        with self._lock:
            future = self._futures.setdefault(key, Future())
        _resolve(future, result)

    def _failed(self, reason: str) -> EnvironmentProblem:
        return EnvironmentProblem(f"{reason}; Ray's logs: {self.cluster.keep()}")

    def _give_up(self, problem: EnvironmentProblem | Interrupted) -> None:
        self.problem = self.problem or problem
        with self._lock:
            futures = list(self._futures.values())
        for future in futures:
            _resolve(future, self.problem)


def _resolve(future: Future[Result], outcome: Result | EnvironmentProblem | Interrupted) -> None:
    """Set the outcome of a future that has none yet; threads may meet here, and the first one wins."""
    with suppress(InvalidStateError):
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
