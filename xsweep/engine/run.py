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
from xsweep.engine.failures import Failures
from xsweep.engine.pool import GroupPool
from xsweep.engine.progress import PRETRAINING, REPORTING, SEARCHING, Event, Progress, Unit, to_do
from xsweep.engine.room import wait_for_room
from xsweep.engine.search import run_level
from xsweep.engine.signals import Stop, interruptible
from xsweep.engine.space import check_space
from xsweep.engine.studies import Suggestions, left_behind
from xsweep.errors import CtrlC, Interrupted, StoreFull
from xsweep.plan.cells import Cell, Plan
from xsweep.plan.prints import Prints
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.spending import Spending
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
        if launch.open() and not launch.spent():
            check_space(launch.resolver)
            from xsweep.train.stage import Context  # brings torch, which an idle launch does not need

            context, groups = Context(store.where, sources), plan.sweep.layout.groups
            gangs = {model.name: launch.resolver.layout(model.name).gang for model in plan.sweep.models}

            def note(text: str) -> None:
                watch(Event("note", text))

            with (
                interruptible(note) as stop,
                Cluster(address, scratch=_scratch(address, store)) as cluster,
            ):
                wait_for_room(cluster, gangs, wait_seconds, partial(_pause, stop), note)
                pool = GroupPool(cluster, gangs.values(), context, groups=groups, on_running=launch.on_running)
                launch.seconds["starting Ray"] = time.monotonic() - begin
                with pool:
                    launch.go(pool, cluster.scratch, stop)
                    begin = time.monotonic()
            launch.seconds["ending Ray"] = time.monotonic() - begin
        launch.tidy()
    done = sum(scored(launch.resolver, cell) for cell in plan.cells)
    if launch.halted and done < len(plan.cells):
        launch.failed["stopped early"] = launch.halted
    return Outcome(done, len(plan.cells), launch.ran, launch.failed, launch.seconds)


class _Launch:
    """One launch of a sweep: what it ran and what failed, on top of what the store knows."""

    def __init__(self, plan: Plan, resolver: Resolver, store: Store, watch: Callable[[Event], None]) -> None:
        self.plan, self.resolver, self.store, self._watch = plan, resolver, store, watch
        self.ran = 0
        self.failed: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self._asked: dict[str, tuple[str, Unit]] = {}
        """Key of every job handed to the pool -> its label, and its like."""
        self._since: dict[str, float] = {}
        self._failed_keys: set[str] = set()
        self._progress = Progress(Counter())
        self._decisions = 0
        """Studies that have been decided, before or in this launch."""
        self._trials: dict[str, dict[int, Trial]] = {}
        self._failures = Failures(plan.sweep.max_failures)
        self._spending = Spending.of(plan.sweep)
        self.halted = ""
        """Why nothing more is started, or ""."""

    def open(self) -> bool:
        """Whether anything is left to do."""
        return any(map(self._undecided, self.plan.searches)) or any(True for _ in self.resolver.ready())

    def spent(self) -> bool:
        """Whether the sweep's stages have used its budget up, by what the store knows of them."""
        if self.plan.sweep.budget is not None:
            for record in collect(self.resolver):
                self._spending.count(record.manifest)
            for cell in self.plan.searches:
                for trial in self._finished(study).values() if (study := self._undecided(cell)) else ():
                    self._spending.count(self.store.manifest(trial.key))
            self.halted = self._spending.over
        return bool(self.halted)

    def _halt(self, pool: GroupPool, reason: str) -> None:
        """Start nothing more, when there is a reason for that."""
        if reason and not self.halted:
            self.halted = reason
            self.watch(Event("note", f"{reason.splitlines()[0]}; what runs is finished, nothing more is started"))
            pool.drain("nothing more is started")

    def _count(self, pool: GroupPool, stages: Sequence[Stage]) -> None:
        """Count what a job's stages have cost."""
        if self.plan.sweep.budget is not None:
            for stage in stages:
                self._spending.count(self.store.manifest(stage.key))
            self._halt(pool, self._spending.over)

    def go(self, pool: GroupPool, scratch: Path, stop: Stop) -> None:
        """Pretrain what has no weights yet, run the levels of studies, then the reporting stages."""
        self._progress = Progress(to_do(self.resolver, self._trials_done()), each=self._each())
        studies = [study for cell in self.plan.searches if (study := self.resolver.study(cell))]
        self._decisions = sum(self.store.decision(study.address) is not None for study in studies)
        with self._timed(PRETRAINING):
            self._run_all(self.resolver.pretraining, pool, stop)
        with self._timed(SEARCHING):
            self._search(pool, scratch, stop)
        with self._timed(REPORTING):
            self._run_all(self.resolver.ready, pool, stop)

    def on_running(self, keys: Sequence[str]) -> None:
        """Tell the watcher what runs now; called in a thread of the pool's, so it touches nothing that counts."""
        now = time.monotonic()
        self._since = {key: self._since.get(key, now) for key in keys}
        asked = [(*self._asked[key], since) for key, since in self._since.items() if key in self._asked]
        running = tuple(self._progress.running(label, since, unit) for label, unit, since in asked)
        self._watch(Event("running", ", ".join(job.label for job in running), running=running))

    def watch(self, event: Event) -> None:
        """Hand ``event`` on with how far the launch is."""
        progress, gpus = self._progress, bool(self.plan.sweep.layout.gpus)
        done, total, left, hours = progress.done, progress.total, progress.left(), progress.hours()
        studies = (self._decisions, len(self.plan.searches))
        self._watch(replace(event, done=done, total=total, left=left, studies=studies, hours=hours, gpus=gpus))

    def _each(self) -> dict[str, float]:
        """GPUs, or workers where there are none, of a group of each model."""
        gangs = {model.name: self.resolver.layout(model.name).gang for model in self.plan.sweep.models}
        return {name: gang.workers * (gang.gpus or 1.0) for name, gang in gangs.items()}

    def _rate(self, stages: Sequence[Stage]) -> float | None:
        """Tokens per second of the last of ``stages`` that trained."""
        manifests = [self.store.manifest(stage.key) for stage in stages if stage.kind != "evaluate"]
        found = [manifest.timings.get("tokens_per_second") for manifest in manifests if manifest]
        return found[-1] if found else None

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
                known = (self._finished, self._trial_job)
                run_level(studies, pool, *known, on_trial, scratch, stop.event, lambda: bool(self.halted))
            if stop.event.is_set():
                raise _stopped(stop)
            for study in studies:
                if not (self.halted and Suggestions(study).pending(self._finished(study))):
                    self._decide(study)
            if self.halted:
                return

    def tidy(self) -> None:
        """Evict weights that the sweep does not keep."""
        if self.plan.sweep.keep == "none" and not self.halted and not any(True for _ in self.resolver.ready()):
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
        stage, space = self.resolver.trial(study, hyper), study.space
        nested = stage.training.schedule == "wsd" and space.lr.low == space.lr.high
        job = self.resolver.job(stage, begins=hyper.until is not None or nested)
        self._asked[job.key] = (f"{study.label}, {_spoken(hyper)}", (SEARCHING, study.model))
        return job

    def _on_trial(self, pool: GroupPool, study: Study, trial: Trial) -> None:
        self.ran += 1
        self._trials.setdefault(study.address, {})[trial.number] = trial
        rate = self._rate([self.resolver.trial(study, trial.hyper)])
        self._progress.ended((SEARCHING, study.model), pool.result(trial.key)["seconds"], rate)
        label, said = f"{study.label} t{trial.number % study.space.trials:02d}", ""
        if trial.status == "failed":
            result = pool.result(trial.key)
            _stop_when_full(result)
            said = self.failed[label] = result["reason"]
            self._note_failure(pool, self._trial_job(study, trial.hyper), result)
        elif trial.score is not None:
            said = f"{trial.score:.1f} on English dev"
        self._count(pool, [self.resolver.trial(study, trial.hyper)])
        if study.halving:
            self._drop_beginnings(study)
        self.watch(Event("trial", label, trial.status, f"{_spoken(trial.hyper)}  {said}"))

    def _decide(self, study: Study) -> None:
        ended = self._finished(study)
        trials = [trial for _, trial in sorted(ended.items())]
        decision = Suggestions(study).decide(ended)
        if decision is None:
            said = "every trial failed; the first: " + (self._reason(trials[0]) if trials else "?")
            self.watch(Event("study", study.label, "failed", said))
            self.failed[study.label] = said + (self._failures.traceback(trials[0].key) if trials else "")
            return
        self.store.decide(study.address, decision)
        self._decisions += 1
        if study.kind == "intermediate":
            for trial in trials:
                if trial.key != decision["key"]:
                    self.store.evict(trial.key)
        for trial in trials:
            self.store.drop_beginning(self.resolver.trial(study, trial.hyper).beginning)
        hyper = decision["hyper"]
        self.watch(Event("study", study.label, "decided", f"lr {hyper['lr']:g}, {hyper['epochs']} epochs"))

    def _drop_beginnings(self, study: Study) -> None:
        """Remove what trials that were stopped have left, and no other trial goes on from."""
        ended = self._finished(study)
        gone = {trial.number for trial in left_behind(study, ended)}
        going = [hyper for _, hyper in Suggestions(study).pending(ended)]
        going += [trial.hyper for number, trial in ended.items() if number not in gone]
        wanted = {self.resolver.trial(study, hyper).beginning for hyper in going}
        for number in gone:
            if (beginning := self.resolver.trial(study, ended[number].hyper).beginning) not in wanted:
                self.store.drop_beginning(beginning)

    def _reason(self, trial: Trial) -> str:
        manifest = self.store.manifest(trial.key)
        return manifest.reason if manifest else trial.status

    # ---- stages outside studies ------------------------------------------------------------------

    def _run_all(self, ready: Callable[[], Iterator[tuple[str, Job]]], pool: GroupPool, stop: Stop) -> None:
        """Keep every ready job in the pool until nothing is left that may run."""
        flying: dict[Future[dict[str, Any]], tuple[str, Job]] = {}
        submitted: set[str] = set()
        more = True
        while not stop.event.is_set():
            for label, job in ready() if more and not self.halted else ():
                if job.key not in submitted and not any(stage.key in self._failed_keys for stage in job.stages):
                    submitted.add(job.key)
                    self._asked[job.key] = (label, _unit(job))
                    flying[pool.submit(job)] = (label, job)
            if not flying:
                return
            ended, _ = wait(flying, timeout=1.0, return_when=FIRST_COMPLETED)
            jobs = [flying.pop(future) for future in ended]
            for (label, job), future in zip(jobs, ended, strict=True):
                self._on_job(pool, label, job, future.result())
            # Looking at every cell again takes its time, and only what others start from lets more run.
            more = not flying or any(job.stages[-1].kind != "evaluate" for _, job in jobs)
        raise _stopped(stop)

    def _on_job(self, pool: GroupPool, label: str, job: Job, result: Mapping[str, Any]) -> None:
        if result["status"] == "aborted":
            return
        self.ran += 1
        self._progress.ended(_unit(job), result["seconds"], self._rate(job.stages))
        if result["status"] == "failed":
            _stop_when_full(result)
            self.failed[label] = result["reason"]
            self._failed_keys.add(self._note_failure(pool, job, result))
        self._count(pool, job.stages)
        score = next((o["score"] for o in reversed(result["outcomes"]) if o.get("score") is not None), None)
        detail = result["reason"] or ("" if score is None else f"{score:.1f}")
        self.watch(Event("stage", label, result["status"], f"{detail}  {result['seconds']:.1f} s"))

    def _note_failure(self, pool: GroupPool, job: Job, result: Mapping[str, Any]) -> str:
        """Write the failed attempt of the first stage of ``job`` that did not end; returns its key."""
        manifests = {stage.key: self.store.manifest(stage.key) for stage in job.stages}
        unended = [stage for stage in job.stages if not ((m := manifests[stage.key]) and m.final)]
        stage = (unended or list(job.stages))[0]
        record_failure(self.store, stage, result)
        self._failures.add(job.key, result)
        self._halt(pool, self._failures.too_many(job.key, result["reason"]))
        return stage.key


def _unit(job: Job) -> Unit:
    """The like of a job outside studies."""
    stage = job.stages[-1]
    return (PRETRAINING if stage.kind == "pretrain" else REPORTING), stage.model.name


def _spoken(hyper: Hyper) -> str:
    stopped = f"{hyper.until} of " if hyper.until else ""
    return f"lr {hyper.lr:g}, {stopped}{hyper.epochs} epochs"


def _stop_when_full(result: Mapping[str, Any]) -> None:
    """No later job could keep anything either."""
    if result["error"] == StoreFull.__name__:
        raise StoreFull(result["reason"])


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


def _scratch(address: str | None, store: Store) -> Path | None:
    """Where Ray's own files go: a private folder for a local cluster, the store's disk for one of many nodes."""
    return None if address in (None, "local") else store.root / "ray"


def _pause(stop: Stop, seconds: float) -> None:
    if stop.event.wait(seconds):
        raise _stopped(stop)


def _stopped(stop: Stop) -> Interrupted:
    said = "stopped; nothing that had ended is lost. Run the same command again to go on."
    return CtrlC(said) if stop.signal == signal.SIGINT else Interrupted(said)
