"""Diverged stages opened again, with the launch that needs no Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import sweep
from tests.engine.test_launch import Play, _no_ray, searched  # noqa: F401  the fixture is for every test here
from xsweep.engine.retry import reopen
from xsweep.errors import StoreBusy
from xsweep.plan.records import collect
from xsweep.plan.stage import Hyper
from xsweep.store.store import Store


def diverge(store: Store, key: str) -> None:
    """Make it look as if the stage had ended without finite numbers."""
    manifest = store.manifest(key)
    assert manifest
    path = store.folder(key) / "manifest.json"
    path.write_bytes(replace(manifest, status="diverged", reason="the loss was not finite", files={}).to_json())


def test_reported_stages_that_diverged_are_tried_once_more_and_nothing_else(tmp_path: Path) -> None:
    of = sweep(search=searched())
    first = Play(tmp_path, of)
    lost = {record.key for record in collect(first.resolver)
            if record.role == "report" and record.kind in ("target", "evaluate") and record.seed == 2
            and record.arm == "nli" and record.key}  # fmt: skip
    for key in lost:
        diverge(first.resolver.store, key)
    assert Play(tmp_path, of).pool.ran == [], "a run leaves them alone"
    assert reopen(first.resolver) == len(lost) == 8
    again = Play(tmp_path, of)
    assert {stage.key for stage in again.pool.ran} == lost
    assert again.done == 24
    assert {first.resolver.store.manifest(key).attempt for key in lost} == {2}  # type: ignore[union-attr]
    assert reopen(first.resolver) == 0


def test_a_search_without_a_decision_is_opened_and_a_decided_one_is_not(tmp_path: Path) -> None:
    of = sweep(search=searched())
    first = Play(tmp_path, of)
    store, plan = first.resolver.store, first.resolver.plan
    cell = plan.target_search("small", "none", "xnli")
    study = first.resolver.study(cell)
    assert study
    decision = store.decision(study.address)
    assert decision
    hypers = [Hyper(trial["lr"], trial["epochs"]) for trial in decision["trials"]]
    keys = [first.resolver.trial(study, hyper).key for hyper in hypers]
    for key in keys:
        diverge(store, key)
    assert reopen(first.resolver) == 0
    (store.root / "decisions" / f"{study.address}.json").unlink()
    assert reopen(Play(tmp_path / "other", of).resolver) == 0
    assert reopen(type(first.resolver)(plan, first.resolver.prints, store)) == len(keys) == 4
    assert Play(tmp_path, of).resolver.store.decision(study.address) == decision


def test_not_while_a_sweep_runs(tmp_path: Path) -> None:
    first = Play(tmp_path, sweep(search=searched()))
    with first.resolver.store.lease(), pytest.raises(StoreBusy):
        reopen(first.resolver)
