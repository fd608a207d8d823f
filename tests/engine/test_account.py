"""What a launch has spent, attempts that came to nothing included."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine import stubs
from xsweep.engine.account import record_failure
from xsweep.engine.mailbox import ended
from xsweep.plan.spending import Spending
from xsweep.spec.sweep import Budget, Layout
from xsweep.store.store import Store
from xsweep.train.record import Outcome, commit
from xsweep.train.world import World


def test_seconds_of_failed_attempts_stay_on_the_account_of_a_stage_that_succeeds_later(tmp_path: Path) -> None:
    store, (stage,) = Store(tmp_path), stubs.job().stages
    for seconds in (2.0, 3.0):
        record_failure(store, stage, ended("failed", "why", seconds=seconds))
    outcome = Outcome("ok", timings={"train": 10.0, "tokens_per_second": 9e9})
    commit(store, stage, outcome, Layout(), World.single(), lost=4.0)
    manifest = store.manifest(stage.key)
    assert manifest
    assert (manifest.status, manifest.attempt, manifest.timings["lost"], manifest.seconds) == ("ok", 3, 9.0, 19.0)
    spending = Spending(Budget(gpu_hours=1.0), 0.0, None)
    spending.count(manifest)
    assert spending.hours == pytest.approx(19 / 3600)
