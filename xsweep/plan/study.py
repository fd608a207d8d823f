"""A study: one search with its own budget and address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xsweep.plan.stage import Hyper
from xsweep.spec.sweep import Halving, Space


@dataclass(frozen=True)
class Study:
    """One search over ``space``; its decision is written once, under ``address``.

    ``address`` is a content key of everything that its outcome depends on, so an edited search is another study.
    """

    address: str
    label: str
    """For people: ``e5-L4 / nli`` or ``e5-L4 / nli / xnli``."""
    kind: Literal["intermediate", "target"]
    model: str
    arm: str
    target: str | None
    space: Space
    sampler: Literal["quasi-random", "random", "tpe"]
    seed: int
    batch: int
    halving: Halving | None = None
    seeded: tuple[Hyper, ...] = ()
    """Its first trials, taken from a smaller model."""
    repeat: int = 0
    full: bool = False
    """It is a search in full beside one that takes its trials from a smaller model."""
    before: Space | None = None
    """Ranges of the intermediate stage, of a joint search; how many trials they are tried in ``space`` tells."""


@dataclass(frozen=True)
class Trial:
    """A finished evaluation inside a study; ``score`` in points, None when the trial has none that counts."""

    number: int
    hyper: Hyper
    key: str
    status: str
    score: float | None
