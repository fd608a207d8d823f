"""A small random forest over whole-number features: the learner behind the word-blind controls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Node:
    """A leaf with its class shares, or a split: rows with ``feature <= cut`` go low."""

    shares: Shares
    feature: int = -1
    cut: int = 0
    low: _Node | None = None
    high: _Node | None = None

    def fill(self, x: Features, rows: npt.NDArray[np.intp], out: Shares) -> None:
        """Add this node's verdict on ``x[rows]`` to ``out``."""
        if self.low is None or self.high is None:
            out[rows] += self.shares
        elif rows.size:
            goes_low = x[rows, self.feature] <= self.cut
            self.low.fill(x, rows[goes_low], out)
            self.high.fill(x, rows[~goes_low], out)


def _best_cut(values: Features, y: Features, classes: int) -> tuple[float, int]:
    """Return the least Gini impurity (summed over rows) that a cut of one feature reaches, and that cut."""
    width = int(values.max()) + 1
    table = np.bincount(values * classes + y, minlength=width * classes).reshape(width, classes)
    low = np.cumsum(table, axis=0)[:-1].astype(float)
    high = table.sum(axis=0) - low
    below, above = low.sum(axis=1), high.sum(axis=1)
    usable = (below > 0) & (above > 0)
    if not usable.any():
        return np.inf, 0
    impurity = np.full(width - 1, np.inf)
    inside = (low**2).sum(axis=1)[usable] / below[usable] + (high**2).sum(axis=1)[usable] / above[usable]
    impurity[usable] = len(y) - inside
    cut = int(impurity.argmin())
    return float(impurity[cut]), cut


def _grow(x: Features, y: Features, classes: int, smallest: int, rng: np.random.Generator) -> _Node:
    shares = np.bincount(y, minlength=classes) / len(y)
    if len(y) < 2 * smallest or shares.max() == 1.0:
        return _Node(shares)
    tried = rng.permutation(x.shape[1])[: max(1, round(x.shape[1] / 3))]
    cuts = [(*_best_cut(x[:, feature], y, classes), int(feature)) for feature in tried]
    impurity, cut, feature = min(cuts)
    low = x[:, feature] <= cut
    if not np.isfinite(impurity) or min(low.sum(), (~low).sum()) < smallest:
        return _Node(shares)
    branches = (_grow(x[side], y[side], classes, smallest, rng) for side in (low, ~low))
    return _Node(shares, feature, cut, *branches)


@dataclass(frozen=True)
class Forest:
    """Trees that vote by their leaves' class shares."""

    trees: tuple[_Node, ...]
    classes: int

    @classmethod
    def fit(cls, x: Features, y: Features, seed: int, trees: int = 40, smallest: int = 3) -> Forest:
        """Grow ``trees`` on bootstrap samples of rows ``x`` (whole numbers from 0) with classes ``y``.

        A third of the features is tried at every split; no leaf holds fewer than ``smallest`` rows.
        """
        rng, classes = np.random.Generator(np.random.PCG64(seed)), int(y.max()) + 1
        samples = (rng.integers(0, len(y), len(y)) for _ in range(trees))
        return cls(tuple(_grow(x[rows], y[rows], classes, smallest, rng) for rows in samples), classes)

    def shares(self, x: Features) -> Shares:
        """Return (rows, classes): how the forest shares each row out over the classes."""
        out = np.zeros((len(x), self.classes))
        for tree in self.trees:
            tree.fill(x, np.arange(len(x)), out)
        return out / len(self.trees)
