"""What a study tries next, and what it decides: functions of its seed and its finished trials alone."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from xsweep.plan.halving import Bracket
from xsweep.plan.stage import Hyper
from xsweep.plan.study import Study, Trial
from xsweep.spec.sweep import Space

_COUNTING = ("ok", "degenerate")
_DIGITS = 6


class Suggestions:
    """The trials of one study, numbered from 0.

    Points come from the study's seed, not from its address: two arms with the same space are tried at the
    same points (TPE: in its first batch), and a study that is given more trials begins with those it had.
    Random and quasi-random points are known from the start. TPE asks for ``study.batch`` trials at a time,
    a function of all trials of the batches before in trial order, so neither timing nor a restart matters.
    Configurations taken from a smaller model come first, and in place of as many points. Under halving a trial is
    run more than once, and what is numbered are runs: see ``xsweep.plan.halving``.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._known: list[Hyper] = []
        if study.sampler == "quasi-random":
            self._known = _sobol(study)
        elif study.sampler == "random":
            self._known = _ask(study, _random_sampler(_seed(study, 0)), (), study.space.trials)
        if study.sampler != "tpe":
            self._known = [*study.seeded, *self._known][: study.space.trials]
        self._bracket = Bracket(study.halving, self._known) if study.halving else None
        self._batches: dict[tuple[Trial, ...], list[Hyper]] = {}

    def pending(self, finished: Mapping[int, Trial]) -> list[tuple[int, Hyper]]:
        """Numbers and values of the runs that are not finished and may start now, in order."""
        if self._bracket is not None:
            return self._bracket.pending(finished)
        return [(number, hyper) for number, hyper in enumerate(self._open(finished)) if number not in finished]

    def _open(self, finished: Mapping[int, Trial]) -> list[Hyper]:
        """Every suggestion that can be made by now, finished or not."""
        study = self.study
        if study.sampler != "tpe":
            return self._known
        found: list[Hyper] = list(study.seeded[: study.space.trials])
        while len(found) < study.space.trials and all(number in finished for number in range(len(found))):
            history = tuple(finished[number] for number in range(len(found)))
            if history not in self._batches:
                count = min(study.batch, study.space.trials - len(found))
                sampler = _tpe_sampler(_seed(study, len(found) // study.batch), study.batch)
                self._batches[history] = _ask(study, sampler, history, count)
            found += self._batches[history]
        return found

    def decide(self, finished: Mapping[int, Trial]) -> dict[str, Any] | None:
        """The study's decision, given all its runs: see ``decide``."""
        trials, before = self._bracket.trials(finished) if self._bracket else (list(finished.values()), [])
        return decide(self.study, trials, before)


def left_behind(study: Study, finished: Mapping[int, Trial]) -> list[Trial]:
    """The runs, under halving, of trials that are known to go no further."""
    pending, trials = Suggestions(study).pending(finished), study.space.trials
    if not pending:
        return []
    rung = pending[0][0] // trials
    alive = {number % trials for number, _ in pending} | {n % trials for n in finished if n // trials == rung}
    return [trial for number, trial in sorted(finished.items()) if number % trials not in alive]


def decide(study: Study, trials: Iterable[Trial], before: Iterable[Trial] = ()) -> dict[str, Any] | None:
    """The study's decision, fit for the store: the best finite score, the lower number among equals.

    Only trials with status "ok" or "degenerate" count; None when there is none. ``before`` are runs of trials that
    went on from them.
    """
    ordered = sorted(trials, key=lambda trial: trial.number)
    counting = [trial for trial in ordered if trial.status in _COUNTING and _finite(trial.score) is not None]
    if not counting:
        return None
    best = max(counting, key=lambda trial: (trial.score, -trial.number))
    return {
        "study": study.label,
        "hyper": {"lr": best.hyper.lr, "epochs": best.hyper.epochs},
        "trial": best.number,
        "key": best.key,
        "score": best.score,
        "trials": [_told_of(trial) for trial in ordered],
        **({"rungs": [_told_of(run) for run in before]} if study.halving else {}),
    }


def _told_of(trial: Trial) -> dict[str, Any]:
    """A trial in a decision."""
    stopped = {} if trial.hyper.until is None else {"until": trial.hyper.until}
    return {
        "number": trial.number,
        "lr": trial.hyper.lr,
        "epochs": trial.hyper.epochs,
        **stopped,
        "key": trial.key,
        "status": trial.status,
        "score": _finite(trial.score),
    }


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None


def _seed(study: Study, batch: int) -> int:
    """A 32-bit seed for one batch of one study."""
    return int.from_bytes(hashlib.sha256(f"{study.seed}/{study.sampler}/{batch}".encode()).digest()[:4], "big")


def _hyper(space: Space, lr: float, epochs: int) -> Hyper:
    """Learning rates keep 6 significant digits, so that keys and tables are readable and stable."""
    return Hyper(lr=min(max(float(f"{lr:.{_DIGITS}g}"), space.lr.low), space.lr.high), epochs=epochs)


def _sobol(study: Study) -> list[Hyper]:
    """A scrambled Sobol sequence over (log lr, epochs); a longer one begins with the shorter one."""
    import numpy as np
    from scipy.stats import qmc

    space = study.space
    sequence = qmc.Sobol(d=2, scramble=True, rng=np.random.default_rng(_seed(study, 0)))
    points = sequence.random_base2(max(0, math.ceil(math.log2(space.trials))))[: space.trials]
    low, high = math.log(space.lr.low), math.log(space.lr.high)
    width = space.epochs.high - space.epochs.low + 1
    return [
        _hyper(space, math.exp(low + x * (high - low)), min(space.epochs.low + int(y * width), space.epochs.high))
        for x, y in points.tolist()
    ]


def _random_sampler(seed: int) -> Any:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _tpe_sampler(seed: int, batch: int) -> Any:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # The first batch is random. Trials asked for together count as bad where they are, so they spread.
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=batch, multivariate=True, constant_liar=True)


def _ask(study: Study, sampler: Any, history: tuple[Trial, ...], count: int) -> list[Hyper]:
    """The next ``count`` suggestions of a sampler that has seen ``history`` and nothing else."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = study.space
    distributions = {
        "lr": optuna.distributions.FloatDistribution(space.lr.low, space.lr.high, log=True),
        "epochs": optuna.distributions.IntDistribution(space.epochs.low, space.epochs.high),
    }
    memory = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in history:
        memory.add_trial(_told(trial, distributions))
    asked = [memory.ask(distributions) for _ in range(count)]
    return [_hyper(space, trial.params["lr"], trial.params["epochs"]) for trial in asked]


def _told(trial: Trial, distributions: Mapping[str, Any]) -> Any:
    """A finished trial in Optuna's words: one without a score that counts is worse than any with one."""
    import optuna

    score = _finite(trial.score) if trial.status in _COUNTING else None
    unknown = trial.status == "failed"  # says nothing about its point
    states = optuna.trial.TrialState
    # What was taken from a smaller model may lie outside.
    inside = {
        name: min(max(getattr(trial.hyper, name), distributions[name].low), distributions[name].high)
        for name in distributions
    }
    state = states.COMPLETE if score is not None else states.FAIL if unknown else states.PRUNED
    return optuna.trial.create_trial(
        state=state,
        value=score,
        params=inside,
        distributions=dict(distributions),
    )
