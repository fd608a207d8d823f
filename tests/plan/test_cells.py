from __future__ import annotations

from tests.builders import space, sweep
from xsweep.plan.cells import build_plan
from xsweep.plan.cost import estimate
from xsweep.spec.sweep import Search


def test_the_plan_has_every_cell_once_and_searches_in_levels() -> None:
    plan = build_plan(sweep())
    assert len(plan.cells) == len(set(plan.cells)) == 2 * 3 * 2 * 2
    first, second = plan.levels
    assert {(c.arm, c.target) for c in first} == {("nli", None), ("qa", None), ("none", "xnli"), ("none", "pawsx")}
    assert {c.arm for c in second} == {"nli", "qa"}
    assert all(c.seed == 0 and c.role == "search" for c in (*first, *second))


def test_a_target_search_shared_on_the_baseline_leaves_one_level() -> None:
    plan = build_plan(sweep(search=Search(intermediate=space(), target=space(), target_per="baseline")))
    assert len(plan.levels) == 1
    assert plan.target_search("small", "nli", "xnli").arm == "none"


def test_the_baseline_has_as_many_target_trials_as_any_arm() -> None:
    plan = build_plan(sweep())
    budgets: dict[str, int] = {}
    for cell in (c for level in plan.levels for c in level if c.target):
        budgets[cell.arm] = budgets.get(cell.arm, 0) + plan.space(cell).trials
    assert len(set(budgets.values())) == 1


def test_labels_name_what_varies() -> None:
    assert build_plan(sweep()).cells[0].label == "small / none / xnli / s1"


def test_intermediates_are_shared_between_targets_and_unknown_cost_stays_unknown() -> None:
    lines = {line.stage: line for line in estimate(build_plan(sweep())).lines}
    assert lines["intermediate"].needed == 2 * lines["intermediate"].runs
    assert lines["target"].flops is None, "the tasks publish no sizes"


def test_flops_are_six_times_trunk_times_tokens_times_epochs() -> None:
    tiny = sweep()
    sized = tuple(
        target.model_copy(update={"task": target.task.model_copy(update={"rows": 100, "tokens": 7}), "examples": 50})
        for target in tiny.targets
    )
    lines = {line.stage: line for line in estimate(build_plan(tiny.model_copy(update={"targets": sized}))).lines}
    one_arm_one_seed = 2 * sum(6 * trunk * 50 * 7 * 2 for trunk in (200, 600))
    assert lines["target"].flops == 3 * 2 * one_arm_one_seed
    assert lines["evaluate"].flops == sum(2 * trunk * 10 * 2 * 7 for trunk in (200, 600)) * 3 * 2 * 2
