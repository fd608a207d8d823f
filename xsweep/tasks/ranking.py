"""From vectors of queries and candidates to predictions and scores: nearest neighbour, mining, ranking.

Vectors have length 1, so inner products are cosines. The headline of mining keeps as many pairs as the gold has, which
is where precision, recall and F1 meet: a rule that needs neither a threshold that another encoder's scale of cosines
would move nor a look at scores in the language. The benchmark's own threshold is ``best_f1``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xsweep.tasks.metrics import mean_points
from xsweep.tasks.neighbours import Vectors, nearest
from xsweep.tasks.rows import Match

if TYPE_CHECKING:
    import pyarrow

DEPTH = 20
"""Ranks that count for mean average precision, as in XTREME-R."""

NEIGHBOURS = 4
"""Neighbours in each direction that a margin is relative to (Artetxe and Schwenk 2019, section 3.2)."""

Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pool:
    """What is searched with, what is searched, and what is right. Equal candidates are one."""

    ids: Positions
    """(queries,) id of each query's match, or of the first where equal queries are one."""
    query_rows: Positions
    """(queries,) the query's row in ``retrieval.sides``."""
    candidate_rows: Positions
    """(candidates,) the same for candidates."""
    gold: list[tuple[int, ...]]
    """Positions among the candidates of the right ones, per query."""
    starts: Positions
    """(examples + 1,) queries before each example."""


def pool(examples: Sequence[Match], merge: bool) -> Pool:
    """The pool of ``examples``; with ``merge`` equal queries are one too, as mining needs."""
    queries: dict[object, int] = {}
    candidates: dict[tuple[str, str], int] = {}
    ids: list[int] = []
    query_rows: list[int] = []
    candidate_rows: list[int] = []
    starts = [0]
    asked: list[dict[str, None]] = []
    holders: dict[str, dict[int, None]] = {}
    for number, match in enumerate(examples):
        if match.query:
            place = queries.setdefault(match.query if merge else number, len(queries))
            if place == len(ids):
                ids.append(match.id)
                query_rows.append(2 * number)
                asked.append({})
            asked[place].update(dict.fromkeys(match.keys))
        if match.candidate:
            place = candidates.setdefault((match.candidate, match.context), len(candidates))
            if place == len(candidate_rows):
                candidate_rows.append(2 * number + 1)
            for key in match.keys:
                holders.setdefault(key, {})[place] = None
        starts.append(len(ids))
    gold = [tuple(dict.fromkeys(place for key in keys for place in holders.get(key, ()))) for keys in asked]
    as_array = (np.array(values, dtype=np.int64) for values in (ids, query_rows, candidate_rows, starts))
    first, second, third, fourth = as_array
    return Pool(first, second, third, gold, fourth)


def nearest_neighbour(found: Pool, queries: Vectors, candidates: Vectors) -> pyarrow.Table:
    """Per query: ``id``, ``prediction`` (position of the nearest candidate) and ``correct`` (0 or 1)."""
    import pyarrow

    _, places = nearest(queries, candidates, 1)
    right = [int(place in gold) for place, gold in zip(places[:, 0].tolist(), found.gold, strict=True)]
    columns = {"id": found.ids.astype(np.int32), "prediction": places[:, 0].astype(np.int32)}
    return pyarrow.table({**columns, "correct": np.array(right, dtype=np.int8)})


def ranked(found: Pool, queries: Vectors, candidates: Vectors) -> pyarrow.Table:
    """Per query: ``id``, ``prediction`` (position of the first candidate) and ``average_precision`` (0 to 1)."""
    import pyarrow

    _, places = nearest(queries, candidates, DEPTH)
    values = [average_precision(row, gold) for row, gold in zip(places.tolist(), found.gold, strict=True)]
    columns = {"id": found.ids.astype(np.int32), "prediction": places[:, 0].astype(np.int32)}
    return pyarrow.table({**columns, "average_precision": np.array(values, dtype=np.float64)})


def average_precision(places: Sequence[int], gold: Sequence[int]) -> float:
    """The mean of the precisions at each right candidate, over as many right ones as the ranking could hold."""
    right, total = 0, 0.0
    wanted = set(gold)
    for rank, place in enumerate(places, 1):
        if place in wanted:
            right += 1
            total += right / rank
    return total / min(len(wanted), DEPTH) if wanted else 0.0


def mined(found: Pool, queries: Vectors, candidates: Vectors) -> pyarrow.Table:
    """Per query: ``id``, ``prediction`` (position of the candidate it is paired with, -1 for none), ``margin``,
    ``correct`` (0 or 1), ``gold`` (right candidates it has) and ``kept`` (1 in the headline's pairs).
    """
    import pyarrow

    pairs, margins = margin_pairs(queries, candidates)
    total = sum(map(len, found.gold))
    rows: dict[str, NDArray[Any]] = {
        "prediction": np.full(len(queries), -1, dtype=np.int32),
        "margin": np.full(len(queries), np.nan, dtype=np.float32),
        "correct": np.zeros(len(queries), dtype=np.int8),
        "gold": np.array([len(gold) for gold in found.gold], dtype=np.int32),
        "kept": np.zeros(len(queries), dtype=np.int8),
    }
    for rank, ((query, candidate), margin) in enumerate(zip(pairs.tolist(), margins, strict=True)):
        rows["prediction"][query], rows["margin"][query] = candidate, margin
        rows["correct"][query], rows["kept"][query] = candidate in found.gold[query], rank < total
    return pyarrow.table({"id": found.ids.astype(np.int32), **rows})


def margin_pairs(queries: Vectors, candidates: Vectors) -> tuple[Positions, Vectors]:
    """Pairs (query, candidate), (pairs, 2), and their margins, best first; each text is in one pair at most.

    A pair's margin is its cosine over the mean cosine of both texts with their ``NEIGHBOURS`` nearest on the other
    side. The best pair of every query and of every candidate compete (Artetxe and Schwenk 2019, "ratio", "max").
    """
    there, back = nearest(queries, candidates, NEIGHBOURS), nearest(candidates, queries, NEIGHBOURS)
    level = (there[0].mean(1, dtype=np.float64), back[0].mean(1, dtype=np.float64))
    first = _best(*there, level[0], level[1])
    second = _best(*back, level[1], level[0])
    ends = np.concatenate(
        [
            np.column_stack([np.arange(len(queries)), first[0]]),
            np.column_stack([second[0], np.arange(len(candidates))]),
        ]
    )
    margins = np.concatenate([first[1], second[1]])
    taken: tuple[set[int], set[int]] = (set(), set())
    chosen = []
    for place in np.argsort(-margins, kind="stable").tolist():
        query, candidate = ends[place].tolist()
        if query not in taken[0] and candidate not in taken[1]:
            taken[0].add(query)
            taken[1].add(candidate)
            chosen.append(place)
    return ends[chosen].astype(np.int64), margins[chosen].astype(np.float32)


def _best(
    scores: Vectors, places: Positions, own: NDArray[np.float64], other: NDArray[np.float64]
) -> tuple[Positions, NDArray[np.float64]]:
    """The neighbour with the largest margin of each text, and that margin."""
    margins = scores / ((own[:, None] + other[places]) / 2)
    best = margins.argmax(1)[:, None]
    return np.take_along_axis(places, best, 1)[:, 0], np.take_along_axis(margins, best, 1)[:, 0]


RANK: Mapping[str, Callable[[Pool, Vectors, Vectors], pyarrow.Table]] = {
    "accuracy": nearest_neighbour,
    "f1": mined,
    "map20": ranked,
}
"""Metric -> what makes its predictions."""


def score(predictions: pyarrow.Table) -> dict[str, float]:
    """The metric of a table of predictions, in points: ``accuracy``, ``f1`` or ``map20``."""
    names = predictions.column_names
    if "average_precision" in names:
        return {"map20": mean_points(predictions.column("average_precision").to_pylist())}
    right = np.asarray(predictions.column("correct"))
    if "kept" not in names:
        return {"accuracy": mean_points(right.tolist())}
    kept = np.asarray(predictions.column("kept"))
    return {"f1": _f1(int((right * kept).sum()), int(kept.sum()), int(np.asarray(predictions.column("gold")).sum()))}


def best_f1(predictions: pyarrow.Table) -> float:
    """The best F1, in points, that any threshold on the margin gives, as BUCC's and XTREME's scripts choose it."""
    pairs = np.asarray(predictions.column("prediction")) >= 0
    order = np.argsort(-np.asarray(predictions.column("margin"))[pairs], kind="stable")
    right = np.cumsum(np.asarray(predictions.column("correct"))[pairs][order])
    total = int(np.asarray(predictions.column("gold")).sum())
    return max((_f1(int(hits), number, total) for number, hits in enumerate(right, 1)), default=0.0)


def _f1(right: int, found: int, total: int) -> float:
    return 200.0 * right / (found + total) if found + total else 0.0
