from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from xsweep.tasks import neighbours
from xsweep.tasks.neighbours import Vectors, nearest


def vectors(rows: int, width: int, seed: int) -> Vectors:
    found = np.random.default_rng(seed).standard_normal((rows, width))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(2, 20), st.integers(1, 8), st.integers(0, 10**6))
def test_blocks_find_what_scikit_learn_finds(n: int, m: int, width: int, k: int, seed: int) -> None:
    queries, candidates = vectors(n, width, seed), vectors(m, width, seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "QUERIES", 7)
        patch.setattr(neighbours, "CANDIDATES", 5)
        scores, places = nearest(queries, candidates, k)
    assert scores.shape == places.shape == (n, min(k, m))
    other = NearestNeighbors(n_neighbors=min(k, m), algorithm="brute", metric="cosine").fit(candidates)
    distances, found = other.kneighbors(queries)
    np.testing.assert_allclose(scores, 1 - distances, atol=1e-5)
    clear = np.diff(distances, axis=1, prepend=-9, append=9)
    apart = (clear[:, :-1] > 1e-5) & (clear[:, 1:] > 1e-5)
    assert (places == found)[apart].all(), "but where two are as near as rounding"


def test_candidates_may_lie_in_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("mapped") / "candidates"
    held = vectors(40_000, 8, 0)
    np.memmap(path, dtype=np.float32, mode="w+", shape=held.shape)[:] = held
    mapped = np.memmap(path, dtype=np.float32, mode="r", shape=held.shape)
    queries = vectors(3, 8, 1)
    assert (nearest(queries, mapped, 4)[1] == np.argsort(-(queries @ held.T), axis=1)[:, :4]).all()
