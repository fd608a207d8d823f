"""Successive halving: which run of which trial comes next. A function of the ended runs alone.

A trial is run again and again, each time to a later epoch (a rung) and on from where the run before it ended, for as
long as it is among the best. Run number ``rung * trials + trial`` is that trial's run at that rung, so that without
halving runs are numbered as trials are. Synchronous halving looks who is best once all runs of a rung have ended;
asynchronous halving (ASHA, Li et al. 2020) whenever one has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from xsweep.plan.stage import Hyper
from xsweep.plan.study import Trial
from xsweep.spec.sweep import Halving

_SOUND = ("ok", "pruned")


def rungs(halving: Halving, longest: int) -> list[int]:
    """Epochs at which trials are compared, ascending; what is left after them runs to its end."""
    found = [halving.epochs]
    while found[-1] * halving.eta < longest:
        found.append(found[-1] * halving.eta)
    return [epochs for epochs in found if epochs < longest]


def live(halving: Halving, trials: int, longest: int) -> list[tuple[int, int]]:
    """(epochs, trials that reach them) of every rung and of the end, where no trial ends before its time.

    Asynchronously that many do at the least: one that went on early stays when better ones come later.
    """
    found, left = [], trials
    for epochs in [*rungs(halving, longest), longest]:
        found.append((epochs, left))
        left = max(1, left // halving.eta)
    return found


@dataclass(frozen=True)
class _Rung:
    """How far one rung is."""

    open: Mapping[int, Hyper]
    """Its runs that may start."""
    arrived: Sequence[int]
    """Trials that have come to its end."""
    out: frozenset[int]
    """Those of them that are known to go no further."""


@dataclass(frozen=True)
class Bracket:
    """The trials of one study under halving; ``points`` are their configurations, by number."""

    halving: Halving
    points: Sequence[Hyper]

    def pending(self, ended: Mapping[int, Trial]) -> list[tuple[int, Hyper]]:
        """Numbers and configurations of the runs that have not ended and may start now, those of late rungs first."""
        return [run for rung in reversed(list(self._reached(ended))) for run in rung.open.items()]

    def possible(self, ended: Mapping[int, Trial]) -> list[tuple[int, Hyper]]:
        """The same, and asynchronously those that may have been started when less had ended: no other may be."""
        found = self.pending(ended)
        if self.halving.asynchronous:
            reached = list(self._reached(ended))[: len(self._stops)]
            after = [self._runs(number + 1, rung.arrived) for number, rung in enumerate(reached)]
            found += [(run, hyper) for runs in after for run, hyper in runs.items() if run not in ended]
        return list(dict(found).items())

    def stopped(self, ended: Mapping[int, Trial]) -> list[Trial]:
        """The runs of trials that are known to go no further, in order of their numbers."""
        out = frozenset[int]().union(*(rung.out for rung in self._reached(ended)))
        return [trial for run, trial in sorted(ended.items()) if run % len(self.points) in out]

    def trials(self, ended: Mapping[int, Trial]) -> tuple[list[Trial], list[Trial]]:
        """Every trial as its last run left it, and the runs before those, in order of their numbers.

        A trial that was stopped is pruned, whatever it looked like; one that diverged or failed says so.
        """
        last: dict[int, Trial] = {}
        before = []
        for run in sorted(ended):
            number = run % len(self.points)
            if number in last:
                before.append(last[number])
            last[number] = ended[run]
        return [_stopped(last[number], number) for number in sorted(last)], before

    def _reached(self, ended: Mapping[int, Trial]) -> Iterator[_Rung]:
        """Every rung that a trial may have come to, and at last the end."""
        alive, closed = list(range(len(self.points))), True
        for number in range(len(self._stops) + 1):
            runs = self._runs(number, alive)
            open_ = {run: hyper for run, hyper in runs.items() if run not in ended}
            waiting = {run % len(self.points) for run in open_}
            arrived = [trial for trial in alive if trial not in waiting]
            closed = closed and not open_
            alive = self._going(number, arrived, closed, ended) if number < len(self._stops) else []
            final = closed and not self.halving.asynchronous
            yield _Rung(open_, arrived, frozenset(arrived).difference(alive) if final else frozenset())
            if not alive:
                return

    def _going(self, rung: int, arrived: Sequence[int], closed: bool, ended: Mapping[int, Trial]) -> list[int]:
        """Of the trials that have come to the end of ``rung``, those that go on; ``closed`` says that all have."""
        last = {number: self._last(number, rung, ended) for number in arrived}
        share = len(arrived) // self.halving.eta
        if closed:
            going = _best(last, max(1, share), collapsed=True)
        else:
            going = _best(last, share, collapsed=False) if self.halving.asynchronous else []
        # Who went on before stays, whatever has ended since.
        went = [number for number in arrived if (rung + 1) * len(self.points) + number in ended]
        return sorted({*going, *went})

    @property
    def _stops(self) -> list[int]:
        return rungs(self.halving, max(point.epochs for point in self.points))

    def _runs(self, rung: int, alive: Sequence[int]) -> dict[int, Hyper]:
        """Run number -> configuration of a rung's runs; a trial that reached its end before is not run again."""
        stops = self._stops
        begun = stops[rung - 1] if rung else 0
        stop = stops[rung] if rung < len(stops) else math.inf
        found = {}
        for number in alive:
            point = self.points[number]
            if point.epochs > begun:
                until = int(stop) if stop < point.epochs else None
                found[rung * len(self.points) + number] = replace(point, until=until)
        return found

    def _last(self, number: int, rung: int, ended: Mapping[int, Trial]) -> Trial:
        """The newest run of a trial that is alive at ``rung``."""
        runs = (ended.get(earlier * len(self.points) + number) for earlier in range(rung, -1, -1))
        return next(run for run in runs if run is not None)


def _best(last: Mapping[int, Trial], count: int, *, collapsed: bool) -> list[int]:
    """The trials to go on with. One that has collapsed (degenerate) ends; if told so, not where there is no better."""
    scored = {n: t.score for n, t in last.items() if t.score is not None and math.isfinite(t.score)}
    sound = [number for number in scored if last[number].status in _SOUND]
    rest = [number for number in scored if collapsed and last[number].status == "degenerate"]
    return sorted(sound or rest, key=lambda number: (-scored[number], number))[:count]


def _stopped(trial: Trial, number: int) -> Trial:
    stopped = trial.hyper.until is not None and trial.status in (*_SOUND, "degenerate")
    return replace(trial, number=number, status="pruned" if stopped else trial.status)
