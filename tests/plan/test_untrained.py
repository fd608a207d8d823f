"""Targets that are not trained: no study, no target stage, one scoring stage of the baseline for all seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import behind, sweep, target_task, task
from tests.plan.test_resolve import decide, finish, resolver, run_all
from tests.plan.test_stage import STAGE
from xsweep.analysis.outcomes import holes
from xsweep.plan.cells import Cell, build_plan
from xsweep.plan.cost import estimate
from xsweep.plan.prints import readings
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.show import plan_rows, status_rows
from xsweep.plan.stage import Stage
from xsweep.spec.sweep import Sweep, Target
from xsweep.tracking.facts import facts, manifests
from xsweep.tracking.frames import scores_from_records, scores_from_runs
from xsweep.tracking.reader import Run

TATOEBA = target_task("tatoeba", format="retrieval", family="retrieval", labels=(), train=(), selection=(), tokens=10)


def both(**fields: Any) -> Sweep:
    """One model; baseline and two arms; a trained target and one that is not; two seeds."""
    targets = (
        Target(task=target_task("xnli"), languages=("en", "de"), score_examples=10),
        Target(task=TATOEBA, languages=("de",), score_examples=10),
    )
    return sweep(models=sweep().models[:1], targets=targets, **fields)


def cells(at: Resolver, arm: str) -> list[Cell]:
    return [cell for cell in at.plan.cells if (cell.arm, cell.target) == (arm, "tatoeba")]


def test_nothing_is_searched_or_read_for_training() -> None:
    plan = build_plan(both())
    assert len(plan.cells) == 3 * 2 * 2
    assert {cell.target for level in plan.levels for cell in level} == {None, "xnli"}
    assert [r.name for r in readings(plan.sweep) if r.task.name == "tatoeba"] == ["test/tatoeba/de"]


def test_the_baseline_is_scored_before_anything_is_decided(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", both())
    stages = [at.evaluate(cell) for cell in cells(at, "none")]
    assert len({stage.key for stage in stages if stage}) == 1
    ((label, job),) = at.ready()
    assert label == "small / none / tatoeba / s1"
    assert [(stage.kind, stage.seed, stage.parent) for stage in job.stages] == [("evaluate", 0, None)]
    assert not job.keep
    finish(at, job)
    assert list(at.ready()) == []


def test_an_arm_is_scored_by_its_intermediate_of_the_same_seed(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", both())
    for cell in at.plan.levels[0]:
        decide(at, cell)
    for cell in cells(at, "nli"):
        stage, parent = at.evaluate(cell), at.intermediate(behind("small", "nli", cell.seed))
        assert stage
        assert parent
        assert (stage.parent, stage.seed) == (parent.key, cell.seed)
        assert at.target(cell) is None
    ready = dict(at.ready())
    assert "small / nli / s1" in ready
    assert not any("nli / tatoeba" in label for label in ready), "the intermediate comes first"
    for job in ready.values():
        finish(at, job)
    (kinds,) = [[s.kind for s in job.stages] for label, job in at.ready() if label == "small / nli / tatoeba / s1"]
    assert kinds == ["evaluate"]


def test_every_cell_is_filled_and_nothing_runs_twice(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", both())
    ran = run_all(at)
    assert len(ran) == len(set(ran)) == 4 + 6 + 6 + 4 + 1
    records = collect(resolver(tmp_path / "store", both()))
    filled = [r for r in records if (r.kind, r.target) == ("evaluate", "tatoeba")]
    assert len(filled) == 6
    assert all(r.manifest for r in filled)
    assert not [r for r in records if (r.kind, r.target) == ("target", "tatoeba")]
    again = resolver(tmp_path / "store", both())
    assert list(again.ready()) == []
    lines = {line["stage"]: line for line in plan_rows(again.plan, again)["lines"]}
    assert (lines["evaluate"]["runs"], lines["evaluate"]["done"], lines["evaluate"]["needed"]) == (11, 11, 12)
    assert (lines["target"]["runs"], lines["target"]["done"]) == (6, 6)
    assert status_rows(again.plan, again)["done"] == 12


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_lost_intermediate_leaves_a_hole(tmp_path: Path, status: str) -> None:
    at = resolver(tmp_path / "store", both())
    for cell in at.plan.levels[0]:
        decide(at, cell)
    lost = at.intermediate(behind("small", "nli", 1))
    assert lost
    finish(at, at.job(lost), status)
    assert not [label for label, _ in at.ready() if label == "small / nli / tatoeba / s1"]


def test_an_evicted_intermediate_is_made_again_in_the_same_job(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", both())
    run_all(at)
    stage = at.evaluate(cells(at, "qa")[0])
    assert stage
    assert stage.parent
    at.store.evict(stage.parent)
    assert [s.kind for s in at.job(stage).stages] == ["intermediate", "evaluate"]


def test_a_hole_says_where_it_stopped(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", both())
    found = holes(collect(at), at.plan.sweep).filter(target="tatoeba")
    assert [(row["arm"], row["stage"]) for row in found.iter_rows(named=True) if row["seed"] == 1] == [
        ("none", "evaluate"),
        ("nli", "intermediate"),
        ("qa", "intermediate"),
    ]


def test_only_what_runs_is_priced() -> None:
    lines = {line.stage: line for line in estimate(build_plan(both())).lines}
    assert (lines["target"].needed, lines["target"].runs) == (6, 6)
    assert (lines["evaluate"].needed, lines["evaluate"].runs) == (12, 11)
    alone = both().model_copy(update={"targets": both().targets[1:]})
    (line,) = [line for line in estimate(build_plan(alone)).lines if line.stage == "evaluate"]
    assert line.flops == 2 * 200 * 10 * 1 * 10 * 5


def test_one_stage_of_the_baseline_gives_a_score_for_each_seed(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", both())
    run_all(at)
    records = collect(at)
    scored = [
        replace(r, manifest=replace(r.manifest, metrics={"test": {"de": {"accuracy": 50.0, "n": 10}}}))
        for r in records
        if r.manifest and r.kind == "evaluate" and r.target == "tatoeba"
    ]
    frame = scores_from_records(scored)
    assert sorted(frame.filter(arm="none")["seed"].to_list()) == [1, 2]
    assert len(frame) == 6
    base = next(r for r in scored if r.arm == "none")
    told = facts(base, manifests(scored))
    assert told.tags["xsweep.seed"] == "1,2"
    run = Run("id", "FINISHED", "1", dict(told.tags), {name: value for name, value, _ in told.metrics})
    assert scores_from_runs([run])["seed"].to_list() == [1, 2]


def test_the_pool_is_part_of_a_retrieval_stages_key_alone() -> None:
    def keyed(**fields: Any) -> Stage:
        return replace(STAGE, tasks=(task("t", labels=(), **fields),))

    assert keyed(format="retrieval").key != keyed(format="retrieval", pool="all").key
    assert keyed(format="span").key == keyed(format="span", pool="all").key
