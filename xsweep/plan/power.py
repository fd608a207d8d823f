"""What a plan can resolve: the smallest effects that its reporting seeds find four times out of five.

Pure arithmetic before anything runs, so the deviation between seeds is an assumption, and is printed as one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from scipy.optimize import brentq
from scipy.stats import nct, t

LEVEL = 0.05
"""Of the two-sided t test."""
POWER = 0.8

SEED_DEVIATIONS: Mapping[str, float] = {"xnli": 0.59, "pawsx": 0.78}
"""Target -> standard deviation of one fine-tune's score over five seeds, in points, of XLM-R large.

From the model card of LFM2.5-Encoder (supervised fine-tunes; base has 0.80 and 0.41, XL 0.45 and 0.41).
"""
OTHERWISE = 1.66
"""The same of a target that is not among them: the card's mean over its 17 tasks."""
SOURCE = "XLM-R large over 5 seeds, model card of LFM2.5-Encoder"


def smallest_effect(seeds: int) -> float | None:
    """The mean, in standard deviations of one difference, that a paired two-sided t test of ``seeds`` differences finds
    with ``POWER``; None of fewer than two seeds, which have no deviation."""
    return None if seeds < 2 else _smallest(seeds)


@lru_cache
def _smallest(seeds: int) -> float:
    freedom, root = seeds - 1, math.sqrt(seeds)
    critical = float(t.ppf(1 - LEVEL / 2, freedom))

    def lacking(effect: float) -> float:
        wrong = float(nct.cdf(-critical, freedom, effect * root))  # scipy has no number for what is next to nothing
        return float(nct.sf(critical, freedom, effect * root)) + (0.0 if math.isnan(wrong) else wrong) - POWER

    most = 1.0
    while lacking(most) < 0:
        most *= 2
    return float(brentq(lacking, 0.0, most))


@dataclass(frozen=True)
class Resolvable:
    """Something that a sweep estimates, and the smallest true value (in points) that it would find."""

    what: str
    points: float | None
    """None where there are too few seeds, sizes or arms."""


def resolvable(
    targets: Sequence[str], seeds: int, families: Mapping[str, int], sizes: Mapping[str, Sequence[int]]
) -> list[Resolvable]:
    """The smallest resolvable gain on each target and on their mean, difference of two families, and slope of it.

    ``families`` counts the arms of each family that is compared, ``sizes`` are the parameters of each ladder's models.
    A gain is a difference of two runs, so its deviation is sqrt(2) times a run's; pairing by seed may make it smaller.
    In a difference of families the baseline falls out, and arms and targets are taken as they are, not as drawn.
    """
    effect = smallest_effect(seeds)
    runs = {name: SEED_DEVIATIONS.get(name, OTHERWISE) for name in targets}
    mean = math.sqrt(sum(value**2 for value in runs.values())) / len(runs)
    found = [Resolvable(f"gain of one arm on {name}", _times(effect, math.sqrt(2) * run)) for name, run in runs.items()]
    if len(runs) > 1:
        found.append(Resolvable(f"gain of one arm, mean of {len(runs)} targets", _times(effect, math.sqrt(2) * mean)))
    first, second = [*families, "", ""][:2]
    if not second:
        return found
    between = mean * math.sqrt(1 / families[first] + 1 / families[second])
    said = f"{first} against {second}, mean gain"
    found.append(Resolvable(said, _times(effect, between)))
    for ladder, counts in sizes.items():
        spread = math.sqrt(_spread([math.log10(count) for count in counts]))
        if len(counts) > 1 and spread:
            found.append(Resolvable(f"{said} per tenfold size ({ladder})", _times(effect, between / spread)))
    return found


def _spread(values: Sequence[float]) -> float:
    """Sum of squared distances from the mean."""
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)


def _times(effect: float | None, deviation: float) -> float | None:
    return None if effect is None else effect * deviation
