"""The studies of a launch: level by level through Ray Tune, each to its decision in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from xsweep.engine.account import Account
from xsweep.engine.pool import GroupPool
from xsweep.engine.progress import SEARCHING, Event
from xsweep.engine.search import run_level
from xsweep.engine.signals import Stop, stopped
from xsweep.engine.studies import Suggestions
from xsweep.plan.cells import Cell
from xsweep.plan.stage import Hyper, Job
from xsweep.plan.study import Study, Trial
from xsweep.store.manifests import Manifest


class Searches:
    """All studies of a sweep: what is open, what their trials came to, what they decide."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.plan, self.resolver, self.store = account.plan, account.resolver, account.store
        self._trials: dict[str, dict[int, Trial]] = {}
        """Of this launch, by the address of their study."""

    def run(self, pool: GroupPool, scratch: Path, stop: Stop) -> None:
        """Run the studies, level by level, and write their decisions."""
        for level in self.plan.levels:
            studies = [study for cell in level if (study := self.undecided(cell))]
            # What takes most room first: short jobs fill the end better than long ones.
            studies.sort(key=lambda study: -self.resolver.layout(study.model).workers)
            for study in studies:
                self._account.watch(Event("study", study.label, "searching", f"{study.space.trials} trials"))
            if studies:
                on_trial = partial(self._on_trial, pool)
                known = (self._finished, self._trial_job)
                run_level(studies, pool, *known, on_trial, scratch, stop.event, lambda: bool(self._account.halted))
            if stop.event.is_set():
                raise stopped(stop)
            for study in studies:
                if not (self._account.halted and Suggestions(study).pending(self._finished(study))):
                    self._decide(study)
            if self._account.halted:
                return
            for study in studies:
                self._evict_shared(study)

    def ended(self) -> Iterable[Manifest | None]:
        """Manifests of the trials of studies that are not decided; those of the others are among the records."""
        for study in filter(None, map(self.undecided, self.plan.searches)):
            ended = self._finished(study)
            begun = [hyper for _, hyper in Suggestions(study).pending(ended)]  # of two stages one may have ended
            for hyper in (*(trial.hyper for trial in ended.values()), *begun):
                yield from (self.store.manifest(stage.key) for stage in self.resolver.trials(study, hyper))

    def decided(self) -> int:
        """Studies that have their decision."""
        studies = [study for cell in self.plan.searches if (study := self.resolver.study(cell))]
        return sum(self.store.decision(study.address) is not None for study in studies)

    def trials_done(self) -> dict[str, int]:
        """Trials that the store has of each study without a decision, by address."""
        open_ = (study for cell in self.plan.searches if (study := self.undecided(cell)))
        return {study.address: len(self._finished(study)) for study in open_}

    def undecided(self, cell: Cell) -> Study | None:
        """The study of a search cell, when it is known and has not been decided."""
        study = self.resolver.study(cell)
        return study if study and self.store.decision(study.address) is None else None

    def _finished(self, study: Study) -> Mapping[int, Trial]:
        """Trials that ended: those in the store, and those that failed in this launch."""
        suggestions, ended = Suggestions(study), dict(self._trials.get(study.address, {}))
        while True:
            found = {}
            for number, hyper in suggestions.possible(ended):
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
        self._account.asks(job, f"{study.label}, {hyper}", (SEARCHING, study.model))
        return job

    def _on_trial(self, pool: GroupPool, study: Study, trial: Trial) -> None:
        self._trials.setdefault(study.address, {})[trial.number] = trial
        result = pool.result(trial.key)
        self._account.ended((SEARCHING, study.model), result)
        label, said = f"{study.label} t{trial.number % study.space.trials:02d}", ""
        if trial.status == "failed":
            said = self._account.failed[label] = result["reason"]
            self._account.note_failure(pool, self._trial_job(study, trial.hyper), result)
        elif trial.score is not None:
            said = f"{trial.score:.1f} on English dev"
        self._account.count(pool, self.resolver.trials(study, trial.hyper))
        if study.halving:
            self._drop_beginnings(study)
        self._account.watch(Event("trial", label, trial.status, f"{trial.hyper}  {said}"))

    def _decide(self, study: Study) -> None:
        ended = self._finished(study)
        trials = [trial for _, trial in sorted(ended.items())]
        if lost := [trial for trial in trials if trial.key in self._account.lost]:  # never decided without them
            said = f"not decided: {len(lost)} of {len(trials)} trials were lost with their workers; run again to go on"
            self._account.watch(Event("study", study.label, "failed", said))
            self._account.failed[study.label] = said
            return
        decision = Suggestions(study).decide(ended)
        if decision is None:
            said = "every trial failed; the first: " + (self._reason(trials[0]) if trials else "?")
            self._account.watch(Event("study", study.label, "failed", said))
            trace = self._account.failures.traceback(trials[0].key) if trials else ""
            self._account.failed[study.label] = said + trace
            return
        self.store.decide(study.address, decision)
        self._account.decisions += 1
        if study.kind == "intermediate":
            for trial in trials:
                if trial.key != decision["key"]:
                    self.store.evict(trial.key)
        for trial in trials:
            self.store.drop_beginning(self.resolver.trial(study, trial.hyper).beginning)
        self._account.watch(Event("study", study.label, "decided", str(Hyper.of(decision["hyper"]))))

    def _evict_shared(self, study: Study) -> None:
        """Evict the intermediate stages of a joint study's trials, which trials of other targets started from too."""
        for trial in self._finished(study).values():
            for stage in self.resolver.trials(study, trial.hyper)[:-1]:
                self.store.evict(stage.key)

    def _drop_beginnings(self, study: Study) -> None:
        """Remove what trials that were stopped have left, and no other trial goes on from."""
        ended = self._finished(study)
        suggestions = Suggestions(study)
        gone = {trial.number for trial in suggestions.stopped(ended)}
        going = [hyper for _, hyper in suggestions.pending(ended)]
        going += [trial.hyper for number, trial in ended.items() if number not in gone]
        wanted = {self.resolver.trial(study, hyper).beginning for hyper in going}
        for number in gone:
            if (beginning := self.resolver.trial(study, ended[number].hyper).beginning) not in wanted:
                self.store.drop_beginning(beginning)

    def _reason(self, trial: Trial) -> str:
        manifest = self.store.manifest(trial.key)
        return manifest.reason if manifest else trial.status
