"""Synchronous successive halving: which run of which trial comes next. A function of the ended runs alone.

A trial is run again and again, each time to a later epoch (a rung) and on from where the run before it ended, for as
long as it is among the best. Run number ``rung * trials + trial`` is that trial's run at that rung, so that without
halving runs are numbered as trials are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    """(epochs, trials that reach them) of every rung and of the end, where no trial ends before its time."""
    found, left = [], trials
    for epochs in [*rungs(halving, longest), longest]:
        found.append((epochs, left))
        left = max(1, left // halving.eta)
    return found


@dataclass(frozen=True)
class Bracket:
    """The trials of one study under halving; ``points`` are their configurations, by number."""

    halving: Halving
    points: Sequence[Hyper]

    def pending(self, ended: Mapping[int, Trial]) -> list[tuple[int, Hyper]]:
        """Numbers and configurations of the runs that have not ended and may start now: those of one rung."""
        for number, alive in enumerate(self._played(ended)):
            runs = self._runs(number, alive)
            if open_ := [(run, hyper) for run, hyper in runs.items() if run not in ended]:
                return open_
        return []

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

    def _played(self, ended: Mapping[int, Trial]) -> list[list[int]]:
        """The trials alive at each rung that has been reached, in order of their numbers."""
        alive = list(range(len(self.points)))
        found = [alive]
        for rung in range(len(self._rungs)):
            runs = self._runs(rung, alive)
            if any(run not in ended for run in runs):
                break
            last = {number: self._last(number, rung, ended) for number in alive}
            alive = _best(last, max(1, len(alive) // self.halving.eta))
            found.append(alive)
        return found

    @property
    def _rungs(self) -> list[int]:
        return rungs(self.halving, max(point.epochs for point in self.points))

    def _runs(self, rung: int, alive: Sequence[int]) -> dict[int, Hyper]:
        """Run number -> configuration of a rung's runs; a trial that reached its end before is not run again."""
        stops = self._rungs
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


def _best(last: Mapping[int, Trial], count: int) -> list[int]:
    """The trials to go on with. A collapsed one (degenerate) ends, unless there is nothing better."""
    scored = {n: t.score for n, t in last.items() if t.score is not None and math.isfinite(t.score)}
    sound = [number for number in scored if last[number].status in _SOUND]
    collapsed = [number for number in scored if last[number].status == "degenerate"]
    ranked = sorted(sound or collapsed, key=lambda number: (-scored[number], number))
    return sorted(ranked[:count])


def _stopped(trial: Trial, number: int) -> Trial:
    stopped = trial.hyper.until is not None and trial.status in (*_SOUND, "degenerate")
    return replace(trial, number=number, status="pruned" if stopped else trial.status)
