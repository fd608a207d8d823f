from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.builders import sweep
from tests.plan.test_resolve import decide, resolver, run_all
from xsweep.engine.progress import PRETRAINING, REPORTING, SEARCHING, Progress, to_do


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_rest_takes_what_its_like_took_at_the_pace_of_the_groups() -> None:
    clock = Clock()
    progress = Progress(Counter({(SEARCHING, "a"): 3, (REPORTING, "a"): 2}), clock)
    assert progress.left() is None
    clock.now = 10.0
    progress.ended((SEARCHING, "a"), 10.0)
    progress.ended((SEARCHING, "a"), 10.0)  # two groups: 20 seconds of work in 10
    assert (progress.done, progress.total) == (2, 5)
    assert progress.left() == 0.5 * (1 * 10 + 2 * 10)
    progress.ended((REPORTING, "a"), 40.0)
    assert progress.of(REPORTING) == 1


def test_hours_count_every_gpu_of_a_group() -> None:
    progress = Progress(Counter({(SEARCHING, "a"): 2, (SEARCHING, "b"): 1}), Clock(), each={"a": 4.0})
    assert progress.hours() == (0.0, None)
    progress.ended((SEARCHING, "a"), 1800.0)
    assert progress.hours() == (2.0, 2.0 + 2.0 + 0.5), "b is guessed from a, on the one worker that it has"
    job = progress.running("x", 7.0, (SEARCHING, "a"), 500.0)
    assert (job.usual, job.rate) == (1800.0, 500.0)
    assert progress.running("y", 7.0, (SEARCHING, "b")).rate is None


def test_nothing_is_guessed_from_pretraining() -> None:
    progress = Progress(Counter({(PRETRAINING, "a"): 1, (SEARCHING, "a"): 1}), Clock())
    progress.ended((PRETRAINING, "a"), 100.0)
    assert progress.left() is None


def test_more_jobs_than_were_foreseen_do_no_harm() -> None:
    progress = Progress(Counter({(SEARCHING, "a"): 1}))
    for _ in range(3):
        progress.ended((SEARCHING, "a"), 1.0)
    assert (progress.done, progress.left()) == (1, 0.0)


def test_what_is_to_do_shrinks_to_nothing(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", sweep())
    fresh = to_do(at, {})
    assert fresh[SEARCHING, "small"] == 2 * (2 + 2 + 4), "trials of two arms, two baselines, four targets of arms"
    assert fresh[REPORTING, "small"] == 2 * 2 + 3 * 2 * 2, "intermediates of two arms, cells"
    for cell in at.plan.levels[0]:
        decide(at, cell)
    study = at.study(at.plan.levels[0][0])
    assert study
    assert to_do(at, {})[SEARCHING, "small"] <= fresh[SEARCHING, "small"] - 8
    run_all(at)
    assert to_do(at, {}).total() == 0
