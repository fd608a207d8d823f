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


def _best_cut(x: Features, y: Features, classes: int) -> tuple[int, int]:
    """Return the column and the cut that leave the least Gini impurity; every cut of every column is weighed."""
    width, columns = int(x.max()) + 1, x.shape[1]
    cells = ((np.arange(columns) * width + x) * classes + y[:, None]).ravel()
    table = np.bincount(cells, minlength=columns * width * classes).reshape(columns, width, classes)
    low = np.cumsum(table, axis=1).astype(float)
    high = low[:, -1:] - low
    below, above = low.sum(axis=2), high.sum(axis=2)
    purity = (low**2).sum(axis=2) / np.maximum(below, 1) + (high**2).sum(axis=2) / np.maximum(above, 1)
    column, cut = divmod(int(purity.argmax()), width)
    return column, cut


def _grow(x: Features, y: Features, classes: int, smallest: int, rng: np.random.Generator) -> _Node:
    shares = np.bincount(y, minlength=classes) / len(y)
    if len(y) < 2 * smallest or shares.max() == 1.0:
        return _Node(shares)
    tried = rng.permutation(x.shape[1])[: max(1, round(x.shape[1] / 3))]
    column, cut = _best_cut(x[:, tried], y, classes)
    feature = int(tried[column])
    low = x[:, feature] <= cut
    if min(low.sum(), (~low).sum()) < smallest:
        return _Node(shares)
    branches = (_grow(x[side], y[side], classes, smallest, rng) for side in (low, ~low))
    return _Node(shares, feature, cut, *branches)


@dataclass(frozen=True)
class Forest:
    """Trees that vote by their leaves' class shares."""

    trees: tuple[_Node, ...]
    classes: int

    @classmethod
    def fit(cls, x: Features, y: Features, seed: int, trees: int, smallest: int) -> Forest:
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
