"""Configurations taken from a smaller model to the next, and what that lost where a full search was run beside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from xsweep.plan.stage import Hyper
from xsweep.spec.sweep import Transfer


def transferred(decision: Mapping[str, Any], transfer: Transfer, ratio: float) -> tuple[Hyper, ...]:
    """The best configurations of a decided study, best first, with learning rates for another width.

    ``ratio`` is the width that they were found at over the new one's. A trial that was stopped comes after all that
    went further; of equal ones the lower number comes first. Configurations are told apart after scaling, those of both
    stages together where the search is joint. Rates keep 6 significant digits and may leave the range.
    """
    counting = [trial for trial in decision["trials"] if trial["status"] in ("ok", "degenerate", "pruned")]
    scored = [trial for trial in counting if trial["score"] is not None and math.isfinite(trial["score"])]
    ranked = sorted(scored, key=lambda trial: (-trial.get("until", math.inf), -trial["score"], trial["number"]))
    found = dict.fromkeys(_scaled(replace(Hyper.of(trial), until=None), ratio**transfer.power) for trial in ranked)
    return tuple(found)[: transfer.trials]


def _scaled(hyper: Hyper, factor: float) -> Hyper:
    before = _scaled(hyper.before, factor) if hyper.before else None
    return replace(hyper, lr=float(f"{hyper.lr * factor:.6g}"), before=before)


@dataclass(frozen=True)
class Regret:
    """What a search among transferred configurations lost against one in full, in points on English held-out data."""

    model: str
    target: str
    transferred: float
    """Best score among the configurations of the smaller model."""
    full: float
    """Best score of the search in full."""
    trials: tuple[int, int]
    """Trials of the one and of the other."""

    @property
    def points(self) -> float:
        """How much better the search in full was; below zero where it was worse."""
        return self.full - self.transferred

    def __str__(self) -> str:
        few, all_ = self.trials
        return (
            f"transfer between sizes: {self.model} on {self.target}: {self.transferred:.2f} with {few} transferred "
            f"trials, {self.full:.2f} with a search of {all_} in full: a regret of {self.points:.2f} points"
        )


def regret(model: str, target: str, few: Mapping[str, Any] | None, full: Mapping[str, Any] | None) -> Regret | None:
    """The regret from the two searches' decisions; None while one has none. The best of a decision is its score."""
    if few is None or full is None:
        return None
    trials = len(few["trials"]), len(full["trials"])
    return Regret(model, target, float(few["score"]), float(full["score"]), trials)
