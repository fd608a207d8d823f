"""Gain against size as weights on sizes: slope, contrast beyond 1B and hinge are weighted sums of one seed's gains.

Models of different ladders differ in more than size, so each ladder has an intercept of its own and only what lies
within ladders counts. Sizes enter as log10(params) - 9, so that an intercept is the gain at 1B.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xsweep.analysis.estimate import Values

BILLION = 10**9


@dataclass(frozen=True)
class Sizes:
    """The sizes of M models and the ladder of each; a model of no ladder is a ladder of its own."""

    params: tuple[int, ...]
    ladders: tuple[str, ...]

    @classmethod
    def of(cls, params: Sequence[int], ladders: Sequence[str]) -> Sizes:
        """Sizes of models in any order."""
        named = [name or f"model {number}" for number, name in enumerate(ladders)]
        return cls(tuple(params), tuple(named))

    @property
    def logs(self) -> Values:
        """log10(params) - 9, (M,)."""
        return np.array([math.log10(size) - 9 for size in self.params])

    @property
    def beyond(self) -> Values:
        """1 where a model has more than a billion parameters, (M,); exactly a billion is not beyond."""
        return np.array([float(size > BILLION) for size in self.params])

    @property
    def intercepts(self) -> Values:
        """(M, ladders) of 0 and 1."""
        names = list(dict.fromkeys(self.ladders))
        return np.array([[float(name == ladder) for name in names] for ladder in self.ladders])

    @property
    def count(self) -> int:
        """Different sizes."""
        return len(set(self.params))

    def weights(self, *terms: Values) -> Values | None:
        """(terms, M): least-squares weights of ``terms`` beside an intercept per ladder; None if confounded."""
        design = np.column_stack([self.intercepts, *terms])
        if np.linalg.matrix_rank(design) < design.shape[1]:
            return None
        return np.asarray(np.linalg.pinv(design)[-len(terms) :])

    def slope(self) -> Values | None:
        """(M,): points per decade of parameters; None where no ladder has two sizes."""
        found = self.weights(self.logs)
        return None if found is None else found[0]

    def contrast(self) -> Values | None:
        """(M,): mean beyond 1B minus mean up to and including 1B; None where no ladder has both."""
        found = self.weights(self.beyond)
        return None if found is None else found[0]

    def hinge(self) -> Values | None:
        """(2, M): slope up to 1B and change of slope there; None without two sizes on each side."""
        above = {size for size, far in zip(self.params, self.beyond, strict=True) if far}
        below = set(self.params) - above
        if len(above) < 2 or len(below) < 2:
            return None
        return self.weights(self.logs, np.maximum(0.0, self.logs))
