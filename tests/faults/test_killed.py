"""Killed with -9 at every failpoint, every time that it is come by; run again, the store holds the same results.

Row 4 of the fault table without Ray: the stages themselves, a study's decision, the tracking store, the lease. With Ray
it is ``tests/test_end_to_end.py`` and the soak.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.builders import sweep
from tests.engine.test_launch import Play, play, searched
from tests.faults.points import points
from tests.train.gang import run_here
from tests.train.small import Place
from xsweep.engine import searches
from xsweep.errors import StoreFull
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Training
from xsweep.store import failpoint
from xsweep.store.store import Store

STORING = [point for point in points("store", "train") if not point.startswith(("lease.", "decision."))]


def dies(body: Callable[..., object], *arguments: object, at: str) -> bool:
    """Whether a process of its own that calls ``body`` is killed at the failpoint ``at``."""
    multiprocessing.set_forkserver_preload([__name__])
    process = multiprocessing.get_context("forkserver").Process(target=_armed, args=(at, body, arguments))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"{at}: exit {process.exitcode}"
    return process.exitcode != 0


def _armed(at: str, body: Callable[..., object], arguments: tuple[object, ...]) -> None:
    os.environ.update(XSWEEP_TESTING="1", XSWEEP_FAILPOINT=at)
    os.fsync = lambda fd: None  # what a killed process wrote is there; only a machine that goes down needs more
    body(*arguments)


def held(root: Path | str) -> dict[str, Any]:
    """All that counts in a store: statuses, metrics and digests by key; no file may be left half written."""
    left = [path for path in Path(root).rglob(".*") if path.is_file() and "work" not in path.parts]
    assert left == []
    return {
        manifest.key: (manifest.status, manifest.metrics, dict(manifest.files), manifest.attempt)
        for manifest in Store(root).manifests()
    }


@pytest.fixture
def job(place: Place) -> Job:
    """An intermediate stage, a target that starts from it, and its scores: two steps each."""
    training = Training(batch_size=32, dropout=0.1)
    how: Any = {"training": training, "hyper": Hyper(1e-3, 1)}
    first = place.stage(place.task("others"), place.model(), kind="intermediate", **how)
    second: Stage = place.stage(place.task("pairs"), place.model(), parent=first.key, examples=64, **how)
    return Job((first, second, place.evaluate(second)), frozenset({first.key, second.key}))


def test_the_failpoints_are_where_a_process_may_die() -> None:
    assert {"file.before_rename", "move.after_rename", "manifest.before", "manifest.after", "checkpoint.tensors",
            "checkpoint.whole", "stage.trained", "stage.predicted"} <= set(STORING)  # fmt: skip
    assert {"lease.locked", "decision.before", "tracking.begun", "tracking.told"} <= set(points("store", "tracking"))


ALL = range(1, 100)
"""Every time that a point is come by; some seconds for each."""


@pytest.mark.parametrize("numbers", [(1, 5), pytest.param(ALL, marks=pytest.mark.slow)], ids=["two", "every"])
@pytest.mark.parametrize("point", STORING)
def test_a_stage_killed_anywhere_comes_to_the_same(
    place: Place,
    job: Job,
    point: str,
    numbers: Sequence[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    calm = place.context("calm")
    run_here(job, calm)
    expected, killed = held(calm.store), 0
    for number in numbers:
        rough = place.context(f"rough-{number}", checkpoint_seconds=1e-9)
        if not dies(run_here, job, rough, at=f"{point}:kill9@{number}"):
            break
        run_here(job, rough)
        assert held(rough.store) == expected, f"killed at {point}, time {number}"
        killed += 1
    assert killed, f"{point} is never come by"
    print(f"\n{point}: killed {killed} times")


@pytest.mark.parametrize("point", ["file.before_rename", "move.before_rename", "manifest.before", "checkpoint.tensors"])
def test_a_disk_that_fills_up_anywhere_is_one_line_and_then_the_same(
    place: Place,
    job: Job,
    point: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setenv("XSWEEP_TESTING", "1")
    calm = place.context("calm")
    run_here(job, calm)
    expected = held(calm.store)
    for number in range(1, 100):
        rough = place.context(f"rough-{number}", checkpoint_seconds=1e-9)
        monkeypatch.setenv("XSWEEP_FAILPOINT", f"{point}:full@{number}")
        failpoint._passed.clear()
        try:
            run_here(job, rough)
        except StoreFull as full:
            said = str(full)
        else:
            break
        assert "no space left; free some and run the same command again" in said
        monkeypatch.delenv("XSWEEP_FAILPOINT")
        run_here(job, rough)
        assert held(rough.store) == expected, f"full at {point}, time {number}"
    assert number > 1


def launch(folder: Path) -> None:
    """A launch whose jobs end at once: what it leaves are manifests and decisions."""
    searches.run_level = play  # type: ignore[assignment, attr-defined]  # this process alone, which is about to end
    Play(folder, sweep(search=searched()))


@pytest.mark.parametrize("point", ["decision.before", "decision.after"])
def test_a_driver_killed_at_a_decision_decides_the_same(
    tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr(searches, "run_level", play)
    launch(tmp_path / "calm")
    expected = {path.name: path.read_bytes() for path in (tmp_path / "calm" / "decisions").iterdir()}
    for number in (1, 2, len(expected)):
        rough = tmp_path / f"rough-{number}"
        assert dies(launch, rough, at=f"{point}:kill9@{number}")
        launch(rough)
        assert {path.name: path.read_bytes() for path in (rough / "decisions").iterdir()} == expected
        assert json.dumps(sorted(map(str, held(rough)))) == json.dumps(sorted(map(str, held(tmp_path / "calm"))))


def lease(root: Path) -> None:
    with Store(root).lease():
        pass


@pytest.mark.parametrize("point", ["lease.locked", "lease.named"])
def test_a_driver_killed_with_the_lease_blocks_nobody(tmp_path: Path, point: str) -> None:
    assert dies(lease, tmp_path, at=f"{point}:kill9")
    lease(tmp_path)
