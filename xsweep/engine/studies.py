"""What a study tries next, and what it decides: functions of its seed and its finished trials alone."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
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
    run more than once, and what is numbered are runs: see ``xsweep.plan.halving``. In a joint study a point is one of
    both stages' ranges; where two targets have the same ranges, their trials share their intermediate stages.
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

    def possible(self, finished: Mapping[int, Trial]) -> list[tuple[int, Hyper]]:
        """The same, and every other run that may have ended in an earlier launch."""
        return self._bracket.possible(finished) if self._bracket else self.pending(finished)

    def stopped(self, finished: Mapping[int, Trial]) -> list[Trial]:
        """The runs, under halving, of trials that are known to go no further."""
        return self._bracket.stopped(finished) if self._bracket else []

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
        "hyper": replace(best.hyper, until=None).told(),
        "trial": best.number,
        "key": best.key,
        "score": best.score,
        "trials": [_told_of(trial) for trial in ordered],
        **({"rungs": [_told_of(run) for run in before]} if study.halving else {}),
    }


def _told_of(trial: Trial) -> dict[str, Any]:
    """A trial in a decision."""
    told = {"number": trial.number, **trial.hyper.told()}
    return {**told, "key": trial.key, "status": trial.status, "score": _finite(trial.score)}


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None


def _seed(study: Study, batch: int) -> int:
    """A 32-bit seed for one batch of one study."""
    return int.from_bytes(hashlib.sha256(f"{study.seed}/{study.sampler}/{batch}".encode()).digest()[:4], "big")


def _hyper(space: Space, lr: float, epochs: int) -> Hyper:
    """Learning rates keep 6 significant digits, so that keys and tables are readable and stable."""
    return Hyper(lr=min(max(float(f"{lr:.{_DIGITS}g}"), space.lr.low), space.lr.high), epochs=epochs)


def _spaces(study: Study) -> list[Space]:
    """The ranges of each stage that a trial trains, the one that it is judged by last."""
    return [study.before, study.space] if study.before else [study.space]


def _joined(stages: Sequence[Hyper]) -> Hyper:
    """One configuration from those of each stage."""
    *before, last = stages
    return replace(last, before=before[0]) if before else last


def _sobol(study: Study) -> list[Hyper]:
    """A scrambled Sobol sequence over (log lr, epochs) of each stage; a longer one begins with the shorter one."""
    import numpy as np
    from scipy.stats import qmc

    spaces, trials = _spaces(study), study.space.trials
    sequence = qmc.Sobol(d=2 * len(spaces), scramble=True, rng=np.random.default_rng(_seed(study, 0)))
    points = sequence.random_base2(max(0, math.ceil(math.log2(trials))))[:trials].tolist()
    return [
        _joined([_placed(space, *point[2 * at : 2 * at + 2]) for at, space in enumerate(spaces)]) for point in points
    ]


def _placed(space: Space, x: float, y: float) -> Hyper:
    """The configuration at a point of the unit square."""
    low, high = math.log(space.lr.low), math.log(space.lr.high)
    width = space.epochs.high - space.epochs.low + 1
    return _hyper(space, math.exp(low + x * (high - low)), min(space.epochs.low + int(y * width), space.epochs.high))


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
    ranges = _ranges(study)
    memory = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in history:
        memory.add_trial(_told(trial, ranges))
    asked = [memory.ask(ranges).params for _ in range(count)]
    return [
        _joined([_hyper(space, drawn[f"{stage}lr"], drawn[f"{stage}epochs"]) for stage, space in _named(study)])
        for drawn in asked
    ]


def _named(study: Study) -> list[tuple[str, Space]]:
    """What Optuna's parameters of each stage begin with, and its ranges."""
    return list(zip(("before ", "") if study.before else ("",), _spaces(study), strict=True))


def _ranges(study: Study) -> dict[str, Any]:
    """The ranges of each stage in Optuna's words."""
    from optuna.distributions import FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for stage, space in _named(study):
        found[f"{stage}lr"] = FloatDistribution(space.lr.low, space.lr.high, log=True)
        found[f"{stage}epochs"] = IntDistribution(space.epochs.low, space.epochs.high)
    return found


def _told(trial: Trial, ranges: Mapping[str, Any]) -> Any:
    """A finished trial in Optuna's words: one without a score that counts is worse than any with one."""
    import optuna

    score = _finite(trial.score) if trial.status in _COUNTING else None
    unknown = trial.status == "failed"  # says nothing about its point
    states = optuna.trial.TrialState
    values = {"lr": trial.hyper.lr, "epochs": trial.hyper.epochs}
    if before := trial.hyper.before:
        values |= {"before lr": before.lr, "before epochs": before.epochs}
    return optuna.trial.create_trial(
        state=states.COMPLETE if score is not None else states.FAIL if unknown else states.PRUNED,
        value=score,
        # What was taken from a smaller model may lie outside.
        params={name: min(max(values[name], ends.low), ends.high) for name, ends in ranges.items()},
        distributions=dict(ranges),
    )
