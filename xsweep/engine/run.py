"""The sweep on a cluster: studies level by level, then the reporting stages; whatever the store holds is kept."""

from __future__ import annotations

import platform
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from xsweep.engine.cluster import Cluster
from xsweep.engine.pool import GroupPool
from xsweep.engine.progress import PRETRAINING, REPORTING, SEARCHING, Event, Progress, to_do
from xsweep.engine.room import wait_for_room
from xsweep.engine.search import run_level
from xsweep.engine.signals import Stop, interruptible
from xsweep.engine.space import check_space
from xsweep.engine.studies import Suggestions, decide
from xsweep.errors import CtrlC, Interrupted, StoreFull
from xsweep.plan.cells import Cell, Plan
from xsweep.plan.prints import Prints
from xsweep.plan.resolve import Resolver
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.plan.study import Study, Trial
from xsweep.store.manifests import Manifest
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
    launch = _Launch(plan, Resolver(plan, prints, store), store, watch)
    begin = time.monotonic()
    with store.lease():
        if launch.open():
            check_space(launch.resolver)
            from xsweep.train.stage import Context  # brings torch, which an idle launch does not need

            context, groups = Context(store.root, sources), plan.sweep.layout.groups
            gangs = {model.name: launch.resolver.layout(model.name).gang for model in plan.sweep.models}
            with (
                interruptible(lambda text: watch(Event("note", text))) as stop,
                Cluster(address, scratch=_scratch(address, store)) as cluster,
            ):
                wait_for_room(cluster, gangs, wait_seconds, partial(_pause, stop))
                pool = GroupPool(cluster, gangs.values(), context, groups=groups, on_running=launch.on_running)
                launch.seconds["starting Ray"] = time.monotonic() - begin
                with pool:
                    launch.go(pool, cluster.scratch, stop)
                    begin = time.monotonic()
            launch.seconds["ending Ray"] = time.monotonic() - begin
        launch.tidy()
    done = sum(scored(launch.resolver, cell) for cell in plan.cells)
    return Outcome(done, len(plan.cells), launch.ran, launch.failed, launch.seconds)


class _Launch:
    """One launch of a sweep: what it ran and what failed, on top of what the store knows."""

    def __init__(self, plan: Plan, resolver: Resolver, store: Store, watch: Callable[[Event], None]) -> None:
        self.plan, self.resolver, self.store, self._watch = plan, resolver, store, watch
        self.ran = 0
        self.failed: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self._labels: dict[str, str] = {}
        """Of every job handed to the pool, by its key."""
        self._failed_keys: set[str] = set()
        self._progress = Progress(Counter())
        self._trials: dict[str, dict[int, Trial]] = {}

    def open(self) -> bool:
        """Whether anything is left to do."""
        return any(map(self._undecided, self.plan.searches)) or any(True for _ in self.resolver.ready())

    def go(self, pool: GroupPool, scratch: Path, stop: Stop) -> None:
        """Pretrain what has no weights yet, run the levels of studies, then the reporting stages."""
        self._progress = Progress(to_do(self.resolver, self._trials_done()))
        with self._timed(PRETRAINING):
            self._run_all(self.resolver.pretraining, pool, stop)
        with self._timed(SEARCHING):
            self._search(pool, scratch, stop)
        with self._timed(REPORTING):
            self._run_all(self.resolver.ready, pool, stop)

    def on_running(self, keys: Sequence[str]) -> None:
        """Tell the watcher what runs now; called in a thread of the pool's, so it touches nothing that counts."""
        self._watch(Event("running", ", ".join(self._labels.get(key, key) for key in keys)))

    def watch(self, event: Event) -> None:
        """Hand ``event`` on with how far the launch is."""
        progress = self._progress
        self._watch(replace(event, done=progress.done, total=progress.total, left=progress.left()))

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        begin, jobs = time.monotonic(), self._progress.of(phase)
        if jobs:
            self.watch(Event("phase", phase, "", f"{jobs} to do"))
        yield
        self.seconds[phase] = time.monotonic() - begin

    # ---- studies ---------------------------------------------------------------------------------

    def _search(self, pool: GroupPool, scratch: Path, stop: Stop) -> None:
        """Run the studies, level by level, and write their decisions."""
        for level in self.plan.levels:
            studies = [study for cell in level if (study := self._undecided(cell))]
            # What takes most room first: short jobs fill the end better than long ones.
            studies.sort(key=lambda study: -self.resolver.layout(study.model).workers)
            for study in studies:
                self.watch(Event("study", study.label, "searching", f"{study.space.trials} trials"))
            if studies:
                on_trial = partial(self._on_trial, pool)
                run_level(studies, pool, self._finished, self._trial_job, on_trial, scratch, stop.event)
            if stop.event.is_set():
                raise _stopped(stop)
            for study in studies:
                self._decide(study)

    def tidy(self) -> None:
        """Evict weights that the sweep does not keep."""
        if self.plan.sweep.keep == "none" and not any(True for _ in self.resolver.ready()):
            for cell in self.plan.cells:
                trained = self.plan.arm(cell.arm).trained
                if trained and (stage := self.resolver.intermediate(cell.model, cell.arm, cell.seed)):
                    self.store.evict(stage.key)

    def _trials_done(self) -> dict[str, int]:
        """Trials that the store has of each study without a decision, by address."""
        open_ = (study for cell in self.plan.searches if (study := self._undecided(cell)))
        return {study.address: len(self._finished(study)) for study in open_}

    def _undecided(self, cell: Cell) -> Study | None:
        study = self.resolver.study(cell)
        return study if study and self.store.decision(study.address) is None else None

    def _finished(self, study: Study) -> Mapping[int, Trial]:
        """Trials that ended: those in the store, and those that failed in this launch."""
        suggestions, ended = Suggestions(study), dict(self._trials.get(study.address, {}))
        while True:
            found = {}
            for number, hyper in suggestions.pending(ended):
                stage = self.resolver.trial(study, hyper)
                manifest = self.store.manifest(stage.key)
                if number not in ended and manifest and manifest.final:
                    found[number] = Trial(number, hyper, stage.key, manifest.status, manifest.metrics.get("score"))
            if not found:
                return ended
            ended |= found

    def _trial_job(self, study: Study, hyper: Hyper) -> Job:
        job = self.resolver.job(self.resolver.trial(study, hyper))
        self._labels[job.key] = f"{study.label}, lr {hyper.lr:.2g}, {hyper.epochs} epochs"
        return job

    def _on_trial(self, pool: GroupPool, study: Study, trial: Trial) -> None:
        self.ran += 1
        self._trials.setdefault(study.address, {})[trial.number] = trial
        self._progress.ended((SEARCHING, study.model), pool.result(trial.key)["seconds"])
        label, said = f"{study.label} t{trial.number:02d}", ""
        if trial.status == "failed":
            result = pool.result(trial.key)
            _stop_when_full(result)
            said = self.failed[label] = result["reason"]
            self._note_failure(self._trial_job(study, trial.hyper), result)
        elif trial.score is not None:
            said = f"{trial.score:.1f} on English dev"
        self.watch(Event("trial", label, trial.status, f"lr {trial.hyper.lr:g}, {trial.hyper.epochs} epochs  {said}"))

    def _decide(self, study: Study) -> None:
        trials = [trial for _, trial in sorted(self._finished(study).items())]
        decision = decide(study, trials)
        if decision is None:
            self.failed[study.label] = "every trial failed; the first: " + (self._reason(trials[0]) if trials else "?")
            self.watch(Event("study", study.label, "failed", self.failed[study.label]))
            return
        self.store.decide(study.address, decision)
        if study.kind == "intermediate":
            for trial in trials:
                if trial.key != decision["key"]:
                    self.store.evict(trial.key)
        hyper = decision["hyper"]
        self.watch(Event("study", study.label, "decided", f"lr {hyper['lr']:g}, {hyper['epochs']} epochs"))

    def _reason(self, trial: Trial) -> str:
        manifest = self.store.manifest(trial.key)
        return manifest.reason if manifest else trial.status

    # ---- stages outside studies ------------------------------------------------------------------

    def _run_all(self, ready: Callable[[], Iterator[tuple[str, Job]]], pool: GroupPool, stop: Stop) -> None:
        """Keep every ready job in the pool until nothing is left that may run."""
        flying: dict[Future[dict[str, Any]], tuple[str, Job]] = {}
        submitted: set[str] = set()
        while not stop.event.is_set():
            for label, job in ready():
                if job.key not in submitted and not any(stage.key in self._failed_keys for stage in job.stages):
                    submitted.add(job.key)
                    self._labels[job.key] = label
                    flying[pool.submit(job)] = (label, job)
            if not flying:
                return
            ended, _ = wait(flying, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in ended:
                self._on_job(*flying.pop(future), future.result())
        raise _stopped(stop)

    def _on_job(self, label: str, job: Job, result: Mapping[str, Any]) -> None:
        if result["status"] == "aborted":
            return
        self.ran += 1
        stage = job.stages[-1]
        phase = PRETRAINING if stage.kind == "pretrain" else REPORTING
        self._progress.ended((phase, stage.model.name), result["seconds"])
        if result["status"] == "failed":
            _stop_when_full(result)
            self.failed[label] = result["reason"]
            self._failed_keys.add(self._note_failure(job, result))
        score = next((o["score"] for o in reversed(result["outcomes"]) if o.get("score") is not None), None)
        detail = result["reason"] or ("" if score is None else f"{score:.1f}")
        self.watch(Event("stage", label, result["status"], f"{detail}  {result['seconds']:.1f} s"))

    def _note_failure(self, job: Job, result: Mapping[str, Any]) -> str:
        """Write the failed attempt of the first stage of ``job`` that did not end; returns its key."""
        manifests = {stage.key: self.store.manifest(stage.key) for stage in job.stages}
        unended = [stage for stage in job.stages if not ((m := manifests[stage.key]) and m.final)]
        stage = (unended or list(job.stages))[0]
        record_failure(self.store, stage, result["reason"])
        return stage.key


def _stop_when_full(result: Mapping[str, Any]) -> None:
    """No later job could keep anything either."""
    if result["error"] == StoreFull.__name__:
        raise StoreFull(result["reason"])


def record_failure(store: Store, stage: Stage, reason: str) -> None:
    """Leave a manifest of a failed attempt, so that the report shows the hole and the next run tries again."""
    before = store.manifest(stage.key)
    store.commit(
        Manifest(
            key=stage.key,
            kind=stage.kind,
            status="failed",
            reason=reason,
            spec=stage.payload(),
            parent=stage.parent,
            layout={},
            versions={"python": platform.python_version()},
            timings={},
            metrics={},
            files={},
            attempt=before.attempt + 1 if before else 1,
        ),
        {},
        None,
    )


def _scratch(address: str | None, store: Store) -> Path | None:
    """Where Ray's own files go: a private folder for a local cluster, the store's disk for one of many nodes."""
    return None if address in (None, "local") else store.root / "ray"


def _pause(stop: Stop, seconds: float) -> None:
    if stop.event.wait(seconds):
        raise _stopped(stop)


def _stopped(stop: Stop) -> Interrupted:
    said = "stopped; nothing that had ended is lost. Run the same command again to go on."
    return CtrlC(said) if stop.signal == signal.SIGINT else Interrupted(said)
