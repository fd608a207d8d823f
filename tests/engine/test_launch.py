"""A launch without Ray: jobs end as soon as they are asked for, and what they leave stands in the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tests.builders import prints, space, sweep
from tests.engine.stubs import score
from xsweep.analysis.outcomes import budgets, uneven
from xsweep.engine import run as engine
from xsweep.engine import searches
from xsweep.engine.mailbox import WORKER_DIED, ended
from xsweep.engine.progress import Event
from xsweep.engine.signals import Stop
from xsweep.engine.studies import Suggestions
from xsweep.models.model import Model
from xsweep.plan.cells import build_plan
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.show import plan_text
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.plan.study import Study, Trial
from xsweep.spec.sweep import Arm, Budget, Halving, Layouts, Search, Sweep, Training, Transfer
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store

HOUR = 3600.0
Broken = Callable[[Stage], bool]


class Pool:
    """Runs every job at once: an hour a stage, unless ``broken`` says that it fails."""

    error = "RuntimeError"

    def __init__(self, store: Store, broken: Broken) -> None:
        self.ran: list[Stage] = []
        self.drained = ""
        self.problem = None
        self._store, self._broken = store, broken
        self._results: dict[str, dict[str, Any]] = {}

    def submit(self, job: Job) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        self._results[job.key] = ended("aborted", self.drained) if self.drained else self._run(job)
        future.set_result(self._results[job.key])
        return future

    def result(self, key: str) -> dict[str, Any]:
        return self._results[key]

    def drain(self, reason: str) -> None:
        self.drained = reason

    def _run(self, job: Job) -> dict[str, Any]:
        outcomes = []
        for stage in job.stages:
            if self._broken(stage):
                reason = f"RuntimeError: broken {len(self.ran)} (stage.py:7 in run)"
                trace = "Traceback (most recent call last):\n  stage.py\n"
                return ended("failed", reason, error=self.error, traceback=trace, seconds=1.0)
            self.ran.append(stage)
            outcomes.append(self._end(stage, stage.key in job.keep))
        return {**ended(outcomes[-1]["status"], seconds=HOUR), "outcomes": outcomes}

    def _end(self, stage: Stage, keep: bool) -> dict[str, Any]:
        points = score(stage.hyper) if stage.hyper else None
        status: Any = "pruned" if stage.hyper and stage.hyper.until else "ok"
        weights = self._store.work(stage.key) / "model.safetensors"
        weights.write_bytes(b"weights")
        metrics = {"score": points, "steps": 10}
        times = {"train": HOUR, "tokens_per_second": 9e9}
        manifest = Manifest(
            stage.key, stage.kind, status, parent=stage.parent, metrics=metrics, timings=times, layout={"world": 1}
        )
        self._store.commit(manifest, {}, {"model.safetensors": weights} if keep else None)
        return {"key": stage.key, "status": status, "score": points, "reason": "", "kind": stage.kind}


def play(
    studies: Sequence[Study],
    pool: Any,
    finished: Callable[[Study], Mapping[int, Trial]],
    job_for: Callable[[Study, Hyper], Job],
    on_trial: Callable[[Study, Trial], None],
    scratch: Path,
    stop: threading.Event,
    halted: Callable[[], bool],
) -> None:
    """What ``run_level`` promises, one trial after the other."""
    for study in studies:
        suggestions, known = Suggestions(study), dict(finished(study))
        while pending := suggestions.pending(known):
            number, hyper = pending[0]
            job = job_for(study, hyper)
            result = pool.submit(job).result()
            if result["status"] == "aborted":
                assert halted()
                return
            last = result["outcomes"][-1:] or [{"score": None}]
            known[number] = Trial(number, hyper, job.key, result["status"], last[0]["score"])
            on_trial(study, known[number])


class Play:
    """One launch of ``of`` over the store in ``folder``."""

    def __init__(self, folder: Path, of: Sweep, broken: Broken = lambda _: False, pool: type[Pool] = Pool) -> None:
        plan, store = build_plan(of), Store(folder)
        self.events: list[Event] = []
        self.resolver = Resolver(plan, prints(of), store)
        self.launch = engine.Launch(self.resolver, self.events.append)
        self.pool = pool(store, broken)
        anything: Any = self.pool
        if not self.launch.spent():
            self.launch.go(anything, folder, Stop())
        self.done = sum(engine.scored(self.resolver, cell) for cell in plan.cells)


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "run_level", play)
    monkeypatch.setattr("os.fsync", lambda _: None)  # nothing is killed here, and a busy disk takes seconds over it


def searched(**fields: Any) -> Search:
    return Search(**{"intermediate": space(4), "target": space(4), **fields})


def test_a_sweep_runs_to_its_end_and_again_nothing(tmp_path: Path) -> None:
    first = Play(tmp_path, sweep(search=searched()))
    assert first.done == len(first.resolver.plan.cells) == 24
    again = Play(tmp_path, sweep(search=searched()))
    assert (again.done, again.pool.ran, again.launch.account.failed) == (24, [], {})


def test_a_budget_stops_launching_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    whole = Play(tmp_path / "whole", sweep(search=searched()))
    hours = len(whole.pool.ran)
    small = Play(tmp_path / "small", sweep(search=searched(), budget=Budget(gpu_hours=10.5)))
    assert len(small.pool.ran) == 11, "the stage that goes beyond it is finished"
    assert small.done == 0
    assert small.launch.account.halted == "the budget is spent: 11 of 10.5 worker-hours (there are no GPUs)"
    again = Play(tmp_path / "small", sweep(search=searched(), budget=Budget(gpu_hours=10.5)))
    assert again.pool.ran == []
    assert again.launch.account.halted
    more = Play(tmp_path / "small", sweep(search=searched(), budget=Budget(gpu_hours=hours + 1)))
    assert (more.done, more.launch.account.halted, len(more.pool.ran)) == (24, "", hours - 11)
    assert {s.key for s in small.pool.ran + more.pool.ran} == {s.key for s in whole.pool.ran}


def test_a_budget_in_money_binds_in_the_reporting_runs_too(tmp_path: Path) -> None:
    total = len(Play(tmp_path / "whole", sweep(search=searched())).pool.ran)
    last = 2 * 16  # a target and a scoring of each cell with an intermediate
    limits = {"budget": Budget(cost=2.0 * (total - last - 1)), "layout": Layouts(gpu_hour_cost=2.0)}
    poor = Play(tmp_path / "poor", sweep(search=searched(), **limits))
    assert poor.done == 8
    assert "in money" in poor.launch.account.halted


def test_a_control_starts_once_what_it_is_matched_to_has_ended(tmp_path: Path) -> None:
    """Another job runs until the control has been handed to the pool."""

    class Slow(Pool):
        held: Future[dict[str, Any]] | None = None
        came_to: dict[str, Any] | None = None

        def submit(self, job: Job) -> Future[dict[str, Any]]:
            future = super().submit(job)
            last = job.stages[-1]
            if self.held and any(stage.matches for stage in job.stages):
                self.held.set_result(self.came_to or {})
                self.held = None
            elif last.kind == "evaluate" and last.parent and self.came_to is None:
                self.held, self.came_to = Future(), future.result()
                return self.held
            return future

    of = sweep(search=searched(), arms=(*sweep().arms, Arm(name="longer", control="compute-matched", of="nli")))
    played = Play(tmp_path, of, pool=Slow)
    assert played.done == len(played.resolver.plan.cells)


def test_a_study_whose_trials_all_fail_gives_the_first_traceback_once(tmp_path: Path) -> None:
    def broken(stage: Stage) -> bool:
        return stage.model.name == "small" and stage.kind == "target"

    lost = Play(tmp_path, sweep(search=searched(), max_failures=1000), broken)
    told = [reason for reason in lost.launch.account.failed.values() if "Traceback" in reason]
    assert len(told) == 1
    assert told[0].startswith("every trial failed; the first: RuntimeError: broken")
    assert lost.done == 12


def test_no_study_decides_without_a_trial_that_was_lost_with_its_worker(tmp_path: Path) -> None:
    class Dying(Pool):
        error = WORKER_DIED

    once: list[Stage] = []

    def broken(stage: Stage) -> bool:
        if once or stage.model.name != "small" or stage.kind != "target":
            return False
        once.append(stage)
        return True

    whole = Play(tmp_path / "whole", sweep(search=searched()))
    lost = Play(tmp_path / "struck", sweep(search=searched()), broken, Dying)
    told = [reason for reason in lost.launch.account.failed.values() if reason.startswith("not decided: 1 of 4 trials")]
    assert len(told) == 1
    assert lost.done < whole.done
    again = Play(tmp_path / "struck", sweep(search=searched()))
    assert again.done == whole.done
    cells = whole.resolver.plan.cells
    assert [again.resolver.evaluate(cell) for cell in cells] == [whole.resolver.evaluate(cell) for cell in cells]


def test_a_doomed_sweep_stops_itself(tmp_path: Path) -> None:
    doomed = Play(tmp_path, sweep(search=searched(), max_failures=3), lambda stage: True)
    assert doomed.pool.ran == []
    assert len(doomed.launch.account.failed) == 3
    assert doomed.launch.account.halted.startswith(
        "3 stages failed of one cause (max_failures): RuntimeError: broken 0"
    )
    assert doomed.launch.account.halted.count("Traceback") == 1


@pytest.mark.parametrize("recipe", ["linear", "wsd"])
def test_halving_trains_less_and_decides_the_best_that_went_on(tmp_path: Path, recipe: Any) -> None:
    epochs = (9, 9) if recipe == "linear" else (1, 9)
    of = sweep(
        search=Search(intermediate=space(9, epochs), target=space(9, epochs), halving=Halving()),
        train=Training(schedule=recipe),
    )
    halved = Play(tmp_path, of)
    assert halved.done == 24
    store, plan = halved.resolver.store, halved.resolver.plan
    for cell in plan.searches:
        decision = halved.resolver.decision(cell)
        assert decision
        assert len(decision["trials"]) == 9
        best = decision["trials"][decision["trial"]]
        assert best["status"] == "ok"
        assert "until" not in best
        assert {t["status"] for t in decision["trials"]} <= {"ok", "pruned"}
    assert store.beginnings() == []
    trials = [record for record in collect(halved.resolver) if record.trial is not None]
    assert len(trials) == 9 * len(plan.searches)
    assert {r.manifest.status for r in trials if r.manifest} == {"ok", "pruned"}
    if recipe == "linear":
        runs = 9 + 3 + 1
        assert sum(event.what == "trial" for event in halved.events) == runs * len(plan.searches)


def test_halving_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    search = Search(intermediate=space(9, (9, 9)), target=space(9, (9, 9)), halving=Halving())
    whole = Play(tmp_path / "whole", sweep(search=search))
    for hours in (5, 17, 40):
        Play(tmp_path / "parts", sweep(search=search, budget=Budget(gpu_hours=hours)))
    last = Play(tmp_path / "parts", sweep(search=search))
    assert last.done == 24
    for cell in whole.resolver.plan.searches:
        assert whole.resolver.decision(cell) == last.resolver.decision(cell)


def test_asynchronous_halving_goes_on_from_the_store_and_says_what_it_is(tmp_path: Path) -> None:
    search = Search(
        intermediate=space(9, (9, 9)), target=space(9, (9, 9)), halving=Halving(asynchronous=True), sampler="random"
    )
    hours = (7, 23, 50, 90)
    parts = [Play(tmp_path, sweep(search=search, budget=Budget(gpu_hours=most))) for most in hours]
    last = Play(tmp_path, sweep(search=search))
    assert last.done == 24
    ran = [stage.key for part in (*parts, last) for stage in part.pool.ran]
    assert len(ran) == len(set(ran)), "nothing is run twice"
    at = last.resolver
    for cell in at.plan.searches:
        decision = at.decision(cell)
        assert decision
        assert [trial["number"] for trial in decision["trials"]] == list(range(9))
        assert len({run["key"] for run in (*decision["trials"], *decision["rungs"])}) >= 9 + 3 + 1
    told = {r.key for r in collect(at) if r.role == "search" and r.manifest}
    assert told == {key for key in ran if key in told or at.make.stage(key).kind != "evaluate"} - {
        r.key for r in collect(at) if r.role == "report"
    }
    assert at.store.beginnings() == []
    assert "Asynchronous halving" in plan_text(at.plan, at)


def joint(**fields: Any) -> Sweep:
    spaces = {"intermediate": space(9, (2, 2)), "target": space(9, (9, 9))}
    return sweep(search=Search(mode="joint", **{**spaces, **fields}))


@pytest.mark.parametrize("fields", [{}, {"halving": Halving()}, {"sampler": "tpe", "batch": 3}, {"repeats": 2}])
def test_a_joint_sweep_trains_nothing_twice_and_leaves_no_trial_behind(tmp_path: Path, fields: dict[str, Any]) -> None:
    first = Play(tmp_path, joint(**fields))
    assert first.done == 24
    ran = [stage.key for stage in first.pool.ran]
    assert len(ran) == len(set(ran))
    assert first.events[-1].done == first.events[-1].total
    at, records = first.resolver, collect(first.resolver)
    assert {record.key for record in records if record.key} == set(ran)
    intermediates = [r.key for r in records if r.kind == "intermediate" and r.role == "search" and r.key]
    if "sampler" not in fields:
        assert len(set(intermediates)) == 4 * 9 * at.plan.sweep.search.repeats, "both targets start from the same"
    assert not any(map(at.store.has_weights, intermediates))
    assert all(map(at.store.has_weights, (s.key for cell in at.plan.intermediates if (s := at.intermediate(cell)))))
    table = budgets(records, at.plan.sweep)
    counts = table["trials_planned"] == table["trials_done"]
    assert counts.all()
    assert uneven(table) == []
    own = table.filter(stage="intermediate")
    assert own["target"].null_count() == own["dev_score"].count() == 0
    if "repeats" not in fields:
        assert own["lr"].null_count() == 0
    again = Play(tmp_path, joint(**fields))
    assert (again.done, again.pool.ran) == (24, [])


def test_a_joint_sweep_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    whole = Play(tmp_path / "whole", joint())
    spent = 0
    for hours in (5, 17, 60, 110):
        part = Play(tmp_path / "parts", joint().model_copy(update={"budget": Budget(gpu_hours=hours)}))
        spent += len(part.pool.ran)
        assert hours <= spent <= hours + 2, "all that was spent is counted, and a job of two stages is finished"
    last = Play(tmp_path / "parts", joint())
    assert last.done == 24
    assert spent + len(last.pool.ran) == len(whole.pool.ran)
    for cell in whole.resolver.plan.searches:
        assert whole.resolver.decision(cell) == last.resolver.decision(cell)


def test_a_joint_trial_that_is_lost_in_its_first_stage_is_lost_for_every_target(tmp_path: Path) -> None:
    def broken(stage: Stage) -> bool:
        return stage.kind == "intermediate" and stage.hyper is not None and stage.hyper.lr > 2e-4

    lost = Play(tmp_path, joint().model_copy(update={"max_failures": 1000}), broken)
    assert lost.done == 24, "the others decide"
    for cell in lost.resolver.plan.searches:
        decision = lost.resolver.decision(cell)
        assert decision
        failed = {t["number"] for t in decision["trials"] if t["status"] == "failed"}
        assert failed == {t["number"] for t in decision["trials"] if t.get("before", {"lr": 0})["lr"] > 2e-4}


def test_transfer_goes_down_the_ladder(tmp_path: Path) -> None:
    models = tuple(Model(name=name, id=f"org/{name}", ladder="steps") for name in ("small", "middle", "large"))
    of = sweep(models=models, search=searched(transfer=Transfer(trials=2, check="large"), repeats=2))
    moved = Play(tmp_path, of)
    assert moved.done == len(moved.resolver.plan.cells) == 36
    decision = moved.resolver.decision(moved.resolver.plan.target_search("large", "none", "xnli"))
    assert decision
    assert len(decision["trials"]) == 2
    full = moved.resolver.plan.checked
    assert full
    told = moved.resolver.decision(full)
    assert told
    assert len(told["trials"]) == 4
