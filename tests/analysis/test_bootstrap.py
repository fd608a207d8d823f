from __future__ import annotations

import numpy as np
import pytest

from tests import made_up
from xsweep.analysis.bootstrap import over_seeds, score_samples
from xsweep.analysis.evp import EVP, evp, expected_best
from xsweep.analysis.predictions import Parts


def parts(values: np.ndarray, ids: np.ndarray | None = None, of: float = 1.0) -> Parts:
    rows = np.arange(len(values), dtype=np.int32) if ids is None else ids.astype(np.int32)
    return Parts(rows, values.astype(np.float32), np.full(len(values), of, np.float32))


def made(seeds: int, examples: int) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(0)
    base = source.normal(0, 1, (seeds, examples))
    shift = source.normal(0, 0.6, (seeds, 1))
    return base + 1 + shift + source.normal(0, 1, (1, examples)), base


def test_the_spread_is_that_of_seeds_and_rows_crossed() -> None:
    seeds, examples = 12, 400
    treated, base = made(seeds, examples)
    samples = score_samples([[parts(values)] for values in (*treated, *base)], 4000, "goal")
    gains = 100 * (treated - base)
    found = over_seeds(gains.mean(axis=1), samples[:, :seeds] - samples[:, seeds:])
    rows, columns = gains.mean(axis=1), gains.mean(axis=0)
    residual = gains - rows[:, None] - columns + gains.mean()
    ideal = rows.var() / seeds + columns.var() / examples + residual.var() / (seeds * examples)
    assert found.value == pytest.approx(gains.mean())
    assert found.samples.var() == pytest.approx(ideal, rel=0.1)
    for low, high in (found.percentile(), found.bca()):
        assert low < found.value < high


def test_parallel_rows_are_drawn_once_for_all_languages() -> None:
    """Languages of equal scores get the samples of one, and the short cut for parallel sets those of the long way."""
    treated, _ = made(5, 50)
    one = score_samples([[parts(values)] for values in treated], 200, "goal")
    two = score_samples([[parts(values), parts(values)] for values in treated], 200, "goal")
    weighed = score_samples([[parts(2 * values, of=2), parts(values)] for values in treated], 200, "goal")
    assert np.allclose(one, two, atol=1e-3)
    assert np.allclose(two, weighed, atol=1e-3)
    assert not np.allclose(one, score_samples([[parts(values)] for values in treated], 200, "other"), atol=1e-3)


def test_languages_with_rows_of_their_own_are_means_of_what_they_have() -> None:
    treated, _ = made(4, 60)
    fewer = [[parts(values), parts(values[:30], np.arange(30) * 2)] for values in treated]
    samples = score_samples(fewer, 3000, "goal")
    own = [100 * (values.mean() + values[:30].mean()) / 2 for values in treated]
    assert np.isfinite(samples).all()
    assert samples.mean(axis=0) == pytest.approx(own, abs=1.0)


def test_the_best_of_one_is_the_mean_and_of_all_the_largest() -> None:
    scores = [50.0, 0.0, 70.0, 60.0]
    assert list(expected_best(scores, 1)) == pytest.approx([45.0, 45.0])
    assert expected_best(scores, 4)[1] == pytest.approx(70.0)
    # Of two drawn without replacement: 70 in three of six pairs, 60 in two, 50 in one.
    assert expected_best(scores, 2)[1] == pytest.approx((3 * 70 + 2 * 60 + 50) / 6)
    ranked = [0.0, 50.0, 60.0, 70.0]
    with_replacement = np.mean([max(one, other) for one in ranked for other in ranked])
    assert expected_best(scores, 2)[0] == pytest.approx(with_replacement)


def test_a_lost_trial_stays_in_at_nothing() -> None:
    sweep = made_up.sweep()
    records = made_up.records(sweep, statuses={("target", ("small", "snli", "xnli", 0)): "diverged"})
    table = evp(records)
    assert table.schema == EVP
    lost = table.filter(model="small", arm="snli", target="xnli")
    assert lost.select("trials", "k", "expected").rows() == [(2, 1, 0.0), (2, 2, 0.0)]
    assert table.filter(model="small", arm="snli", target="xquad", k=2)["unbiased"].item() == 61.0
