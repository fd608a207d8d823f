"""What a watcher of a sweep is told: events as they come, how far the sweep is, and how long it may still take."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from xsweep.plan.resolve import Resolver

Unit: TypeAlias = tuple[str, str]
"""(phase, model) of one job: jobs of one unit take about the same time."""

PRETRAINING, SEARCHING, REPORTING = "pretraining", "searching", "reporting runs"


@dataclass(frozen=True)
class Event:
    """Something that a watcher of the sweep wants to know."""

    what: str
    """``phase``, ``study``, ``trial``, ``stage``, ``note``, or ``running``: then the label names all that runs now."""
    label: str
    status: str = ""
    detail: str = ""
    done: int = 0
    """Jobs ended in this launch; with ``total`` 0 the event says nothing of progress."""
    total: int = 0
    left: float | None = None
    """Seconds that the rest may take; None while nothing of its kind has been timed."""
    studies: tuple[int, int] = (0, 0)
    """Decided, of all of the sweep."""
    hours: tuple[float, float | None] = (0.0, None)
    """Spent in this launch, and what all of it may come to: of GPUs, or of workers where there are none."""
    gpus: bool = False
    running: tuple[Running, ...] = ()
    """All that runs, of an event ``running``."""


@dataclass(frozen=True)
class Running:
    """A job that a worker group is at."""

    label: str
    since: float
    """By ``time.monotonic``."""
    usual: float | None = None
    """Seconds that jobs of its unit have taken on average; None before one has ended."""
    rate: float | None = None
    """Real tokens per second at which its stage has trained so far; None before it has."""


@dataclass
class Progress:
    """Jobs to do and done, by unit. Times come from this launch alone."""

    todo: Counter[Unit]
    clock: Callable[[], float] = time.monotonic
    each: Mapping[str, float] = field(default_factory=dict)
    """Model -> GPUs, or workers, of one of its groups; 1 where it is not told."""
    _hours: float = 0.0
    _jobs: Counter[Unit] = field(default_factory=Counter)
    _seconds: dict[Unit, float] = field(default_factory=dict)
    _start: float | None = None

    def __post_init__(self) -> None:
        self.total, self.done = self.todo.total(), 0

    def of(self, phase: str) -> int:
        """Jobs of a phase that are left."""
        return sum(count for (name, _), count in self.todo.items() if name == phase)

    def revise(self, phase: str, todo: Mapping[Unit, int]) -> None:
        """Count anew what is left of a phase, once that is known better."""
        left = {unit: count for unit, count in todo.items() if unit[0] == phase}
        self.total += sum(left.values()) - self.of(phase)
        self.todo = Counter({**{unit: n for unit, n in self.todo.items() if unit[0] != phase}, **left})

    def ended(self, unit: Unit, seconds: float) -> None:
        """Count a job that took ``seconds`` on its worker group."""
        if self._start is None:
            self._start = self.clock() - seconds
        self.todo[unit] = max(0, self.todo[unit] - 1)
        self.done = min(self.done + 1, self.total)
        self._jobs[unit] += 1
        self._seconds[unit] = self._seconds.get(unit, 0.0) + seconds
        self._hours += seconds / 3600 * self.each.get(unit[1], 1.0)

    def running(self, label: str, since: float, unit: Unit, rate: float | None = None) -> Running:
        """A job that runs, with what is known of its like. Another thread may call it."""
        return Running(label, since, self._guess(unit), rate)

    def hours(self) -> tuple[float, float | None]:
        """Hours of GPUs, or of workers, that this launch has spent, and those that all of it may come to."""
        guesses = {unit: self._guess(unit) for unit, count in self.todo.items() if count}
        if None in guesses.values():
            return self._hours, None
        rest = sum(self.todo[unit] * (guess or 0.0) * self.each.get(unit[1], 1.0) for unit, guess in guesses.items())
        return self._hours, self._hours + rest / 3600

    def left(self) -> float | None:
        """Seconds until the end, by the mean time of each unit's jobs and the pace at which groups got through them."""
        spent = sum(self._seconds.values())
        guesses = {unit: self._guess(unit) for unit, count in self.todo.items() if count}
        if self._start is None or not spent or None in guesses.values():
            return None
        pace = (self.clock() - self._start) / spent
        return pace * sum(self.todo[unit] * (guess or 0.0) for unit, guess in guesses.items())

    def _guess(self, unit: Unit) -> float | None:
        """Mean seconds of the unit's jobs; else of its phase; else, for reporting runs, of searching; else unknown."""
        phase, model = unit
        for known in (phase, SEARCHING) if phase == REPORTING else (phase,):
            ended = [other for other in list(self._jobs) if other[0] == known]
            units = [(known, model)] if (known, model) in ended else ended
            if units:
                return sum(self._seconds[u] for u in units) / sum(self._jobs[u] for u in units)
        return None


def to_do(resolver: Resolver, trials_done: Mapping[str, int]) -> Counter[Unit]:
    """Jobs left at the start of a launch; ``trials_done`` counts the trials that the store has, by study address."""
    plan, todo = resolver.plan, Counter[Unit]()
    for _, job in resolver.pretraining():
        todo[PRETRAINING, job.stages[-1].model.name] += 1
    for cell in plan.searches:
        study = resolver.study(cell)
        if study is None or resolver.store.decision(study.address) is None:
            todo[SEARCHING, cell.model] += plan.runs(cell) - trials_done.get(study.address if study else "", 0)
    counted: set[str] = set()
    for cell in plan.intermediates:
        stage = resolver.intermediate(cell)
        if stage is None or (stage.key not in counted and resolver.store.manifest(stage.key) is None):
            todo[REPORTING, cell.model] += 1
        counted |= {stage.key} if stage else set()
    for cell in plan.cells:
        stage = resolver.evaluate(cell)
        if stage is None or resolver.store.manifest(stage.key) is None:
            todo[REPORTING, cell.model] += 1
    return todo
