"""All studies of one level in one Ray Tune run, whose trials are thin clients of the pool."""

from __future__ import annotations

import queue
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from xsweep.engine.mailbox import LOST
from xsweep.engine.pool import GroupPool
from xsweep.engine.studies import Suggestions
from xsweep.engine.worker import describe
from xsweep.errors import EnvironmentProblem
from xsweep.plan.stage import Hyper, Job
from xsweep.plan.study import Study, Trial

_STOP_SECONDS = 3.0
_LOST_CLIENTS = 100
"""More than accidents: Ray can not run clients here."""


@dataclass
class _Board:
    """One study under way."""

    suggestions: Suggestions
    finished: dict[int, Trial]
    running: set[int] = field(default_factory=set)
    todo: list[tuple[int, Hyper]] = field(default_factory=list)

    def refresh(self) -> None:
        """Look for trials that may start, after one has ended."""
        pending = self.suggestions.pending(self.finished)
        self.todo = [(number, hyper) for number, hyper in pending if number not in self.running]


class _Client(tune.Trainable):
    """A trial as Tune sees it: it waits for a job that the pool runs. One actor serves trial after trial."""

    def setup(self, config: dict[str, Any]) -> None:
        self._mailbox: Any = ray.get_actor(config["mailbox"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.config = new_config
        return True

    def step(self) -> dict[str, Any]:
        result = ray.get(self._mailbox.wait.remote(self.config["key"]))
        scores = [outcome.get("score") for outcome in result["outcomes"][-1:]]
        return {"status": result["status"], "score": next(iter(scores), None), "done": True}


class _Multiplexer(Searcher):
    """Asks all studies in turn. A suggestion's job is in the pool's queue before Tune has a client for it.

    That way the groups never wait for Tune: it keeps one finished trial's actor for the next trial and
    starts others late or not at all, so with short jobs one client serves several groups.
    """

    def __init__(
        self,
        boards: Sequence[_Board],
        pool: GroupPool,
        job_for: Callable[[Study, Hyper], Job],
        ended: Callable[[Study, Trial], None],
    ) -> None:
        super().__init__()
        self.over = False
        self.error: Exception | None = None
        self._boards = boards
        self._pool = pool
        self._job_for = job_for
        self._ended = ended
        self._lost_clients = 0
        self._open: dict[str, tuple[_Board, int, Hyper, Job]] = {}

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial, of the first study that has one; None while all wait for results."""
        if self.over:
            return str(Searcher.FINISHED)
        try:
            found = self._next()
            if found is None:
                return None if self._open else str(Searcher.FINISHED)
            board, number, hyper, job = found
            self._pool.submit(job)
        except Exception as error:
            self.over, self.error = True, error
            return str(Searcher.FINISHED)
        board.todo.remove((number, hyper))
        board.running.add(number)
        self._open[trial_id] = (board, number, hyper, job)
        return {"mailbox": self._pool.name, "key": job.key}

    def _next(self) -> tuple[_Board, int, Hyper, Job] | None:
        """The first trial that no open one makes a stage of: what is made once may be asked for by several."""
        making = {stage.key for _, _, _, job in self._open.values() for stage in job.stages[:-1]}
        for board in self._boards:
            for number, hyper in board.todo:
                job = self._job_for(board.suggestions.study, hyper)
                if not making.intersection(stage.key for stage in job.stages[:-1]):
                    return board, number, hyper, job
        return None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take a result in; a trial whose client was lost is suggested again and finds its job as it is."""
        board, number, hyper, job = self._open.pop(trial_id)
        board.running.discard(number)
        if error or not result or "status" not in result:
            self._lost_clients += 1
            self.over = self.over or self._lost_clients > _LOST_CLIENTS
            board.refresh()
            return
        if result["status"] in ("aborted", LOST):
            self.over = True
            return
        trial = Trial(number, hyper, job.key, result["status"], result["score"])
        board.finished[number] = trial
        board.refresh()
        self._ended(board.suggestions.study, trial)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher for a restore that is never made."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a run starts from the store."""


def run_level(
    studies: Sequence[Study],
    pool: GroupPool,
    finished: Callable[[Study], Mapping[int, Trial]],
    job_for: Callable[[Study, Hyper], Job],
    on_trial: Callable[[Study, Trial], None],
    scratch: Path,
    stop: threading.Event,
    halted: Callable[[], bool] = lambda: False,
) -> None:
    """Run the trials of ``studies`` that ``finished`` does not know, and call ``on_trial`` as each ends.

    ``on_trial`` runs in the calling thread, in the order in which trials end; ``job_for`` in another one.
    When ``stop`` is set the pool is aborted and the function returns with trials missing; so it does when
    ``halted`` says that the pool was drained, once those that ran have ended. All else that
    keeps it from running every trial raises: what the callbacks raise, or EnvironmentProblem. Nothing but
    ``scratch`` is written to, and that is left as it was.
    """
    boards = [_Board(Suggestions(study), dict(finished(study))) for study in studies]
    for board in boards:
        board.refresh()
    if not any(board.todo for board in boards):
        return
    events: queue.SimpleQueue[tuple[Study, Trial]] = queue.SimpleQueue()
    multiplexer = _Multiplexer(boards, pool, job_for, lambda study, trial: events.put((study, trial)))
    run = _TuneRun(multiplexer, pool, scratch)
    try:
        _drain(run, pool, events, on_trial, stop)
    except BaseException:
        multiplexer.over = True
        pool.abort("the search broke off")
        raise
    finally:
        run.clean()
    if stop.is_set() or (halted() and not pool.problem):
        return
    problem = pool.problem or multiplexer.error or run.error
    if problem is not None:
        raise problem
    if any(board.suggestions.pending(board.finished) for board in boards):
        raise EnvironmentProblem("Ray Tune ended before its trials did; run the same command again to go on")


def _drain(
    run: _TuneRun,
    pool: GroupPool,
    events: queue.SimpleQueue[tuple[Study, Trial]],
    on_trial: Callable[[Study, Trial], None],
    stop: threading.Event,
) -> None:
    """Hand on what ends until Tune does; once stopped or broken, Tune has a moment to follow."""
    last: float | None = None
    while run.alive() or not events.empty():
        try:
            on_trial(*events.get(timeout=0.1))
        except queue.Empty:
            if last is not None and time.monotonic() > last:
                return
        if last is None and (stop.is_set() or pool.problem):
            last = time.monotonic() + _STOP_SECONDS
            run.multiplexer.over = True
            pool.abort()


class _TuneRun:
    """Tune at work in a thread of its own, so that signals and a dead cluster reach the caller."""

    def __init__(self, multiplexer: _Multiplexer, pool: GroupPool, scratch: Path) -> None:
        self.multiplexer = multiplexer
        self.error: EnvironmentProblem | None = None
        self._groups = pool.groups
        self._scratch = scratch
        self._name = f"level-{uuid.uuid4().hex[:8]}"
        self._thread = pool.cluster.thread(self._fit)

    def alive(self) -> bool:
        """Whether Tune has not ended."""
        return self._thread.is_alive()

    def clean(self) -> None:
        """Remove Tune's files."""
        shutil.rmtree(self._scratch / self._name, ignore_errors=True)

    def _fit(self) -> None:
        try:
            self._tuner().fit()
        except BaseException as error:  # Ray raises SystemExit in a waiting thread when it is shut down
            self.error = EnvironmentProblem(f"Ray Tune ended: {describe(error)}")

    def _tuner(self) -> Any:
        # Clients are bounded by a share of a resource that every head has, and so stay there. A limit on
        # concurrent trials would make Tune start an actor per trial, for it never stages one ahead.
        share = 0.9 / (self._groups + 1)
        return tune.Tuner(
            tune.with_resources(_Client, {"node:__internal_head__": share}),
            tune_config=tune.TuneConfig(
                search_alg=self.multiplexer,
                num_samples=10**9,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name=self._name,
                storage_path=str(self._scratch),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=-1),  # a lost client attaches to its job again
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
