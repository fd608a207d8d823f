"""Crossed bootstrap over seeds and shared test rows, as matrix products: what a gain would be on other test rows.

Every seed is scored on the same rows, so seeds and rows are crossed: both are drawn, independently, and one draw of
rows serves every arm, model and seed. Of parallel test sets the source row is drawn, once for all languages; rows of
other sets that merely bear the same number have nothing to do with each other, so drawing them together changes no
spread. With few seeds the percentiles are too narrow (three seeds: 81 % for 95 %), so the t interval stays primary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from xsweep.analysis.estimate import Values
from xsweep.analysis.predictions import Parts

FEW_SEEDS = 10
"""Below as many the intervals are known to be too narrow."""
RESAMPLES = 2000

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Resampled:
    """A mean over seeds and what it came to in each resample."""

    value: float
    samples: Values
    jackknife: Values
    """The mean without each seed."""

    def percentile(self, level: float = 0.95) -> tuple[float, float]:
        """The percentile interval."""
        low, high = np.quantile(self.samples, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def bca(self, level: float = 0.95) -> tuple[float, float]:
        """Bias-corrected and accelerated, with the acceleration of the seeds; the percentile where it is undefined."""
        share = float(np.mean(self.samples < self.value))
        off = self.jackknife.mean() - self.jackknife
        spread = float(np.sum(off**2)) ** 1.5
        if not 0 < share < 1 or spread == 0:
            return self.percentile(level)
        bias, speed = float(stats.norm.ppf(share)), float(np.sum(off**3)) / (6 * spread)
        ends = stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
        moved = stats.norm.cdf(bias + (bias + ends) / (1 - speed * (bias + ends)))
        low, high = np.quantile(self.samples, moved)
        return float(low), float(high)


def score_samples(runs: Sequence[Sequence[Parts]], resamples: int, name: str) -> Samples:
    """(resamples, runs): each run's score in points, mean over its languages, on rows drawn with replacement.

    ``runs`` gives the parts of each run by language; all runs have the same rows in a language. Equal ``name`` and
    rows, equal draws.
    """
    ids = [own.ids for own in runs[0]]
    rows = np.unique(np.concatenate(ids))
    drawn = counts(name, resamples, len(rows))
    parallel = all(len(own) == len(rows) for own in ids)
    if parallel and all(own.plain for run in runs for own in run):
        # Every language divides by the same number, so the languages of a row can be added before rows are drawn.
        right = np.array([np.sum([own.right for own in run], axis=0) for run in runs], dtype=np.float32)
        return 100 * (drawn @ right.T) / np.float32(len(rows) * len(ids))
    total = np.zeros((resamples, len(runs)), dtype=np.float32)
    for place, own in enumerate(ids):
        there = drawn if len(own) == len(rows) else drawn[:, np.searchsorted(rows, own)]
        parts = [run[place] for run in runs]
        right = there @ np.array([part.right for part in parts]).T
        if all(part.plain for part in parts):
            of = np.broadcast_to(there.sum(axis=1)[:, None], right.shape)
        else:
            of = there @ np.array([part.of for part in parts]).T
        # Where a draw holds nothing to score, every run gets the same nothing.
        total += np.divide(right, of, out=np.zeros_like(right), where=of > 0)
    return 100 * total / np.float32(len(ids))


def over_seeds(own: Values, samples: Samples) -> Resampled:
    """The mean of seeds' values ``own`` (S,), seeds drawn too; ``samples`` (resamples, S) are theirs on drawn rows."""
    resamples, seeds = samples.shape
    drawn = counts("seeds", resamples, seeds) / np.float32(seeds)
    means = np.einsum("rs,rs->r", drawn, samples).astype(np.float64)
    without = (own.sum() - own) / max(1, seeds - 1)
    return Resampled(float(own.mean()), means, without)


def counts(name: str, resamples: int, size: int) -> Samples:
    """(resamples, size): how often each of ``size`` is drawn in ``size`` draws; the same for the same ``name``."""
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    generator = np.random.Generator(np.random.PCG64(start))
    draws = generator.integers(0, size, (resamples, size), dtype=np.int32)
    draws += np.arange(resamples, dtype=np.int32)[:, None] * size
    return np.bincount(draws.ravel(), minlength=resamples * size).reshape(resamples, size).astype(np.float32)
