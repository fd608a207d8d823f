"""Stages on an object store: the same bits as in a folder, whoever goes on with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from tests.servers import S3, make_bucket, s3_server
from tests.train.gang import run_gang, run_here
from tests.train.small import Place
from xsweep.plan.stage import Hyper, Job
from xsweep.spec.sweep import Training
from xsweep.store.remote import Remote
from xsweep.store.store import Store

ADDRESS = "s3://results/pilot"

pytestmark = pytest.mark.slow  # a server that answers one call at a time is too slow on a busy machine

KILL = {"XSWEEP_TESTING": "1", "XSWEEP_FAILPOINT": "step:7:kill9"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with s3_server() as running:
        make_bucket(running, "results")
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield running


def test_killed_on_one_machine_and_ended_on_another(
    place: Place, server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints are in the bucket, so the next machine goes on where the first was killed; results are a folder's."""
    training = Training(batch_size=8, dropout=0.1)
    first = place.stage(place.task("others"), place.model(), training=training, hyper=Hyper(1e-3, 2))
    second = place.evaluate(first)
    job = Job((first, second), frozenset({first.key}))
    calm = place.context("calm")
    _, undisturbed = run_here(job, calm)
    rough = replace(place.context("rough", checkpoint_seconds=1e-9), store=ADDRESS)
    with pytest.raises((ProcessExitedException, ProcessRaisedException)):
        run_gang(1, job, rough, tmp_path, KILL)
    assert Store(ADDRESS).manifest(first.key) is None
    monkeypatch.setenv("XSWEEP_CACHE", str(tmp_path / "another machine"))
    _, steps = run_here(job, rough)
    assert [step["step"] for step in steps] == [8, 9, 10]
    assert [step["loss"] for step in steps] == [step["loss"] for step in undisturbed[7:]]
    for key in (first.key, second.key):
        local, remote = Store(calm.store).manifest(key), Store(ADDRESS).manifest(key)
        assert local is not None
        assert remote is not None
        assert remote.metrics == local.metrics
        assert {name: entry["sha256"] for name, entry in remote.files.items()} == {
            name: entry["sha256"] for name, entry in local.files.items()
        }
    assert not [name for name in Remote(ADDRESS)._bucket.sizes("stages") if "/work/" in name]


def test_a_stage_asks_little_of_the_server(place: Place, server: S3) -> None:
    """Calls are what an object store is slow at: they do not grow with steps."""
    training = Training(batch_size=8)
    few = place.stage(place.task("others"), place.model(), training=training, hyper=Hyper(1e-3, 1))
    many = place.stage(place.task("others"), place.model(), training=training, hyper=Hyper(1e-3, 4))
    counts = []
    for stage in (few, many):
        server.calls.clear()
        run_here(Job((stage,), frozenset({stage.key})), replace(place.context("x"), store=ADDRESS))
        counts.append(len(server.calls))
    assert counts[0] == counts[1]
    assert counts[0] <= 25, server.calls
