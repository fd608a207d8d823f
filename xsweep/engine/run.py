"""The sweep on a cluster: studies level by level, then the reporting stages; whatever the store holds is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

from xsweep.engine.account import Account
from xsweep.engine.cluster import Cluster
from xsweep.engine.logs import chatter
from xsweep.engine.pool import GroupPool
from xsweep.engine.progress import PRETRAINING, REPORTING, SEARCHING, Event, Unit, to_do
from xsweep.engine.room import wait_for_room
from xsweep.engine.searches import Searches
from xsweep.engine.shared import check_shared
from xsweep.engine.signals import Stop, interruptible, stopped
from xsweep.engine.space import check_space
from xsweep.plan.cells import Cell, Plan
from xsweep.plan.prints import Prints
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.stage import Job
from xsweep.store.store import Store
from xsweep.tasks.source import Sources

COUNTS = ("ok", "degenerate")
"""Statuses of stages whose scores count."""


@dataclass
class Outcome:
    """How a launch ended: reporting cells done and wanted, stages run now, and what failed."""

    done: int
    cells: int
    ran: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Label of each stage that failed in this launch -> its reason."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Phase -> wall time of this launch."""
    logs: Path | None = None
    """What Ray and other libraries said meanwhile, and Ray's own logs when a stage failed."""

    @property
    def complete(self) -> bool:
        """Whether every reporting cell has its score."""
        return self.done == self.cells


def scored(resolver: Resolver, cell: Cell) -> bool:
    """Whether a reporting cell has its score in the store."""
    stage = resolver.evaluate(cell)
    manifest = resolver.store.manifest(stage.key) if stage else None
    return manifest is not None and manifest.status in COUNTS


def run(
    plan: Plan,
    store: Store,
    prints: Prints,
    sources: Sources,
    *,
    address: str | None = None,
    wait_seconds: float = 300.0,
    watch: Callable[[Event], None] = lambda _: None,
) -> Outcome:
    """Do what is not done yet. Ray starts only when something is left to do.

    Raises ``Interrupted`` when stopped by a signal, ``StoreBusy`` when another driver holds the store and
    ``EnvironmentProblem`` when the cluster at ``address`` cannot hold the workers of some model, within
    ``wait_seconds``.
    """
    launch = Launch(Resolver(plan, prints, store), watch)
    begin = time.monotonic()
    with store.lease():
        if launch.open() and not launch.spent():
            check_space(launch.resolver)
            from xsweep.train.stage import Context  # brings torch, which an idle launch does not need

            context, groups = Context(store.where, sources), plan.sweep.layout.groups
            gangs = {model.name: launch.resolver.layout(model.name).gang for model in plan.sweep.models}

            def note(text: str) -> None:
                watch(Event("note", text))

            with (
                interruptible(note) as stop,
                chatter(store.root / "logs") as logs,
                Cluster(address, scratch=_scratch(address, store), logs=logs) as cluster,
            ):
                wait_for_room(cluster, gangs, wait_seconds, partial(_pause, stop), note)
                check_shared(cluster, store.root if store.local else None, sources.mirrors)
                pool = GroupPool(
                    cluster,
                    gangs.values(),
                    context,
                    groups=groups,
                    patience=max(300.0, wait_seconds),
                    on_running=launch.account.on_running,
                )
                launch.seconds["starting Ray"] = time.monotonic() - begin
                with pool:
                    launch.go(pool, cluster.scratch, stop)
                    begin = time.monotonic()
                if launch.account.failed:
                    cluster.keep()
            launch.seconds["ending Ray"] = time.monotonic() - begin
            launch.logs = logs if logs.is_dir() else None
        launch.tidy()
    done = sum(scored(launch.resolver, cell) for cell in plan.cells)
    account = launch.account
    if account.halted and done < len(plan.cells):
        account.failed["stopped early"] = account.halted
    return Outcome(done, len(plan.cells), account.ran, account.failed, launch.seconds, launch.logs)


class Launch:
    """One launch of a sweep, phase by phase, on top of what the store knows."""

    def __init__(self, resolver: Resolver, watch: Callable[[Event], None]) -> None:
        self.plan, self.resolver, self.store = resolver.plan, resolver, resolver.store
        self.account = Account(resolver, watch)
        self.searches = Searches(self.account)
        self.seconds: dict[str, float] = {}
        self.logs: Path | None = None

    def open(self) -> bool:
        """Whether anything is left to do."""
        return any(map(self.searches.undecided, self.plan.searches)) or any(True for _ in self.resolver.ready())

    def spent(self) -> bool:
        """Whether the sweep's stages have used its budget up, by what the store knows of them."""
        return self.account.spent(chain((record.manifest for record in collect(self.resolver)), self.searches.ended()))

    def go(self, pool: GroupPool, scratch: Path, stop: Stop) -> None:
        """Pretrain what has no weights yet, run the levels of studies, then the reporting stages."""
        self.account.begin(to_do(self.resolver, self.searches.trials_done()))
        self.account.decisions = self.searches.decided()
        with self._timed(PRETRAINING):
            self._run_all(self.resolver.pretraining, pool, stop)
        with self._timed(SEARCHING):
            self.searches.run(pool, scratch, stop)
        if self.plan.sweep.search.mode == "joint":  # targets that were decided alike share an intermediate stage
            self.account.progress.revise(REPORTING, to_do(self.resolver, self.searches.trials_done()))
        with self._timed(REPORTING):
            self._run_all(self.resolver.ready, pool, stop)

    def tidy(self) -> None:
        """Evict weights that the sweep does not keep."""
        if self.plan.sweep.keep == "none" and not self.account.halted and not any(True for _ in self.resolver.ready()):
            for cell in self.plan.cells:
                trained = self.plan.arm(cell.arm).trained
                if trained and (stage := self.resolver.intermediate(cell)):
                    self.store.evict(stage.key)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        begin, jobs = time.monotonic(), self.account.progress.of(phase)
        if jobs:
            self.account.watch(Event("phase", phase, "", f"{jobs} to do"))
        yield
        self.seconds[phase] = time.monotonic() - begin

    def _run_all(self, ready: Callable[[], Iterator[tuple[str, Job]]], pool: GroupPool, stop: Stop) -> None:
        """Keep every ready job in the pool until nothing is left that may run."""
        flying: dict[Future[dict[str, Any]], tuple[str, Job]] = {}
        submitted: set[str] = set()
        more = True
        while not stop.event.is_set():
            with self.store.glance() if more else nullcontext():
                found = list(ready()) if more and not self.account.halted else []
            for label, job in found:
                if job.key not in submitted and not any(stage.key in self.account.failed_keys for stage in job.stages):
                    submitted.add(job.key)
                    self.account.asks(job, label, _unit(job))
                    flying[pool.submit(job)] = (label, job)
            if not flying:
                return
            ended, _ = wait(flying, timeout=1.0, return_when=FIRST_COMPLETED)
            jobs = [flying.pop(future) for future in ended]
            for (label, job), future in zip(jobs, ended, strict=True):
                self._on_job(pool, label, job, future.result())
            # Looking at every cell again takes its time, and only what others start from, or are matched to, lets
            # more run.
            more = not flying or any(self._opens(job) for _, job in jobs)
        raise stopped(stop)

    def _opens(self, job: Job) -> bool:
        """Whether others wait for what a job has made."""
        return job.stages[-1].kind != "evaluate" or bool(self._matched.intersection(stage.key for stage in job.stages))

    @cached_property
    def _matched(self) -> frozenset[str]:
        """Keys of the target stages to whose steps a control is matched, once the studies are decided."""
        arms = {arm.of for arm in self.plan.sweep.arms} - {None}
        stages = (self.resolver.target(cell) for cell in self.plan.cells if cell.arm in arms)
        return frozenset(stage.key for stage in stages if stage)

    def _on_job(self, pool: GroupPool, label: str, job: Job, result: Mapping[str, Any]) -> None:
        if result["status"] == "aborted":
            return
        self.account.ended(_unit(job), result)
        if result["status"] == "failed":
            self.account.failed[label] = result["reason"]
            self.account.failed_keys.add(self.account.note_failure(pool, job, result))
        self.account.count(pool, job.stages)
        score = next((o["score"] for o in reversed(result["outcomes"]) if o.get("score") is not None), None)
        detail = result["reason"] or ("" if score is None else f"{score:.1f}")
        self.account.watch(Event("stage", label, result["status"], f"{detail}  {result['seconds']:.1f} s"))


def _unit(job: Job) -> Unit:
    """The like of a job outside studies."""
    stage = job.stages[-1]
    return (PRETRAINING if stage.kind == "pretrain" else REPORTING), stage.model.name


def _scratch(address: str | None, store: Store) -> Path | None:
    """Where Ray's own files go: a private folder for a local cluster, the store's disk for one of many nodes."""
    return None if address in (None, "local") else store.root / "ray"


def _pause(stop: Stop, seconds: float) -> None:
    if stop.event.wait(seconds):
        raise stopped(stop)
