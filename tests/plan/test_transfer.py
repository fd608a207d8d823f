"""Configurations go from a model to the next larger one; repeats of the search are searches of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.builders import space, sweep
from tests.plan.test_resolve import resolver, run_all
from xsweep.models.model import Model
from xsweep.plan.cells import Cell, build_plan
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.stage import Hyper
from xsweep.plan.transfer import regret, transferred
from xsweep.spec.sweep import Halving, Search, Space, Sweep, Transfer


def ladder(**search: Any) -> Sweep:
    """Three models of one ladder, each twice as wide as the one before, and one of none."""
    sizes = ("small", "middle", "large")
    models = [Model(name=name, id=f"org/{name}", ladder="steps", params=100) for name in sizes]
    lone = Model(name="lone", id="org/lone")
    return sweep(models=(*models, lone), search=Search(intermediate=space(8), target=space(8), **search))


def decide(at: Resolver, cell: Cell, scores: list[float | None]) -> None:
    study = at.study(cell)
    assert study
    trials = [
        {"number": n, "lr": 1e-5 * (n + 1), "epochs": n + 1, "status": "diverged" if s is None else "ok", "score": s}
        for n, s in enumerate(scores)
    ]
    at.store.decide(study.address, {"hyper": {"lr": 1e-5, "epochs": 1}, "score": 1.0, "trials": trials})


def test_the_best_go_on_with_smaller_rates() -> None:
    told: list[tuple[float, str, float | None, dict[str, int]]] = [
        (1e-4, "ok", 70.0, {}),
        (2e-4, "ok", 71.0, {}),
        (4e-4, "diverged", None, {}),
        (3e-4, "ok", 71.0, {}),
        (8e-4, "pruned", 90.0, {"until": 1}),
        (6e-4, "pruned", 80.0, {"until": 3}),
    ]
    trials = [
        {"number": number, "lr": lr, "epochs": 9, "status": status, "score": score, **stopped}
        for number, (lr, status, score, stopped) in enumerate(told)
    ]
    found = transferred({"trials": trials}, Transfer(trials=9, power=1.0), ratio=0.5)
    assert found == tuple(Hyper(lr, 9) for lr in (1e-4, 1.5e-4, 5e-5, 3e-4, 4e-4))
    assert transferred({"trials": trials}, Transfer(trials=2, power=0.5), ratio=0.25) == found[:2]


def test_a_larger_model_waits_for_the_smaller_and_tries_its_best(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", ladder(transfer=Transfer(trials=2, power=0.5)))
    small, middle, large = (at.plan.target_search(name, "none", "xnli") for name in ("small", "middle", "large"))
    assert at.study(middle) is None
    assert at.study(at.plan.target_search("lone", "none", "xnli"))
    decide(at, small, [70.0, 72.0, None, 71.0])
    study = at.study(middle)
    assert study
    assert study.space.trials == 2
    assert [(hyper.lr, hyper.epochs) for hyper in study.seeded] == [(1.41421e-05, 2), (2.82843e-05, 4)]
    assert at.study(large) is None
    decide(at, middle, [70.0, 72.0])
    assert at.study(large)


def test_levels_are_as_long_as_the_chain() -> None:
    plan = build_plan(ladder(transfer=Transfer(trials=2)))
    places = {cell: number for number, level in enumerate(plan.levels) for cell in level}
    assert len(plan.levels) == 4
    assert len(places) == 4 * (2 + 2 + 4)
    for cell in plan.searches:
        before = plan.before(cell)
        assert before is None or places[before] < places[cell]
        if cell.target and cell.arm != "none":
            assert places[plan.intermediate_search(cell.model, cell.arm)] < places[cell]


def test_everything_is_done_once_all_have_decided(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", ladder(transfer=Transfer(trials=2)))
    for level in at.plan.levels:
        for cell in level:
            decide(at, cell, [1.0, 2.0])
    run_all(at)
    assert all(record.manifest for record in collect(at) if record.role == "report")


def test_nothing_changes_for_a_search_that_transfers_nothing(tmp_path: Path) -> None:
    """Addresses are golden in the words of before: new ones are told only where they are used."""
    plain = resolver(tmp_path / "a", ladder())
    moved = resolver(tmp_path / "b", ladder(transfer=Transfer(), repeats=2))
    first = plain.plan.intermediate_search("small", "nli")
    assert plain.study(first) == moved.study(first)
    golden = plain.study(first)
    assert golden
    assert golden.address == "ea894b2db4b82fbcef7b4aabe31b410c"
    halved = resolver(tmp_path / "c", ladder(halving=Halving())).study(first)
    assert halved
    assert halved.address == "05c32ae1156f7bae4da73646c2988736"
    asynchronous = resolver(tmp_path / "d", ladder(halving=Halving(asynchronous=True))).study(first)
    assert asynchronous
    assert asynchronous.address not in (golden.address, halved.address)


def test_the_check_is_a_search_in_full_that_decides_nothing(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", ladder(transfer=Transfer(trials=2, check="middle")))
    full = at.plan.checked
    assert full == Cell("middle", "none", "xnli", 0, "check")
    assert full.label == "middle / none / xnli / in full"
    assert full in at.plan.levels[0]
    study = at.study(full)
    assert study
    assert (study.space.trials, study.seeded) == (8, ())
    assert at.cell(study) == full
    decide(at, full, [50.0] * 8)
    assert at.decided(at.plan.target_search("middle", "none", "xnli")) is None
    spent = [record for record in collect(at) if record.role == "check"]
    assert [record.trial for record in spent] == [None] * 8


def test_regret_is_the_difference_of_the_bests() -> None:
    found = regret("middle", "xnli", {"score": 70.5, "trials": [{}] * 3}, {"score": 71.0, "trials": [{}] * 16})
    assert found is not None
    assert found.points == pytest.approx(0.5)
    assert "70.50 with 3 transferred trials, 71.00 with a search of 16 in full: a regret of 0.50 points" in str(found)
    assert regret("middle", "xnli", None, {}) is None


def test_each_repeat_searches_anew_and_seeds_take_turns(tmp_path: Path) -> None:
    again = sweep(seeds=(1, 2, 3), search=Search(intermediate=space(), target=space(), repeats=2))
    at = resolver(tmp_path / "store", again)
    plan = at.plan
    assert len(set(plan.search_seeds)) == 2
    assert not set(plan.search_seeds) & {1, 2, 3}
    assert [plan.repeat(seed) for seed in (1, 2, 3, *plan.search_seeds)] == [0, 1, 0, 0, 1]
    one, other = (plan.intermediate_search("small", "nli", repeat) for repeat in (0, 1))
    assert (one.label, other.label) == ("small / nli", "small / nli / repeat 2")
    studies = at.study(one), at.study(other)
    assert studies[0]
    assert studies[1]
    assert studies[0].address != studies[1].address
    for level in plan.levels:
        for cell in level:
            study = at.study(cell)
            assert study
            hyper = {"lr": 1e-5 * (1 + cell.repeat), "epochs": 1}
            at.store.decide(
                study.address,
                {"hyper": hyper, "trials": [{"number": 0, "key": "k", "status": "ok", **hyper, "score": 1.0}]},
            )
    stages = {cell: at.target(cell) for cell in plan.cells}
    assert {(cell.seed, stage.hyper.lr) for cell, stage in stages.items() if stage and stage.hyper} == {
        (1, 1e-5), (2, 2e-5), (3, 1e-5)
    }  # fmt: skip
    assert {record.repeat for record in collect(at) if record.seed == 2} == {1}


def test_ranges_of_one_model_are_its_own(tmp_path: Path) -> None:
    own = Space.model_validate({**space().model_dump(), "models": {"large": {"epochs": {"low": 5, "high": 5}}}})
    plan = build_plan(sweep(search=Search(intermediate=own, target=space())))
    small, large = (plan.space(plan.intermediate_search(name, "nli")) for name in ("small", "large"))
    assert (small.epochs.high, large.epochs.high, large.lr) == (2, 5, small.lr)
    before = resolver(tmp_path / "a", sweep()).study(plan.intermediate_search("small", "nli"))
    after = resolver(tmp_path / "b", plan.sweep).study(plan.intermediate_search("small", "nli"))
    assert before == after
