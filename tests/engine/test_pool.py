from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.engine import stubs
from xsweep.engine.cluster import Cluster
from xsweep.engine.pool import GroupPool
from xsweep.errors import EnvironmentProblem
from xsweep.plan.stage import Job
from xsweep.spec.sweep import Layout

pytestmark = pytest.mark.ray
LIMIT = 500.0
"""Seconds before a hang is called one; far more than anything takes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where stubs leave a file per attempt and rank: KEY.ATTEMPT.RANK, holding the pid and the start."""
    return tmp_path_factory.mktemp("attempts")


@pytest.fixture(scope="module")
def pool(cluster: Cluster, folder: Path) -> Iterator[GroupPool]:
    with GroupPool(cluster, [Layout().gang], folder, stubs.RUNNER, groups=2, silence=12.0) as started:
        yield started


@pytest.fixture(scope="module")
def pair(cluster: Cluster, folder: Path) -> Iterator[GroupPool]:
    with GroupPool(cluster, [Layout(workers=2).gang], folder, stubs.RUNNER, groups=1, renew=2) as started:
        yield started


def get(future: Future[dict[str, Any]]) -> dict[str, Any]:
    return future.result(timeout=LIMIT)


def gang(do: str, seed: int) -> Job:
    """A stub of two workers."""
    return replace(stubs.job(do, seed), layout=Layout(workers=2))


def attempts(folder: Path, job: Job) -> int:
    return len(list(folder.glob(f"{job.key}.*.0")))


def pid_of(folder: Path, job: Job) -> int:
    end = time.monotonic() + LIMIT
    path = folder / f"{job.key}.0.0"
    while time.monotonic() < end:
        if path.is_file() and path.read_text():
            return int(path.read_text().split()[0])
        time.sleep(0.05)
    raise AssertionError("the job did not start")


def test_jobs_resolve_and_equal_keys_run_once(pool: GroupPool, folder: Path) -> None:
    jobs = [stubs.job("nothing", seed) for seed in range(6)]
    futures = [pool.submit(job) for job in jobs]
    assert pool.submit(stubs.job("nothing", 0)) is futures[0]
    results = [get(future) for future in futures]
    assert [r["status"] for r in results] == ["ok"] * 6
    assert [r["outcomes"][0]["key"] for r in results] == [job.key for job in jobs]
    assert all(attempts(folder, job) == 1 for job in jobs)
    assert pool.result(jobs[3].key) == results[3]


def test_what_raises_or_diverges_is_recorded_and_the_rest_goes_on(pool: GroupPool) -> None:
    failed, diverged, fine = (pool.submit(stubs.job(do, 1)) for do in ("raise", "diverge", "nothing"))
    assert get(failed)["status"] == "failed"
    assert get(failed)["error"] == "ValueError"
    assert get(failed)["reason"].startswith("ValueError: no such luck (stubs.py:")
    assert (get(diverged)["status"], get(diverged)["reason"]) == ("diverged", "loss is not finite")
    assert get(fine)["status"] == "ok"


def test_two_groups_work_at_once(pool: GroupPool) -> None:
    """Each of the two jobs ends only once the other has started."""
    futures = [pool.submit(stubs.job("meet", seed)) for seed in (2, 3)]
    assert {get(future)["group"] for future in futures} == {0, 1}
    assert [get(future)["status"] for future in futures] == ["ok", "ok"]


def test_killed_worker_is_replaced_and_its_job_run_again(pool: GroupPool, folder: Path) -> None:
    job = stubs.job("hang")
    future = pool.submit(job)
    os.kill(pid_of(folder, job), signal.SIGKILL)
    others = [pool.submit(stubs.job("nothing", seed)) for seed in range(20, 24)]
    start = time.monotonic()
    assert get(future)["status"] == "ok"
    print(f"\nback after {time.monotonic() - start:.1f} s")
    assert attempts(folder, job) == 2
    assert [get(other)["status"] for other in others] == ["ok"] * 4


def test_stopped_worker_is_ended_and_its_job_run_again(pool: GroupPool, folder: Path) -> None:
    job = stubs.job("hang", 1)
    future = pool.submit(job)
    os.kill(pid := pid_of(folder, job), signal.SIGSTOP)
    start = time.monotonic()
    assert get(future)["status"] == "ok"
    print(f"\nback after {time.monotonic() - start:.1f} s")
    assert attempts(folder, job) == 2
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_worker_stuck_at_a_step_is_ended_and_its_job_run_again(pool: GroupPool, folder: Path) -> None:
    job = stubs.job("stick")
    assert get(pool.submit(job))["status"] == "ok"
    assert attempts(folder, job) == 2


def test_job_that_always_kills_its_worker_is_given_up(pool: GroupPool, cluster: Cluster, folder: Path) -> None:
    job = stubs.job("die")
    future, other = pool.submit(job), pool.submit(stubs.job("nothing", 30))
    assert get(other)["status"] == "ok"
    result = get(future)
    assert (result["status"], result["error"]) == ("failed", "WorkerDied")
    assert "3 times" in result["reason"]
    assert attempts(folder, job) == 3
    assert cluster.kept is not None
    assert cluster.kept.is_dir()
    assert get(pool.submit(stubs.job("nothing", 31)))["status"] == "ok"


def test_gap_between_short_jobs(pool: GroupPool, folder: Path) -> None:
    jobs = [stubs.job("nothing", seed) for seed in range(100, 140)]
    for future in [pool.submit(job) for job in jobs]:
        get(future)
    starts: dict[str, list[float]] = {}
    for job in jobs:
        pid, start = (folder / f"{job.key}.0.0").read_text().split()
        starts.setdefault(pid, []).append(float(start))
    gaps = [b - a for times in starts.values() for a, b in zip(sorted(times), sorted(times)[1:], strict=False)]
    print(f"\nmedian gap {1000 * statistics.median(gaps):.1f} ms")
    assert len(gaps) >= 38


def test_two_workers_share_a_job(pair: GroupPool, folder: Path) -> None:
    result = get(pair.submit(gang("sum", 5)))
    assert result["outcomes"][0]["score"] == 11.0  # (0 + 5) + (1 + 5)
    failed = gang("raise-last", 1)
    after = pair.submit(gang("sum", 6))
    result = get(pair.submit(failed))
    assert (result["status"], result["error"]) == ("failed", "ValueError")
    assert "bad rank" in result["reason"]
    assert get(after)["outcomes"][0]["score"] == 13.0
    assert get(pair.submit(gang("sum", 7)))["outcomes"][0]["score"] == 15.0  # after the group's new start
    assert attempts(folder, failed) == 1
    assert [get(pair.submit(gang("sum", seed)))["outcomes"][0]["score"] for seed in (8, 9)] == [17.0, 19.0]
    pids = [pid_of(folder, gang("sum", seed)) for seed in range(5, 10)]
    assert (pids[0], pids[2]) == (pids[1], pids[3])
    assert len(set(pids)) == 3, "after a failure and after two jobs the group starts anew"
    with pytest.raises(ValueError, match="no groups of"):
        pair.submit(stubs.job())


def test_workers_that_share_a_job_stop_after_the_same_step(pair: GroupPool, folder: Path) -> None:
    job = gang("steps", 1)
    future = pair.submit(job)
    pid_of(folder, job)
    pair.abort()
    assert get(future)["status"] == "aborted"
    end = time.monotonic() + LIMIT
    while len(list(folder.glob(f"{job.key}.left.*"))) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_closed_pool_aborts_what_waits(cluster: Cluster, folder: Path) -> None:
    with GroupPool(cluster, [Layout().gang], folder, stubs.RUNNER, groups=1) as pool:
        futures = [pool.submit(stubs.job("wait:60", seed)) for seed in (50, 51)]
        pool.abort()
        assert [get(future)["status"] for future in futures] == ["aborted"] * 2
        assert get(pool.submit(stubs.job("nothing", 52)))["status"] == "aborted"


def test_two_gangs_that_do_not_fit_side_by_side_take_turns(cluster: Cluster, folder: Path) -> None:
    """The large one goes first and leaves; jobs of either are run by groups of their own size."""
    with GroupPool(cluster, [Layout(workers=2).gang, Layout().gang], folder, stubs.RUNNER, groups=1) as pool:
        jobs = [gang("sum", 80 + n) for n in range(2)] + [stubs.job("sum", 90 + n) for n in range(2)]
        results = [get(future) for future in [pool.submit(job) for job in jobs]]
    assert [result["outcomes"][0]["score"] for result in results] == [161.0, 163.0, 90.0, 91.0]
    assert len({result["group"] for result in results}) >= 2


def test_job_that_runs_out_of_memory_is_run_again_in_smaller_micro_batches(pool: GroupPool, folder: Path) -> None:
    once, always = stubs.job("oom:3000", 1), stubs.job("oom:1", 2)
    futures = [pool.submit(job) for job in (once, always)]
    assert (get(futures[0])["status"], attempts(folder, once)) == ("ok", 2)
    assert get(futures[0])["outcomes"][0]["score"] == 2048.0
    assert (get(futures[1])["error"], attempts(folder, always)) == ("OutOfMemoryError", 3)
    assert "halved 2 times, to 1024 tokens" in get(futures[1])["reason"]


@pytest.mark.slow
def test_runner_that_can_not_be_imported_ends_all(cluster: Cluster, folder: Path) -> None:
    with GroupPool(cluster, [Layout().gang], folder, "tests.engine.stubs:absent", groups=1) as pool:
        future = pool.submit(stubs.job("nothing", 60))
        with pytest.raises(EnvironmentProblem, match="AttributeError"):
            get(future)
        assert pool.problem is not None
        with pytest.raises(EnvironmentProblem):
            get(pool.submit(stubs.job("nothing", 61)))
