from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from tests.tasks.test_neighbours import vectors
from xsweep.tasks import ranking
from xsweep.tasks.neighbours import Vectors
from xsweep.tasks.rows import Match


def match(number: int, query: str = "", candidate: str = "", *keys: str) -> Match:
    return Match(number, str(number), "0", query, candidate, "", keys or (str(number),))


def corners(*places: int) -> Vectors:
    """Vectors along the axes, so that a query finds the candidate on its own."""
    return np.eye(max(places) + 1, dtype=np.float32)[list(places)]


def test_a_pool_joins_by_key_and_takes_equal_candidates_once() -> None:
    rows = [match(0, "a", "x"), match(1, "b", "y"), match(2, "", "x", "k"), match(3, "a", "", "k"), match(4, "c")]
    found = ranking.pool(rows, merge=False)
    assert found.ids.tolist() == [0, 1, 3, 4]
    assert found.query_rows.tolist() == [0, 2, 6, 8]
    assert found.candidate_rows.tolist() == [1, 3]
    assert found.gold == [(0,), (1,), (0,), ()]
    assert found.starts.tolist() == [0, 1, 2, 2, 3, 4]
    merged = ranking.pool(rows, merge=True)
    assert merged.ids.tolist() == [0, 1, 4]
    assert merged.gold == [(0,), (1,), ()]


def test_the_nearest_candidate_is_right_or_wrong() -> None:
    found = ranking.pool([match(0, "a", "x"), match(7, "b", "y"), match(8, "c", "z")], merge=False)
    table = ranking.nearest_neighbour(found, corners(0, 2, 2), corners(0, 1, 2))
    assert table.to_pydict() == {"id": [0, 7, 8], "prediction": [0, 2, 2], "correct": [1, 0, 1]}
    assert ranking.score(table) == {"accuracy": pytest.approx(200 / 3)}


@pytest.mark.parametrize(
    ("places", "gold", "value"),
    [
        ([3, 1, 2], [3], 1.0),
        ([1, 3, 2], [3], 0.5),
        ([1, 3, 2], [3, 2], (1 / 2 + 2 / 3) / 2),
        ([1, 2], [9], 0.0),
        ([1], [], 0.0),
        (list(range(20)), list(range(30)), 1.0),
    ],
)
def test_average_precision(places: list[int], gold: list[int], value: float) -> None:
    assert ranking.average_precision(places, gold) == pytest.approx(value)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(0, 10**6))
def test_average_precision_is_scikit_learns_where_all_ranks_count(n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores, right = random.random(n), random.random(n) < 0.4
    right[0] = True
    places = np.argsort(-scores).tolist()
    ours = ranking.average_precision(places, np.flatnonzero(right).tolist())
    assert ours == pytest.approx(average_precision_score(right, scores))


def plain_margin_pairs(queries: Vectors, candidates: Vectors) -> list[tuple[int, int]]:
    """The mining of pairs, said plainly and slowly."""
    cosine = queries.astype(np.float64) @ candidates.T.astype(np.float64)
    k = min(4, cosine.shape[1]), min(4, cosine.shape[0])
    forward = np.sort(cosine, 1)[:, ::-1][:, : k[0]].mean(1)
    backward = np.sort(cosine, 0)[::-1][: k[1]].mean(0)
    margin = cosine / ((forward[:, None] + backward) / 2)
    inside = (
        [set(np.argsort(-row)[: k[0]].tolist()) for row in cosine],
        [set(np.argsort(-row)[: k[1]].tolist()) for row in cosine.T],
    )
    inner = [[(q, c) for c in near] for q, near in enumerate(inside[0])]
    outer = [[(q, c) for q in near] for c, near in enumerate(inside[1])]
    proposed = {max(pairs, key=margin.__getitem__) for pairs in (*inner, *outer)}
    chosen: list[tuple[int, int]] = []
    for query, candidate in sorted(proposed, key=margin.__getitem__, reverse=True):
        if query not in {q for q, _ in chosen} and candidate not in {c for _, c in chosen}:
            chosen.append((query, candidate))
    return chosen


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 25), st.integers(1, 25), st.integers(0, 10**6))
def test_mined_pairs_are_those_of_a_plain_implementation(n: int, m: int, seed: int) -> None:
    queries, candidates = np.abs(vectors(n, 12, seed)), np.abs(vectors(m, 12, seed + 1))
    pairs, margins = ranking.margin_pairs(queries, candidates)
    assert list(map(tuple, pairs.tolist())) == plain_margin_pairs(queries, candidates)
    assert (np.diff(margins) <= 0).all()
    assert len(set(pairs[:, 0].tolist())) == len(set(pairs[:, 1].tolist())) == len(pairs)


def test_mining_keeps_as_many_pairs_as_the_gold_has() -> None:
    rows = [match(0, "a", "x"), match(1, "b", "y"), match(2, "c", "", "none"), match(3, "", "z", "other")]
    found = ranking.pool(rows, merge=True)
    queries, candidates = corners(0, 1, 2), corners(0, 1, 2)
    queries[1], candidates[1] = [0.1, 0.7, 0.7], [0.5, 0.6, 0.6]
    table = ranking.mined(found, queries, candidates)
    rows_ = table.to_pylist()
    assert sum(row["kept"] for row in rows_) == sum(row["gold"] for row in rows_) == 2
    assert [row["prediction"] for row in rows_] == [0, 1, 2]
    assert [row["correct"] for row in rows_] == [1, 1, 0]
    kept = [row["correct"] for row in rows_ if row["kept"]]
    assert ranking.score(table) == {"f1": pytest.approx(100 * sum(kept) / 2)}, "precision, recall and F1 are one"
    assert ranking.best_f1(table) >= ranking.score(table)["f1"]


def test_the_best_threshold_is_the_best_of_all() -> None:
    import pyarrow as pa

    table = pa.table(
        {
            "prediction": [5, 6, -1, 7],
            "margin": [1.2, 1.1, float("nan"), 1.4],
            "correct": [1, 0, 0, 1],
            "gold": [1, 0, 1, 1],
        }
    )
    assert ranking.best_f1(table) == pytest.approx(200 * 2 / (2 + 3))
