"""Rows whose languages look exchanged: models of one table agree on which languages are hard, unless columns moved.

Two published tables of this field have rows in the order of another header. A pair of models whose profiles over
languages agree badly as they stand, and well once one is read in another order, is named; which of the two is wrong is
for the reader, unless the other order is the alphabet, which works in one direction alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xsweep.analysis.design import BASELINE
from xsweep.analysis.estimate import Values
from xsweep.analysis.gains import ENGLISH

SUSPECTS = pl.Schema(
    {
        "target": pl.String(),
        "metric": pl.String(),
        "what": pl.String(),
        "models": pl.String(),
        "against": pl.String(),
        "as_given": pl.Float64(),
        "once_reordered": pl.Float64(),
    }
)
"""One row per disagreement: reading ``models`` as ``what`` says lifts their mean correlation with ``against``, over
languages, from ``as_given`` to ``once_reordered``."""

ALPHABETICAL = "values in the alphabetical order of languages under another header"
AGREES, BETTER = 0.9, 0.15
"""A correlation that is agreement, and how much a reading must add to be suspected."""
FEWEST = 5
"""Languages below which nothing is said."""


def suspects(frame: pl.DataFrame) -> pl.DataFrame:
    """SUSPECTS among the baseline's scores in a FRAME, its languages in the file's order."""
    rows: list[tuple[object, ...]] = []
    base = frame.filter(pl.col("score").is_not_null(), arm=BASELINE)
    for (target, metric), own in base.group_by("target", "metric", maintain_order=True):
        means = own.group_by("model", "language", maintain_order=True).agg(pl.col("score").mean())
        languages = means["language"].unique(maintain_order=True).to_list()
        wide = means.pivot("language", index="model", values="score", maintain_order=True).drop_nulls()
        if len(languages) < FEWEST or wide.height < 2:
            continue
        profiles = dict(zip(wide["model"], wide.select(languages).to_numpy(), strict=True))
        rows += [(target, metric, *found) for found in _suspects(profiles, languages)]
    return pl.DataFrame(rows, SUSPECTS, orient="row")


def _suspects(profiles: dict[str, Values], languages: list[str]) -> Iterator[tuple[object, ...]]:
    found: dict[str, dict[tuple[str, str], tuple[float, float]]] = {}
    names, shapes = list(profiles), np.array([_shape(own) for own in profiles.values()])
    alphabet = _alphabetical(languages)
    orders: dict[str, NDArray[np.intp]] = (
        {ALPHABETICAL: alphabet} if np.sum(alphabet != np.arange(len(languages))) > 2 else {}
    )
    for one, other in combinations(range(len(languages)), 2):
        order = np.arange(len(languages), dtype=np.intp)
        order[[one, other]] = order[[other, one]]
        orders[f"{languages[one]} and {languages[other]} exchanged"] = order
    ways = list(orders)
    given = shapes @ shapes.T
    for moved, name in enumerate(names):
        after = shapes[moved][np.array(list(orders.values()))] @ shapes.T
        for still in np.flatnonzero((after.max(axis=0) >= AGREES) & (after.max(axis=0) - given[moved] >= BETTER)):
            best = int(after[:, still].argmax())
            pair = (float(given[moved, still]), float(after[best, still]))
            found.setdefault(ways[best], {})[name, names[int(still)]] = pair
    for what, pairs in found.items():
        yield from _sides(what, pairs)


def _sides(what: str, pairs: dict[tuple[str, str], tuple[float, float]]) -> Iterator[tuple[object, ...]]:
    """The two sides of a disagreement. An exchange is seen from both: the side of fewer models is the one moved."""
    moved, still = (list(dict.fromkeys(pair[side] for pair in pairs)) for side in (0, 1))
    if what != ALPHABETICAL:
        first = moved[0]
        other = [model for model in moved if (first, model) in pairs]
        same = [model for model in moved if model not in other]
        moved, still = sorted((same, other), key=lambda side: (len(side), side))
    told = [pairs[pair] for pair in pairs if pair[0] in moved]
    before, after = (float(np.mean([value[side] for value in told])) for side in (0, 1))
    yield what, ", ".join(moved), ", ".join(still), before, after


def _alphabetical(languages: list[str]) -> NDArray[np.intp]:
    """Where each language's value stands if the values follow the alphabet, English first where it is first."""
    first = languages[0] == ENGLISH
    alphabet = sorted(languages, key=lambda code: (first and code != ENGLISH, code))
    return np.array([alphabet.index(code) for code in languages], dtype=np.intp)


def _shape(profile: Values) -> Values:
    """The profile about its mean, of length one, so that products are correlations; zeros where it is flat."""
    centred = profile - profile.mean()
    length = float(np.linalg.norm(centred))
    return np.asarray(centred / length) if length > 1e-9 else np.zeros_like(centred)
