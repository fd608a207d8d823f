from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.engine import stubs
from tests.engine.test_studies import study
from xsweep.engine.cluster import Cluster
from xsweep.engine.pool import GroupPool
from xsweep.engine.search import run_level
from xsweep.engine.studies import Suggestions
from xsweep.plan.stage import Hyper, Job
from xsweep.plan.study import Study, Trial
from xsweep.spec.sweep import Layout

pytestmark = pytest.mark.ray
STUDIES = [study("tpe", seed=0), study("quasi-random", seed=1), study("tpe", seed=2)]
DELAYS = ("0", "0.3", "0.05")


@pytest.fixture(scope="module")
def pool(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GroupPool]:
    with GroupPool(cluster, [Layout().gang], tmp_path_factory.mktemp("attempts"), stubs.RUNNER, groups=2) as started:
        yield started


class Level:
    """One call of ``run_level`` and what it told its caller."""

    def __init__(self, pool: GroupPool, scratch: Path, known: Mapping[int, Mapping[int, Trial]] | None = None) -> None:
        self.ended: dict[int, dict[int, Trial]] = {study.seed: {} for study in STUDIES}
        self.launched: list[tuple[int, Hyper]] = []
        self.threads: set[int] = set()
        self.stop = threading.Event()
        self.stop_after: int | None = None
        self.do = "wait"
        self._pool, self._scratch, self._known = pool, scratch, known or {}

    def run(self) -> dict[int, dict[int, Trial]]:
        run_level(STUDIES, self._pool, self._finished, self._job, self._on_trial, self._scratch, self.stop)
        return self.ended

    def _finished(self, study: Study) -> Mapping[int, Trial]:
        return self._known.get(study.seed, {})

    def _job(self, study: Study, hyper: Hyper) -> Job:
        self.launched.append((study.seed, hyper))
        return stubs.job(f"{self.do}:{DELAYS[study.seed]}", study.seed, hyper)

    def _on_trial(self, study: Study, trial: Trial) -> None:
        self.threads.add(threading.get_ident())
        self.ended[study.seed][trial.number] = trial
        if self.stop_after is not None and sum(map(len, self.ended.values())) >= self.stop_after:
            self.stopped = time.monotonic()
            self.stop.set()


def expected(study: Study, do: str = "wait") -> dict[int, Trial]:
    """The study played alone, one trial after the other, without Ray."""
    suggestions, done = Suggestions(study), dict[int, Trial]()
    while pending := suggestions.pending(done):
        number, hyper = pending[0]
        key = stubs.job(f"{do}:{DELAYS[study.seed]}", study.seed, hyper).key
        done[number] = Trial(number, hyper, key, "ok", stubs.score(hyper))
    return done


def test_level_equals_its_studies_played_alone(
    pool: GroupPool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    level = Level(pool, tmp_path)
    start = time.monotonic()
    ended = level.run()
    seconds = time.monotonic() - start
    printed = capfd.readouterr()
    assert ended == {study.seed: expected(study) for study in STUDIES}
    assert len(level.launched) == 24
    assert level.threads == {threading.get_ident()}
    assert list(tmp_path.iterdir()) == []
    assert (printed.out, printed.err) == ("", "")
    with capfd.disabled():
        print(f"\n24 trials of 2.8 s in all: {seconds:.1f} s through Tune")


def test_known_trials_are_not_run_again(pool: GroupPool, tmp_path: Path) -> None:
    """A restart with holes launches the missing trials alone, with the values they would have had."""
    whole = {study.seed: expected(study, "rest") for study in STUDIES}
    holes = {0: {2, 6, 7}, 1: {0, 5}, 2: set[int]()}
    known = {seed: {n: t for n, t in trials.items() if n not in holes[seed]} for seed, trials in whole.items()}
    level = Level(pool, tmp_path, known)
    level.do = "rest"
    ended = level.run()
    assert ended == {seed: {n: whole[seed][n] for n in holes[seed]} for seed in whole}
    assert len(level.launched) == 5


def test_nothing_is_started_when_all_is_known(tmp_path: Path) -> None:
    whole = {study.seed: expected(study) for study in STUDIES}
    nothing: Any = None  # neither a pool nor Ray is touched
    assert Level(nothing, tmp_path, whole).run() == {study.seed: {} for study in STUDIES}


def test_diverged_trials_are_told_and_a_killed_client_is_replaced(
    pool: GroupPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = Level(pool, tmp_path)
    level.do = "diverge"
    thread = threading.Thread(target=_kill_a_client)
    thread.start()
    ended = level.run()
    thread.join()
    assert {len(trials) for trials in ended.values()} == {8}
    assert {(t.status, t.score) for trials in ended.values() for t in trials.values()} == {("diverged", None)}


def _kill_a_client() -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for child in psutil.Process().children(recursive=True):
            try:
                if "_Client" in " ".join(child.cmdline()):
                    os.kill(child.pid, signal.SIGKILL)
                    return
            except psutil.Error:
                continue
        time.sleep(0.05)


def test_what_a_callback_raises_comes_back(cluster: Cluster, tmp_path: Path) -> None:
    class Odd(Exception):
        pass

    def on_trial(study: Study, trial: Trial) -> None:
        raise AssertionError("no trial starts")

    def job_for(study: Study, hyper: Hyper) -> Job:
        raise Odd

    with (
        GroupPool(cluster, [Layout().gang], tmp_path, stubs.RUNNER, groups=1) as pool,
        pytest.raises(Odd),
    ):
        run_level(STUDIES, pool, lambda _: {}, job_for, on_trial, tmp_path, threading.Event())


# The last test: it ends the pool.
def test_stop_leaves_trials_missing_and_ends_soon(pool: GroupPool, tmp_path: Path) -> None:
    level = Level(pool, tmp_path)
    level.do, level.stop_after = "later", 5
    ended = level.run()
    print(f"\nstopped in {time.monotonic() - level.stopped:.1f} s")
    assert 5 <= sum(map(len, ended.values())) < 24
    assert {t.status for trials in ended.values() for t in trials.values()} == {"ok"}
    assert (
        pool.submit(stubs.job("nothing", 77)).result(timeout=10)["status"] == "aborted"
    )  # last test: the pool is over
