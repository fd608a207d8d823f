"""Control arms in a plan: what they share, when they are ready, how long they are. Manifests are written by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import behind, space, sweep, target_task, task
from tests.plan.test_resolve import decide, resolver
from tests.plan.test_stage import STAGE
from tests.plan.test_untrained import TATOEBA
from xsweep.analysis.design import Design
from xsweep.analysis.frame import frame_of
from xsweep.analysis.gains import paired_gains
from xsweep.analysis.outcomes import budgets, holes
from xsweep.engine.progress import REPORTING, to_do
from xsweep.engine.space import weights_to_write
from xsweep.plan.cells import Cell, build_plan
from xsweep.plan.cost import estimate
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.show import plan_rows, status_rows
from xsweep.plan.stage import Job, Stage
from xsweep.spec.sweep import Arm, Search, Sweep, Target
from xsweep.store.manifests import Manifest
from xsweep.tracking.facts import distinct, manifests, outcome
from xsweep.tracking.frames import scores_from_records

SNLI = task("snli")
STEPS = {"intermediate": 50, "target": 8}
"""Optimiser steps of an epoch."""


def controlled(**fields: Any) -> Sweep:
    """One model; the baseline, an arm, the arm with shuffled labels, the baseline as long; two seeds."""
    arms = (
        Arm(name="none"),
        Arm(name="nli", tasks=(SNLI,)),
        Arm(name="nli-shuffled", tasks=(SNLI,), control="shuffled-labels", family="control"),
        Arm(name="longer", control="compute-matched", of="nli", family="control"),
    )
    return sweep(**{"models": sweep().models[:1], "arms": arms, **fields})


def finish(at: Resolver, job: Job, status: Any = "ok") -> list[str]:
    """What a worker group does, without the training."""
    for stage in job.stages:
        metrics: dict[str, Any] = {"test": {code: {"accuracy": 50.0, "n": 10} for code in stage.languages}}
        if stage.hyper:
            metrics = {"steps": STEPS[stage.kind] * stage.hyper.epochs, "score": 60.0}
        reason, spec = "" if status == "ok" else "it was lost", stage.payload()
        manifest = Manifest(
            key=stage.key,
            kind=stage.kind,
            status=status,
            reason=reason,
            spec=spec,
            parent=stage.parent,
            metrics=metrics,
        )
        path = at.store.work(stage.key) / "model.safetensors"
        path.write_bytes(b"weights")
        kept = stage.key in job.keep and status in ("ok", "degenerate")
        at.store.commit(manifest, {}, {"model.safetensors": path} if kept else None)
    return [stage.key for stage in job.stages]


def search_all(at: Resolver, epochs: int = 1) -> None:
    for level in at.plan.levels:
        for cell in level:
            study = at.study(cell)
            assert study
            if at.store.decision(study.address) is None:
                lr = 1e-4 if cell.arm == "none" else 3e-4
                hyper = {"lr": lr, "epochs": epochs}
                trial = {"number": 0, "status": "ok", "score": 60.0, **hyper}
                at.store.decide(study.address, {"hyper": hyper, "trials": [trial]})


def run_all(at: Resolver) -> None:
    while jobs := list(at.ready()):
        for _, job in jobs:
            finish(at, job)


def cells(at: Resolver, arm: str) -> list[Cell]:
    return [cell for cell in at.plan.cells if cell.arm == arm]


def longer(at: Resolver, cell: Cell) -> Stage:
    stage = at.target(cell)
    assert stage
    return stage


def test_a_longer_baseline_is_searched_by_nobody() -> None:
    plan = build_plan(controlled())
    assert len(plan.cells) == 4 * 2 * 2
    assert {cell.arm for level in plan.levels for cell in level} == {"none", "nli", "nli-shuffled"}
    assert plan.target_search("small", "longer", "xnli") == plan.target_search("small", "none", "xnli")


def test_shuffled_labels_are_another_stage_and_another_study(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", controlled())
    search_all(at)
    plain, blind = (at.intermediate(behind("small", arm, 1)) for arm in ("nli", "nli-shuffled"))
    assert plain
    assert blind
    assert blind == replace(plain, shuffled=True)
    assert blind.key != plain.key
    studies = [at.study(at.plan.intermediate_search("small", arm)) for arm in ("nli", "nli-shuffled")]
    assert len({study.address for study in studies if study}) == 2
    targets = [at.target(Cell("small", arm, "xnli", 1, "report")) for arm in ("nli", "nli-shuffled")]
    assert [stage.shuffled for stage in targets if stage] == [False, False], "only the intermediate's labels"


def test_controls_are_in_the_key_where_they_say_something() -> None:
    assert {"shuffled", "matches"}.isdisjoint(STAGE.payload())
    stages = [STAGE, replace(STAGE, shuffled=True), replace(STAGE, matches="aa"), replace(STAGE, matches="bb")]
    assert len({stage.key for stage in stages}) == 4


def test_a_longer_baseline_waits_for_both_stages_of_its_arm(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", controlled())
    search_all(at)
    cell = Cell("small", "longer", "xnli", 2, "report")
    assert at.target(cell) is None
    before = at.intermediate(behind("small", "nli", 2))
    assert before
    finish(at, at.job(before))
    assert at.target(cell) is None
    after = at.evaluate(replace(cell, arm="nli"))
    assert after
    finish(at, at.job(after))
    assert longer(at, cell).matches == before.key
    assert at.target(replace(cell, target="pawsx")) is None, "each target has its own steps"
    ready = dict(at.ready())
    assert [s.kind for s in ready["small / longer / xnli / s2"].stages] == ["target", "evaluate"]


@pytest.mark.parametrize(
    ("first", "second", "epochs"),
    [(50, 8, 7), (44, 8, 7), (44, 9, 6), (43, 8, 6), (3, 8, 1), (4, 8, 2), (1, 1000, 1)],
    ids=str,
)
def test_its_epochs_come_nearest_to_both_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, second: int, epochs: int
) -> None:
    monkeypatch.setitem(STEPS, "intermediate", first)
    monkeypatch.setitem(STEPS, "target", second)
    at = resolver(tmp_path / "store", controlled(seeds=(1,), targets=sweep().targets[:1]))
    search_all(at)
    run_all(at)
    for cell in cells(at, "longer"):
        stage = longer(at, cell)
        assert stage.hyper
        assert (stage.hyper.lr, stage.hyper.epochs, stage.parent) == (1e-4, epochs, None)
        assert all(abs(e * second - first - second) >= abs(epochs * second - first - second) for e in range(1, 99))


def test_more_epochs_of_the_arm_are_more_of_its_control(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", controlled(seeds=(1,), targets=sweep().targets[:1]))
    search_all(at, epochs=2)
    run_all(at)
    hyper = longer(at, cells(at, "longer")[0]).hyper
    assert hyper
    assert hyper.epochs == 15, "116 steps are 14.5 epochs of 8"


def test_whatever_order_stages_end_in_the_same_stages_are_run(tmp_path: Path) -> None:
    """Steps are read from manifests, so when a control becomes ready says nothing about what it is."""
    ran = []
    for number in range(3):
        at = resolver(tmp_path / str(number), controlled())
        search_all(at)
        order = random.Random(number) if number else None
        keys = []
        while jobs := list(at.ready()):
            for _, job in order.sample(jobs, 3 if len(jobs) > 3 else 1) if order else jobs:
                keys += finish(at, job)
            if order:  # as after a kill: nothing is remembered but the store
                at = resolver(tmp_path / str(number), controlled())
        assert len(keys) == len(set(keys)) == 2 * 2 + 2 * (16)
        ran.append(sorted(keys))
    assert ran[0] == ran[1] == ran[2]


def test_a_control_is_a_run_of_its_own_even_when_it_comes_to_the_baselines_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STEPS, "intermediate", 1)
    at = resolver(tmp_path / "store", controlled())
    search_all(at)
    run_all(at)
    for cell in cells(at, "longer"):
        base = longer(at, replace(cell, arm="none"))
        assert base.hyper == longer(at, cell).hyper
        assert base.key != longer(at, cell).key
    records = collect(at)
    scored = scores_from_records(records)
    assert len(distinct(records)) == len([r for r in records if r.key and r.manifest])
    assert sorted(scored["arm"].unique()) == ["longer", "nli", "nli-shuffled", "none"]


def test_counts_of_a_sweep_with_controls_come_out_even(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", controlled())
    fresh = to_do(at, {})
    assert fresh[REPORTING, "small"] == 2 * 2 + 16, "intermediates of two arms, and every cell"
    assert weights_to_write(at) == 4 * 300 * 2 * 3, "of two arms, at the search seed and two reporting seeds"
    search_all(at)
    run_all(at)
    assert to_do(at, {}).total() == 0
    lines = {line["stage"]: line for line in plan_rows(at.plan, at)["lines"]}
    assert [lines[name]["runs"] for name in ("intermediate", "target", "evaluate")] == [4, 16, 16]
    assert all(lines[name]["done"] == lines[name]["runs"] for name in ("intermediate", "target", "evaluate"))
    assert status_rows(at.plan, at)["done"] == 16
    records = collect(at)
    assert holes(records, at.plan.sweep).height == 0
    assert {r.family for r in records if r.arm in ("longer", "nli-shuffled")} == {"control"}
    rows = {(r["arm"], r["target"]): r for r in budgets(records, at.plan.sweep).iter_rows(named=True)}
    assert ("longer", None) not in rows
    assert (rows["longer", "xnli"]["trials_planned"], rows["longer", "xnli"]["runs_done"]) == (0, 2)
    assert (rows["longer", "xnli"]["lr"], rows["longer", "xnli"]["epochs"]) == (1e-4, 7)
    frame = frame_of(at.plan.sweep, records, scores_from_records(records))
    gains = paired_gains(frame, Design.of(frame))
    assert gains.filter(arm="longer", target="xnli", languages="others")["gain"].to_list() == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["intermediate", "target"])
def test_a_lost_stage_of_the_arm_is_a_hole_of_its_control_too(tmp_path: Path, kind: str) -> None:
    at = resolver(tmp_path / "store", controlled())
    search_all(at)
    first = at.intermediate(behind("small", "nli", 1))
    assert first
    if kind == "target":
        finish(at, at.job(first))
    lost = first if kind == "intermediate" else at.target(Cell("small", "nli", "xnli", 1, "report"))
    assert lost
    finish(at, Job((lost,)), "diverged")
    run_all(at)
    found = holes(collect(at), at.plan.sweep).filter(arm="longer")
    targets = ["xnli", "pawsx"] if kind == "intermediate" else ["xnli"]
    assert found.rows() == [("small", "longer", t, 1, kind, "diverged", "nli: it was lost") for t in targets]


def test_an_open_control_says_what_it_waits_for(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", controlled())
    search_all(at)
    found = holes(collect(at), at.plan.sweep).filter(arm="longer")
    assert set(found["stage"]) == {"target"}
    assert set(found["reason"]) == {
        "a search that it depends on has no decision, or nli, whose steps it has, has not ended"
    }


def test_a_target_that_is_not_trained_cannot_be_lengthened(tmp_path: Path) -> None:
    targets = (
        Target(task=target_task("xnli"), languages=("en", "de"), score_examples=10),
        Target(task=TATOEBA, languages=("de",), score_examples=10),
    )
    at = resolver(tmp_path / "store", controlled(targets=targets))
    assert {cell.target for cell in cells(at, "longer")} == {"xnli"}
    assert {cell.target for cell in cells(at, "nli-shuffled")} == {"xnli", "tatoeba"}
    search_all(at)
    run_all(at)
    records = collect(at)
    assert holes(records, at.plan.sweep).height == 0
    frame = frame_of(at.plan.sweep, records, scores_from_records(records))
    gains = paired_gains(frame, Design.of(frame))
    assert set(gains.filter(arm="longer")["target"]) == {"xnli", "all"}
    assert gains.filter(arm="longer")["gain"].null_count() == 0


def test_a_shared_target_search_serves_the_controls(tmp_path: Path) -> None:
    shared = controlled(search=Search(intermediate=space(), target=space(), target_per="baseline"))
    at = resolver(tmp_path / "store", shared)
    for level in at.plan.levels:
        for cell in level:
            decide(at, cell)
    run_all(at)
    hyper = longer(at, cells(at, "longer")[0]).hyper
    assert hyper
    assert (hyper.lr, hyper.epochs) == (1e-4, 7)


def test_a_blind_intermediate_does_not_make_its_targets_degenerate(tmp_path: Path) -> None:
    """No better than chance is what its control is for; an arm that was to learn is marked all the way down."""
    at = resolver(tmp_path / "store", controlled())
    search_all(at)
    for arm in ("nli", "nli-shuffled"):
        for seed in (1, 2):
            stage = at.intermediate(behind("small", arm, seed))
            assert stage
            finish(at, at.job(stage), "degenerate")
    run_all(at)
    records = collect(at)
    status: dict[str, set[str]] = {arm: set() for arm in ("none", "nli", "nli-shuffled")}
    for record in records:
        if record.kind == "evaluate" and record.arm in status and record.manifest:
            status[record.arm].add(outcome(record.manifest, manifests(records)))
    assert status == {"none": {"ok"}, "nli": {"degenerate"}, "nli-shuffled": {"ok"}}
    blind = next(r for r in records if r.kind == "intermediate" and r.arm == "nli-shuffled" and r.role == "report")
    assert blind.manifest
    assert outcome(blind.manifest, manifests(records)) == "degenerate", "of the stage itself it is said"


def test_a_longer_baseline_is_priced_by_the_rows_of_both_stages() -> None:
    of = controlled()
    arms = [a.model_copy(update={"tasks": tuple(t.model_copy(update={"rows": 1000, "tokens": 5}) for t in a.tasks)})
            for a in of.arms]  # fmt: skip
    sized = [t.model_copy(update={"task": t.task.model_copy(update={"rows": 300, "tokens": 7})}) for t in of.targets]
    lines = {line.stage: line for line in estimate(build_plan(of.model_copy(
        update={"arms": tuple(arms), "targets": tuple(sized)}))).lines}  # fmt: skip
    epoch = 6 * 200 * 300 * 7
    at_most = 2 + 7  # two of the target, and 2 x 1000 / 300 of the intermediate, rounded up
    assert lines["target"].flops == 2 * 2 * epoch * (3 * 2 + at_most)
    assert {line.stage: line.flops for line in estimate(build_plan(of)).lines}["target"] is None
