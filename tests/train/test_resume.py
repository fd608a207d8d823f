"""Killed with -9 and run again: the same bits as a run left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from tests.train.gang import run_gang, run_here
from tests.train.small import Place
from xsweep.plan.stage import Hyper, Job
from xsweep.spec.sweep import Training
from xsweep.store.store import Store

KILL = {"XSWEEP_TESTING": "1", "XSWEEP_FAILPOINT": "step:7:kill9"}


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_in_mid_epoch(place: Place, tmp_path: Path, workers: int) -> None:
    training = Training(batch_size=8, dropout=0.1)
    stage = place.stage(place.task("others"), place.model(), training=training, hyper=Hyper(1e-3, 2))
    job = Job((stage,), frozenset({stage.key}))
    calm, rough = place.context("calm"), place.context("rough", checkpoint_seconds=1e-9)
    _, undisturbed = run_here(job, calm) if workers == 1 else run_gang(workers, job, calm, tmp_path)
    with pytest.raises((ProcessExitedException, ProcessRaisedException)):
        run_gang(workers, job, rough, tmp_path, KILL)
    assert Store(rough.store).manifest(stage.key) is None
    _, steps = run_here(job, rough) if workers == 1 else run_gang(workers, job, rough, tmp_path)
    assert [step["step"] for step in steps] == [8, 9, 10]
    assert [step["loss"] for step in steps] == [step["loss"] for step in undisturbed[7:]]
    first, second = (Store(context.store).manifest(stage.key) for context in (calm, rough))
    assert first is not None
    assert second is not None
    assert first.files == second.files
    assert first.metrics == second.metrics


def test_four_workers_are_killed_and_two_go_on(place: Place, tmp_path: Path) -> None:
    """Rows are cut anew; alone, over four and over two workers a stage takes the same steps."""
    stage = place.stage(place.task("others"), place.model(), training=Training(batch_size=8), hyper=Hyper(1e-4, 2))
    job = Job((stage,), frozenset({stage.key}))
    _, alone = run_here(job, place.context("alone"))
    rough = place.context("rough", checkpoint_seconds=1e-9)
    with pytest.raises((ProcessExitedException, ProcessRaisedException)):
        run_gang(4, job, rough, tmp_path, KILL)
    _, steps = run_gang(2, job, rough, tmp_path)
    assert [step["step"] for step in steps] == [8, 9, 10]
    assert [step["loss"] for step in steps] == pytest.approx([step["loss"] for step in alone[7:]], rel=1e-6)
    manifest = Store(rough.store).manifest(stage.key)
    assert manifest is not None
    assert len(manifest.metrics["dev"]) == 2
    _, four = run_gang(4, job, place.context("four"), tmp_path)
    assert [step["loss"] for step in four] == pytest.approx([step["loss"] for step in alone], rel=1e-6)
