"""One launch of a sweep from end to end: survey, run, track, report. What `run`, `sync` and `report` share."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from xsweep.analysis.frame import frame_of
from xsweep.engine.progress import Event
from xsweep.engine.run import Outcome, run
from xsweep.engine.survey import survey
from xsweep.errors import EnvironmentProblem
from xsweep.plan.cells import Plan, build_plan
from xsweep.plan.prints import Prints
from xsweep.plan.records import Record, collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.show import plan_text
from xsweep.report.page import Report, write_report
from xsweep.spec.load import load_sweep
from xsweep.spec.sweep import Sweep
from xsweep.store.store import Store
from xsweep.tasks.source import Sources
from xsweep.tasks.world.catalog import TASKS as WORLD_TASKS
from xsweep.tasks.world.controls import cached_word_blind
from xsweep.tracking.client import shown, tracking_of
from xsweep.tracking.frames import scores_from_records, scores_from_runs
from xsweep.tracking.reader import addresses, runs
from xsweep.tracking.sync import Launch, sync

if TYPE_CHECKING:
    import polars as pl

SHIP_EVERY = 20.0
"""Seconds between two looks for ended stages that MLflow lacks."""
SHIP_LAST = 120.0
"""Seconds that MLflow has at the end of a launch to take what it lacks; what is left waits for ``xsweep sync``."""


class Campaign:
    """A sweep together with where its results, its runs and its report live.

    ``file`` is what it was read from; None for one that was made in Python, whose report prints its values instead.
    """

    def __init__(self, sweep: Sweep, file: Path | None, store: Path | str, sources: Sources, tracking: str) -> None:
        self.sweep, self.file, self.sources, self.tracking = sweep, file, sources, tracking
        self.plan: Plan = build_plan(sweep)
        self.store = Store(store)
        self.command = f"xsweep run {file}" if file else "xsweep.run(sweep)"

    @classmethod
    def of(
        cls, sweep: Sweep | str | Path, store: str | Path, mirrors: Iterable[str | Path] | None, tracking: str | None,
        *, file: Path | None = None,
    ) -> Campaign:  # fmt: skip
        """The campaign of a sweep, that ``file`` holds, or of its file; what is left out, the environment may tell.

        Raises ``SpecError`` for a file that is wrong, ``UsageError`` where it or a mirror is missing.
        """
        if not isinstance(sweep, Sweep):
            file, sweep = Path(sweep), load_sweep(sweep)
        return cls(sweep, file, store, Sources.of(mirrors), tracking_of(tracking, Store(store).root))

    @property
    def text(self) -> str:
        """The sweep as the report prints it: its file as it stands, or its values."""
        if self.file is None:
            return self.sweep.model_dump_json(indent=1, exclude_defaults=True)
        return self.file.read_text(encoding="utf-8-sig")

    def launch(
        self, address: str | None, watch: Callable[[Event], None], wait_seconds: float = 300.0
    ) -> tuple[Outcome, Report]:
        """Run the sweep, or go on with it, and write its report; returns how it ended and the report."""
        begin = time.monotonic()
        prints = self.survey(lambda text: watch(Event("note", text)))
        checking = time.monotonic() - begin
        started = self._launch(prints)
        with _Shipper(lambda going: self.sync(prints, started, going)):
            outcome = run(
                self.plan, self.store, prints, self.sources, address=address, wait_seconds=wait_seconds, watch=watch
            )
        begin = time.monotonic()
        report = self.report(prints, started, watch)
        outcome.seconds = {"checking": checking, **outcome.seconds, "report": time.monotonic() - begin}
        return outcome, report

    def survey(self, note: Callable[[str], None] = lambda _: None) -> Prints:
        """Check and fingerprint all that the sweep reads; raises ``DataError``."""
        return survey(self.sweep, self.sources, note)

    def sync(self, prints: Prints, launch: Launch | None = None, going: Callable[[], bool] = lambda: True) -> int:
        """Write every ended stage that MLflow lacks, as long as ``going`` holds; returns how many."""
        records = collect(Resolver(self.plan, prints, self.store))
        return sync(self.sweep.name, records, self.tracking, launch or self._launch(prints), going)

    def report(
        self, prints: Prints, launch: Launch | None = None, watch: Callable[[Event], None] = lambda _: None
    ) -> Report:
        """Write the report from the tracked runs, or from the store where tracking is out of reach."""
        resolver = Resolver(self.plan, prints, self.store)
        records = collect(resolver)
        read = self._read(records, prints, launch, watch)
        folder = self.store.report(self.sweep.name)
        report = write_report(
            folder, self.sweep, self.text, records, read.scores, command=self.command, tracking_note=read.note,
            caveats=[self.sweep.description] if self.sweep.description else [], word_blind=self._word_blind(),
            regret=resolver.regret(), addresses=read.addresses, results=self.store.results,
        )  # fmt: skip
        self.store.publish_report(self.sweep.name)
        return report

    def frame(self, prints: Prints) -> pl.DataFrame:
        """FRAME of every planned cell, read as the report reads it."""
        records = collect(Resolver(self.plan, prints, self.store))
        return frame_of(self.sweep, records, self._read(records, prints).scores)

    def _read(
        self, records: Sequence[Record], prints: Prints, launch: Launch | None = None,
        watch: Callable[[Event], None] = lambda _: None,
    ) -> _Scores:  # fmt: skip
        """The scores as tracked, once all is; the store's own where tracking is out of reach or holds others."""
        scores, place = scores_from_records(records), shown(self.tracking)
        try:
            end = time.monotonic() + SHIP_LAST
            sync(
                self.sweep.name, records, self.tracking, launch or self._launch(prints), lambda: time.monotonic() < end
            )
            found = runs(self.tracking, self.sweep.name)
        except EnvironmentProblem as problem:
            note = f"Tracking could not be reached, so this was read from the store: {problem}"
            unsent = f"{problem}; send them with: xsweep sync {self.file} --tracking {place}"
            watch(Event("note", unsent if self.file else str(problem)))
            return _Scores(scores, note, {})
        note = f"Read from MLflow at {place}. To open it: xsweep ui --store {self.store.where}"
        if not scores_from_runs(found, {r.key for r in records if r.key}).equals(scores):
            note = f"MLflow at {place} does not hold what the store holds; read from the store."
        return _Scores(scores, note, addresses(self.tracking, found))

    def _word_blind(self) -> dict[str, dict[str, float]]:
        """The controls of the artificial world, where the sweep is of it: task -> language -> points."""
        trained = [task for arm in self.sweep.arms for task in arm.reads]
        used = {task.name for task in [*trained, *(target.task for target in self.sweep.targets)]}
        if not used & set(WORLD_TASKS):
            return {}
        return {name: cached_word_blind(name, self.sources) for name in WORLD_TASKS}

    def _launch(self, prints: Prints) -> Launch:
        plan = plan_text(self.plan, Resolver(self.plan, prints, self.store))
        return Launch(
            uuid.uuid4().hex, datetime.now(UTC), self.command, plan, self.text,
            store=self.store.where, report=str(self.store.report(self.sweep.name) / "report.html"),
        )  # fmt: skip


@dataclass(frozen=True)
class _Scores:
    """SCORES, where they were read from, and the page of each stage's run by its key."""

    scores: pl.DataFrame
    note: str
    addresses: dict[str, str]


class _Shipper:
    """A thread that brings ended stages to MLflow while the sweep runs; training never waits for it."""

    def __init__(self, ship: Callable[[Callable[[], bool]], object]) -> None:
        self._ship = ship
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="shipper", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(timeout=120)  # the last sync must not meet one under way

    def _loop(self) -> None:
        while not self._stop.wait(SHIP_EVERY):
            try:
                self._ship(lambda: not self._stop.is_set())
            except EnvironmentProblem:
                continue  # the store has it all; the last sync says what is wrong
