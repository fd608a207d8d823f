from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import behind, space, sweep
from tests.plan.test_resolve import decide, finish, resolver, run_all
from xsweep.errors import StoreBusy
from xsweep.plan.garbage import collect_garbage, unneeded
from xsweep.plan.stage import Hyper
from xsweep.spec.sweep import Search


def test_of_a_finished_sweep_nothing_is_needed(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store")
    run_all(at)
    found = collect_garbage(at, dry_run=True)
    assert (len(found.weights), found.bytes) == (8, 8 * len(b"weights"))
    assert collect_garbage(at, dry_run=False) == found
    assert collect_garbage(at, dry_run=False).bytes == 0
    assert list(resolver(tmp_path / "store").ready()) == [], "results stay, so nothing is run again"
    assert len(run_all(resolver(tmp_path / "store", sweep(seeds=(1, 2, 3))))) == 28, "and an extended sweep runs"


def test_what_an_unfinished_cell_starts_from_stays(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store")
    for level in at.plan.levels:
        for cell in level:
            decide(at, cell)
    jobs = list(at.ready())
    for _, job in jobs:
        finish(at, job)
    (_, job), *_ = [(label, job) for label, job in at.ready() if label == "small / nli / xnli / s1"]
    finish(at, job)
    assert unneeded(at).weights == {}, "the other target of that arm is not scored"
    (_, job), *_ = [(label, job) for label, job in at.ready() if label == "small / nli / pawsx / s1"]
    finish(at, job)
    assert list(unneeded(at).weights) == [job.stages[0].parent]


def test_what_an_undecided_search_starts_from_stays(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store")
    for cell in at.plan.levels[0]:
        decide(at, cell)
    winner = at.intermediate(behind("small", "nli", 0))
    assert winner
    finish(at, at.job(winner))
    assert unneeded(at).weights == {}


def test_other_sweeps_are_left_alone(tmp_path: Path) -> None:
    run_all(resolver(tmp_path / "store", sweep(seeds=(5,))))
    at = resolver(tmp_path / "store")
    run_all(at)
    assert len(unneeded(at).weights) == 8


def test_a_beginning_that_a_decided_search_left_goes(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", sweep(search=Search(intermediate=space(), target=space())))
    cell = at.plan.levels[0][0]
    study = at.study(cell)
    assert study
    mine = at.trial(study, Hyper(1e-4, 1)).beginning
    for key in (mine, "another"):
        (at.store.beginning(key).path / "until-1").mkdir(parents=True)
        (at.store.beginning(key).path / "until-1" / "state").write_bytes(b"12345")
    assert unneeded(at).beginnings == {}
    hyper = {"lr": 1e-4, "epochs": 1}
    at.store.decide(study.address, {"hyper": hyper, "trials": [{"number": 0, **hyper}]})
    assert collect_garbage(at, dry_run=False).beginnings == {mine: 5}
    assert at.store.beginnings() == ["another"]


def test_not_while_a_sweep_runs(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store")
    run_all(at)
    with at.store.lease(), pytest.raises(StoreBusy):
        collect_garbage(resolver(tmp_path / "store"), dry_run=True)
