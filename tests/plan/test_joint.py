"""One study over both stages: what it asks, what it decides, what is shared and what it costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import behind, prints, space, sweep, target_task
from tests.plan.test_levers import EPOCH, priced
from tests.plan.test_resolve import finish, resolver
from xsweep.engine.diff import diff
from xsweep.engine.studies import Suggestions
from xsweep.plan.cells import Cell, build_plan
from xsweep.plan.cost import estimate
from xsweep.plan.garbage import unneeded
from xsweep.plan.levers import chain, levers, retained
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.show import plan_rows, plan_text
from xsweep.plan.stage import Hyper
from xsweep.spec.sweep import Halving, IntRange, LogUniform, Search, Space, Sweep, Target, Transfer
from xsweep.store.store import Store
from xsweep.tracking.facts import facts

BOTH = Hyper(1e-4, 1, before=Hyper(2e-5, 2))


def joint(trials: int = 2, **search: Any) -> Sweep:
    spaces = {"intermediate": space(trials), "target": space(trials)}
    return sweep(search=Search(mode="joint", **{**spaces, **search}))


def with_retrieval(of: Sweep) -> Sweep:
    """The same with a target that is not trained."""
    untrained = target_task("tatoeba", train=(), selection=(), format="retrieval", labels=(), metric="accuracy")
    return of.model_copy(update={"targets": (*of.targets, Target(task=untrained, languages=("de",)))})


def decide_all(at: Resolver) -> None:
    """Every study decides the last of its points, and every trial of it has ended."""
    for level in at.plan.levels:
        for cell in level:
            study = at.study(cell)
            assert study
            trials = []
            for number, hyper in Suggestions(study).pending({}):
                stage = at.trial(study, hyper)
                finish(at, at.job(stage))
                trials.append({"number": number, **hyper.told(), "key": stage.key, "status": "ok", "score": 1.0})
            at.store.decide(study.address, {"hyper": hyper.told(), "score": 1.0, "trials": trials})


def run_all(at: Resolver) -> list[str]:
    decide_all(at)
    ran: list[str] = []
    while jobs := list(at.ready()):
        for _, job in jobs:
            ran += finish(at, job)
    return ran


def test_it_is_one_level_with_a_study_for_each_arm_and_target() -> None:
    plan = build_plan(joint())
    assert len(plan.levels) == 1
    assert all(cell.target for cell in plan.searches)
    assert len(plan.searches) == 2 * 3 * 2, "the baseline's among them"
    assert {plan.joint(cell) for cell in plan.searches if cell.arm == "none"} == {False}
    assert len({plan.space(cell).trials for cell in plan.searches}) == 1, "equal budgets"
    assert len(plan.intermediates) == 2 * 2 * 2 * 2


def test_what_has_no_second_stage_keeps_its_staged_search(tmp_path: Path) -> None:
    plain, of = (resolver(tmp_path / "store", with_retrieval(s)) for s in (sweep(), joint()))
    alone = [cell for cell in of.plan.searches if cell.target is None]
    assert alone == [cell for cell in plain.plan.searches if cell.target is None]
    base = [cell for cell in of.plan.searches if cell.arm == "none"]
    assert [of.study(cell) for cell in (*alone, *base)] == [plain.study(cell) for cell in (*alone, *base)]
    run_all(of)
    for cell in of.plan.cells:
        scored, target = of.evaluate(cell), of.target(cell)
        assert scored
        if cell.target == "tatoeba":
            shared = of.intermediate(behind(cell.model, cell.arm, cell.seed)) if cell.arm != "none" else None
            assert (target, scored.parent) == (None, shared and shared.key)
    assert "no second stage" in plan_text(of.plan, of)


def test_a_trial_is_of_both_stages_and_depends_on_both(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", joint())
    cell = at.plan.target_search("small", "nli", "xnli")
    study = at.study(cell)
    assert study
    first, second = at.trials(study, BOTH)
    assert (first.kind, second.kind, second.parent) == ("intermediate", "target", first.key)
    assert (first.hyper, second.hyper) == (BOTH.before, BOTH)
    assert [stage.key for stage in at.job(second).stages] == [first.key, second.key]
    assert at.job(second).keep == {first.key}
    staged = resolver(tmp_path / "store")
    trial = staged.trials(replace(study, kind="intermediate", target=None, before=None), Hyper(2e-5, 2))
    assert trial[0].key == first.key, "the same work has the same key, however it was asked for"
    assert second.key == at.make.target(cell, Hyper(1e-4, 1), first).key, "the parent's key tells what was before"


@pytest.mark.parametrize("field", ["intermediate", "target"])
def test_the_address_tells_both_ranges_and_the_arms_data(tmp_path: Path, field: str) -> None:
    at = resolver(tmp_path / "store", joint())
    cell = at.plan.target_search("small", "nli", "xnli")
    other = resolver(tmp_path / "store", joint(2, **{field: space(epochs=(1, 3))}))
    moved = resolver(tmp_path / "store", joint(), {"train/snli": "other"})
    studies = [it.study(cell) for it in (at, other, moved, resolver(tmp_path / "store", sweep()))]
    assert studies[3] is None, "staged, it waits for the intermediate's"
    assert len({study.address for study in studies if study}) == 3


def test_targets_share_the_intermediate_stages_of_their_trials(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", joint(trials=4))
    found = []
    for target in ("xnli", "pawsx"):
        study = at.study(at.plan.target_search("small", "nli", target))
        assert study
        found.append([at.trials(study, hyper) for _, hyper in Suggestions(study).pending({})])
    assert [first.key for first, _ in found[0]] == [first.key for first, _ in found[1]]
    assert len({last.key for trials in found for _, last in trials}) == 8


def test_everything_is_run_once_and_counted(tmp_path: Path) -> None:
    of = joint()
    at = resolver(tmp_path / "store", of)
    before = {line["stage"]: line for line in plan_rows(at.plan, at)["lines"]}
    assert {stage: line["runs"] for stage, line in before.items()} == {
        "intermediate trials": 4 * 2, "target trials": 12 * 2, "intermediate": 16, "target": 24, "evaluate": 24
    }  # fmt: skip
    assert before["intermediate trials"]["needed"] == 8 * 2
    ran = run_all(at)
    assert len(ran) == len(set(ran))
    after = plan_rows(at.plan, at)["lines"]
    assert {line["stage"]: line["done"] for line in after} == {line["stage"]: line["runs"] for line in after}
    assert list(resolver(tmp_path / "store", of).ready()) == []
    for cell in at.plan.cells:
        target = at.target(cell)
        assert target
        own = at.intermediate(cell) if cell.arm != "none" else None
        assert target.parent == (own and own.key)
        assert (target.hyper and target.hyper.before) == (own and own.hyper)


def test_records_and_facts_tell_both_stages(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", joint())
    run_all(at)
    records = [r for r in collect(at) if (r.model.name, r.arm, r.target) == ("small", "nli", "xnli")]
    trials = [(r.kind, r.trial, r.judged, r.work) for r in records if r.role == "search"]
    assert trials == [
        (kind, number, kind == "target", f"{kind} trials") for kind in ("intermediate", "target") for number in (0, 1)
    ]
    ended = {r.key: r.manifest for r in collect(at) if r.key and r.manifest}
    told = [facts(r, ended) for r in records]
    assert len({fact.name for fact in told}) == len(told)
    for record, fact in zip(records, told, strict=True):
        assert ("intermediate_lr" in fact.params) == (record.kind != "intermediate")
    assert not any(r.same_data for r in records)


def test_an_unfinished_study_keeps_what_others_trained_for_it(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", joint())
    run_all(at)
    trials = {r.key for r in collect(at) if r.role == "search" and r.kind == "intermediate"}
    assert trials <= set(unneeded(at).weights)
    more = resolver(tmp_path / "store", at.plan.sweep, {"train/pawsx": "changed"})
    decided = {r.key for r in collect(more) if r.role == "search" and r.kind == "intermediate"}
    assert decided == trials, "they belong to the other target's studies too, which have ended"
    assert not trials & set(unneeded(more).weights)


def test_an_edit_is_told_by_its_stages(tmp_path: Path) -> None:
    of = joint()
    one, other = (
        resolver(tmp_path / "store", of),
        resolver(tmp_path / "store", of.model_copy(update={"seeds": (1, 2, 3)})),
    )
    found = {change.stage: change for change in diff(one, other)}
    assert {stage: (c.kept, c.new) for stage, c in found.items()} == {
        "target trials": (24, 0), "intermediate trials": (8, 0), "intermediate": (16, 8), "target": (24, 12),
        "evaluate": (24, 12),
    }  # fmt: skip
    staged = {change.stage: change for change in diff(resolver(tmp_path / "store"), one)}
    assert staged["target trials"].kept == 4 * 2, "the baseline's"


def both(trials: int = 9, epochs: tuple[int, int] = (9, 9), **search: Any) -> Sweep:
    return priced(trials, epochs, mode="joint", **search)


def test_the_price_of_each_lever() -> None:
    found = {price.lever: price for price in levers(build_plan(both()), None)}
    scratch, shared = found["every pipeline from scratch"], found["intermediates shared by targets"]
    assert scratch.trainings == 2 * (9 * (2 + 4) + 2 * (2 + 4)), "as much as a staged sweep's"
    assert shared.trainings == 2 * (9 * (1 + 4) + 2 * (2 + 4)), "each target's reporting runs have their own"
    assert shared.flops == 9 * EPOCH * (9 * 5 + 2 * 6)
    lines = {line.stage: line for line in estimate(build_plan(both())).lines}
    assert sum(line.flops or 0 for stage, line in lines.items() if stage != "evaluate") == shared.flops


@pytest.mark.parametrize("search", [{}, {"transfer": Transfer(trials=3)}, {"sampler": "tpe"}, {"repeats": 2}])
def test_the_last_line_is_the_plan(search: dict[str, Any]) -> None:
    plan = build_plan(both(epochs=(1, 9), **search))
    counted = {line.stage: line.runs for line in estimate(plan).lines if line.stage != "evaluate"}
    assert levers(plan, None)[-1].trainings == sum(counted.values())


def test_halving_shortens_the_target_stage_alone() -> None:
    plan = build_plan(both(halving=Halving()))
    before, halved = levers(plan, None)[3:5]
    assert before.flops
    assert halved.flops
    assert before.trainings - halved.trainings == 2 * 4 * (9 - 13)
    assert before.flops - halved.flops == pytest.approx(9 * EPOCH * 9 * 4 * (1 - (9 * 1 + 3 * 2 + 1 * 6) / 81))


def test_a_fixed_intermediate_is_trained_once(tmp_path: Path) -> None:
    fixed = Space(trials=4, lr=LogUniform(low=1e-5, high=1e-5), epochs=IntRange(low=2, high=2))
    at = resolver(tmp_path / "store", joint(4, intermediate=fixed))
    run_all(at)
    lines = {line["stage"]: line for line in plan_rows(at.plan, at)["lines"]}
    assert [lines["intermediate trials"][of] for of in ("needed", "runs", "done")] == [4 * 8, 4, 4]


def test_the_longest_chain_and_what_is_kept() -> None:
    assert chain(build_plan(both())) == 2 + 3
    assert chain(build_plan(both(halving=Halving()))) == 1 + 3 + 3
    assert chain(build_plan(both(sampler="tpe"))) == 2 * 3 + 3
    assert retained(build_plan(both()), None) == 4 * (6 + 7) * 2 * 2, "of two targets and two seeds"


def test_configurations_of_both_stages_go_down_the_ladder(tmp_path: Path) -> None:
    of = both(3, (1, 2), transfer=Transfer(trials=2))
    at = Resolver(build_plan(of), prints(of), Store(tmp_path / "store"))
    small, large = (at.plan.target_search(name, "nli", "xnli") for name in ("s", "l"))
    assert at.study(large) is None
    study = at.study(small)
    assert study
    trials = [
        {"number": n, **hyper.told(), "key": "k", "status": "ok", "score": float(n)}
        for n, hyper in Suggestions(study).pending({})
    ]
    at.store.decide(study.address, {"hyper": trials[2], "score": 2.0, "trials": trials})
    moved = at.study(large)
    assert moved
    tried = [hyper for _, hyper in Suggestions(moved).pending({})]
    assert tried == list(moved.seeded)
    for hyper, told in zip(tried, (trials[2], trials[1]), strict=True):
        assert hyper.before
        assert (hyper.epochs, hyper.before.epochs) == (told["epochs"], told["before"]["epochs"])
        assert hyper.lr == pytest.approx(told["lr"] / 2, rel=1e-5)
        assert hyper.before.lr == pytest.approx(told["before"]["lr"] / 2, rel=1e-5)


def test_a_control_is_as_long_as_the_joint_choice_of_its_target(tmp_path: Path) -> None:
    from tests.plan.test_controls import controlled

    of = controlled(search=joint().search)
    plan = build_plan(of)
    assert plan.target_search("small", "longer", "xnli") == plan.target_search("small", "none", "xnli")
    assert plan.intermediate(Cell("small", "nli-shuffled", "xnli", 1, "report")).target == "xnli"
