"""Trials that share a stage: while one makes it the others wait, and then start from it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from tests.engine.test_studies import joint
from xsweep.engine.search import _Board, _Multiplexer
from xsweep.engine.studies import Suggestions
from xsweep.models.model import Model
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.plan.study import Study, Trial
from xsweep.spec.sweep import Training

TRIALS = 4
DONE = {"status": "ok", "score": 1.0}


class Pool:
    name = "pool"

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> Future[Any]:
        self.jobs.append(job)
        return Future()


class Level:
    """Two targets of one arm, asked for by hand; ``stored`` are the stages that have ended."""

    def __init__(self) -> None:
        self.pool, self.stored, self.ended = Pool(), set[str](), list[tuple[Study, Trial]]()
        studies = [replace(joint("random", TRIALS), target=target) for target in ("xnli", "pawsx")]
        boards = [_Board(Suggestions(study), {}) for study in studies]
        for board in boards:
            board.refresh()
        pool: Any = self.pool
        self.search = _Multiplexer(boards, pool, self.job, lambda study, trial: self.ended.append((study, trial)))

    def job(self, study: Study, hyper: Hyper) -> Job:
        model = Model(name="m", path="nowhere")
        first = Stage("intermediate", model, "print", (), {}, Training(), 0, hyper.before)
        last = Stage("target", model, "print", (), {"to": str(study.target)}, Training(), 0, hyper, parent=first.key)
        return Job((last,) if first.key in self.stored else (first, last))


def test_a_trial_waits_for_the_stage_that_another_makes() -> None:
    level = Level()
    assert all(level.search.suggest(f"a{number}") for number in range(TRIALS))
    assert level.search.suggest("b") is None, "those of the other target start from the same stages"
    level.stored.add(level.pool.jobs[2].stages[0].key)
    assert level.search.suggest("b"), "one of them lies in the store, though its trial has not ended"
    assert level.pool.jobs[-1].stages[0].parent == level.pool.jobs[2].stages[0].key
    level.search.on_trial_complete("a0", DONE)
    assert level.search.suggest("c"), "its trial was lost: it is made again, by one of those that need it"
    assert len(level.pool.jobs[-1].stages) == 2
    assert level.search.suggest("d") is None


def test_every_trial_is_suggested_once() -> None:
    level = Level()
    names = iter(range(100))
    open_: list[str] = []
    while True:
        name = f"t{next(names)}"
        config = level.search.suggest(name)
        if isinstance(config, dict):
            open_.append(name)
        elif open_:
            level.stored |= {stage.key for job in level.pool.jobs for stage in job.stages}
            level.search.on_trial_complete(open_.pop(0), DONE)
        else:
            assert config == "FINISHED"
            break
    assert len(level.ended) == 2 * TRIALS
    assert len({job.key for job in level.pool.jobs}) == 2 * TRIALS
    made = [stage.key for job in level.pool.jobs for stage in job.stages]
    assert len(made) == len(set(made)) == 3 * TRIALS
