"""What one launch of a sweep has run, spent and lost, and what its watcher is told of that."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xsweep.engine.failures import Failures
from xsweep.engine.mailbox import WORKER_DIED
from xsweep.engine.pool import GroupPool
from xsweep.engine.progress import Event, Progress, Unit
from xsweep.errors import StoreFull
from xsweep.plan.resolve import Resolver
from xsweep.plan.spending import Spending
from xsweep.plan.stage import Job, Stage
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store


class Account:
    """The books of one launch, which its studies and its reporting runs share."""

    def __init__(self, resolver: Resolver, watch: Callable[[Event], None]) -> None:
        self.resolver, self.plan, self.store, self._watch = resolver, resolver.plan, resolver.store, watch
        self.ran = 0
        self.failed: dict[str, str] = {}
        """Label of each stage that failed in this launch -> its reason."""
        self.failed_keys: set[str] = set()
        self.lost: set[str] = set()
        """Keys of the jobs that were given up because their workers died."""
        self.halted = ""
        """Why nothing more is started, or ""."""
        self.decisions = 0
        """Studies that have been decided, before or in this launch."""
        self.progress = Progress(Counter())
        self.failures = Failures(self.plan.sweep.max_failures)
        self._spending = Spending.of(self.plan.sweep)
        self._asked: dict[str, tuple[str, Unit]] = {}
        """Key of every job handed to the pool -> its label, and its like."""
        self._since: dict[str, float] = {}

    def begin(self, todo: Counter[Unit]) -> None:
        """Say how many jobs there are to do."""
        self.progress = Progress(todo, each=self._each())

    def asks(self, job: Job, label: str, unit: Unit) -> None:
        """Remember what a job is called that is handed to the pool."""
        self._asked[job.key] = (label, unit)

    def ended(self, unit: Unit, result: Mapping[str, Any]) -> None:
        """Count a job that has ended, in whatever way; raises ``StoreFull`` where no later one could keep anything."""
        self.ran += 1
        self.progress.ended(unit, result["seconds"])
        if result["error"] == StoreFull.__name__:
            raise StoreFull(result["reason"])

    # ---- what may still be started ---------------------------------------------------------------

    def spent(self, manifests: Iterable[Manifest | None]) -> bool:
        """Whether the sweep's stages have used its budget up, by what the store knows of them."""
        if self.plan.sweep.budget is not None:
            for manifest in manifests:
                self._spending.count(manifest)
            self.halted = self._spending.over
        return bool(self.halted)

    def halt(self, pool: GroupPool, reason: str) -> None:
        """Start nothing more, when there is a reason for that."""
        if reason and not self.halted:
            self.halted = reason
            self.watch(Event("note", f"{reason.splitlines()[0]}; what runs is finished, nothing more is started"))
            pool.drain("nothing more is started")

    def count(self, pool: GroupPool, stages: Sequence[Stage]) -> None:
        """Count what a job's stages have cost."""
        if self.plan.sweep.budget is not None:
            for stage in stages:
                self._spending.count(self.store.manifest(stage.key))
            self.halt(pool, self._spending.over)

    def note_failure(self, pool: GroupPool, job: Job, result: Mapping[str, Any]) -> str:
        """Write the failed attempt of the first stage of ``job`` that did not end; returns its key."""
        manifests = {stage.key: self.store.manifest(stage.key) for stage in job.stages}
        unended = [stage for stage in job.stages if not ((m := manifests[stage.key]) and m.final)]
        stage = (unended or list(job.stages))[0]
        record_failure(self.store, stage, result)
        self.failures.add(job.key, result)
        if result["error"] == WORKER_DIED:
            self.lost.add(job.key)
        self.halt(pool, self.failures.too_many(job.key, result["reason"]))
        return stage.key

    # ---- what the watcher is told ----------------------------------------------------------------

    def on_running(self, keys: Sequence[str], rates: Mapping[str, float]) -> None:
        """Tell the watcher what runs now; called in a thread of the pool's, so it touches nothing that counts."""
        now = time.monotonic()
        self._since = {key: self._since.get(key, now) for key in keys}
        asked = [(*self._asked[key], since, rates.get(key)) for key, since in self._since.items() if key in self._asked]
        running = tuple(self.progress.running(label, since, unit, rate) for label, unit, since, rate in asked)
        self._watch(Event("running", ", ".join(job.label for job in running), running=running))

    def watch(self, event: Event) -> None:
        """Hand ``event`` on with how far the launch is."""
        progress, gpus = self.progress, bool(self.plan.sweep.layout.gpus)
        done, total, left, hours = progress.done, progress.total, progress.left(), progress.hours()
        studies = (self.decisions, len(self.plan.searches))
        self._watch(replace(event, done=done, total=total, left=left, studies=studies, hours=hours, gpus=gpus))

    def _each(self) -> dict[str, float]:
        """GPUs, or workers where there are none, of a group of each model."""
        gangs = {model.name: self.resolver.layout(model.name).gang for model in self.plan.sweep.models}
        return {name: gang.workers * (gang.gpus or 1.0) for name, gang in gangs.items()}


def record_failure(store: Store, stage: Stage, result: Mapping[str, Any]) -> None:
    """Leave a manifest of a failed attempt, so that the report shows the hole and the next run tries again."""
    before = store.manifest(stage.key)
    store.commit(
        Manifest(
            key=stage.key,
            kind=stage.kind,
            status="failed",
            reason=result["reason"],
            spec=stage.payload(),
            parent=stage.parent,
            layout={"world": result["workers"]},
            versions={"python": platform.python_version()},
            timings={"lost": result["seconds"] + (before.timings.get("lost", 0.0) if before else 0.0)},
            metrics={},
            files={},
            attempt=before.attempt + 1 if before else 1,
        ),
        {},
        None,
    )
