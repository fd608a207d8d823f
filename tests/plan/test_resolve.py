"""The whole life of a sweep without training: decisions and manifests are written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.builders import prints, space, sweep
from xsweep.plan.cells import Cell, build_plan
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.stage import Job
from xsweep.spec.sweep import Search, Sweep
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store


def resolver(folder: Path, of: Sweep | None = None, changed: dict[str, str] | None = None) -> Resolver:
    used = of or sweep()
    return Resolver(build_plan(used), prints(used, **(changed or {})), Store(folder))


def decide(at: Resolver, cell: Cell, lr: float = 1e-4) -> None:
    study = at.study(cell)
    assert study
    hyper = {"lr": lr, "epochs": 1}
    at.store.decide(study.address, {"hyper": hyper, "trials": [{"number": 0, **hyper}]})


def finish(at: Resolver, job: Job, status: Any = "ok") -> list[str]:
    """What a worker group does, without the training."""
    for stage in job.stages:
        manifest = Manifest(key=stage.key, kind=stage.kind, status=status, parent=stage.parent)
        weights = {"model.safetensors": at.store.work(stage.key) / "model.safetensors"}
        weights["model.safetensors"].write_bytes(b"weights")
        at.store.commit(manifest, {}, weights if stage.key in job.keep and status == "ok" else None)
    return [stage.key for stage in job.stages]


def run_all(at: Resolver) -> list[str]:
    """Every stage key trained or scored until nothing is ready, in order."""
    for level in at.plan.levels:
        for cell in level:
            if (study := at.study(cell)) and at.store.decision(study.address) is None:
                decide(at, cell)
    ran: list[str] = []
    while jobs := list(at.ready()):
        for _, job in jobs:
            ran += finish(at, job)
    return ran


def test_nothing_is_ready_before_a_decision(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store")
    assert list(at.ready()) == []
    assert all(at.study(cell) for cell in at.plan.levels[0])
    assert not any(at.study(cell) for cell in at.plan.levels[1]), "their intermediate is undecided"


def test_every_cell_is_scored_and_no_stage_runs_twice(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store")
    ran = run_all(at)
    assert len(ran) == len(set(ran)), "every stage once"
    assert len(ran) == 8 + 24 + 24, "two models x two arms x two seeds; then a target and a scoring per cell"
    again = resolver(tmp_path / "store")
    assert list(again.ready()) == []
    assert all(r.manifest for r in collect(again) if r.role == "report")


def test_one_more_seed_runs_only_that_seed(tmp_path: Path) -> None:
    run_all(resolver(tmp_path / "store"))
    more = resolver(tmp_path / "store", sweep(seeds=(1, 2, 7)))
    ran = run_all(more)
    specs = [more.store.manifest(key) for key in ran]
    assert len(ran) == 4 + 12 + 12
    assert all(specs)
    assert {record.seed for record in collect(more) if record.key in set(ran)} == {7}


def test_changed_data_is_another_study_and_other_stages(tmp_path: Path) -> None:
    run_all(resolver(tmp_path / "store"))
    changed = resolver(tmp_path / "store", changed={"train/snli": "other"})
    cells = [cell for level in changed.plan.levels for cell in level]
    undecided = {c.arm for c in cells if not (s := changed.study(c)) or changed.store.decision(s.address) is None}
    assert undecided == {"nli"}


def test_test_rows_change_no_study_and_no_training(tmp_path: Path) -> None:
    """Zero-shot means zero-shot: what is scored never reaches what is chosen or trained."""
    before = resolver(tmp_path / "a")
    after = resolver(tmp_path / "a", changed={"test/xnli/de": "x", "test/xnli/en": "y"})
    for cell in before.plan.levels[0]:
        assert before.study(cell) == after.study(cell)
    run_all(before)
    for cell in before.plan.cells:
        one, other = before.target(cell), after.target(cell)
        assert one
        assert other
        assert one.key == other.key
        assert (before.evaluate(cell) == after.evaluate(cell)) == (cell.target != "xnli")


def test_evicted_parents_are_made_again_in_the_same_job(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store")
    run_all(at)
    cell = next(c for c in at.plan.cells if c.arm == "nli")
    target = at.target(cell)
    assert target
    assert target.parent
    at.store.evict(target.parent)
    scoring = at.evaluate(cell)
    assert scoring
    assert [stage.kind for stage in at.job(scoring).stages] == ["intermediate", "target", "evaluate"]


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_lost_intermediate_leaves_a_hole_and_the_rest_goes_on(tmp_path: Path, status: str) -> None:
    at = resolver(tmp_path / "store")
    for level in at.plan.levels:
        for cell in level:
            if at.study(cell):
                decide(at, cell)
    (_, lost), *_ = at.ready()
    finish(at, lost, status)
    keys: set[str] = set()
    while jobs := [(label, job) for label, job in at.ready() if lost.key not in {s.key for s in job.stages}]:
        for _, job in jobs:
            keys |= set(finish(at, job))
    assert lost.key not in keys
    holes = [r for r in collect(at) if r.kind == "evaluate" and r.manifest is None]
    assert len(holes) == 2, "the two targets behind the lost intermediate"
    assert (lost.key in {s.key for _, job in at.ready() for s in job.stages}) == (status == "failed")


def test_trials_of_the_target_search_start_from_the_winning_intermediate(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store")
    for cell in at.plan.levels[0]:
        decide(at, cell, lr=3e-4)
    cell = next(c for c in at.plan.levels[1] if c.arm == "nli")
    study = at.study(cell)
    winner = at.intermediate(cell)
    assert study
    assert winner
    assert winner.hyper
    assert winner.hyper.lr == 3e-4
    assert at.trial(study, winner.hyper).parent == winner.key


def test_a_shared_target_search_serves_every_arm(tmp_path: Path) -> None:
    shared = sweep(search=Search(intermediate=space(), target=space(), target_per="baseline"))
    at = resolver(tmp_path / "store", shared)
    run_all(at)
    hypers: dict[tuple[str, str | None], set[Any]] = {(cell.model, cell.target): set() for cell in at.plan.cells}
    for cell in at.plan.cells:
        stage = at.target(cell)
        assert stage
        hypers[cell.model, cell.target].add(stage.hyper)
    assert all(len(found) == 1 for found in hypers.values())
