from __future__ import annotations

import numpy as np
import pytest

from tests import made_up
from xsweep.analysis.bootstrap import crossed_bootstrap
from xsweep.analysis.evp import EVP, evp, expected_best


def drawn(seeds: int, languages: int, examples: int) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(0)
    shift = source.normal(0, 0.6, (seeds, 1, 1))
    base = source.normal(0, 1, (seeds, languages, examples))
    return (base + 1 + shift + source.normal(0, 1, (1, 1, examples))).astype(np.float32), base.astype(np.float32)


def test_the_spread_is_that_of_seeds_and_examples_crossed() -> None:
    seeds, examples = 12, 400
    treated, base = drawn(seeds, 1, examples)
    (found,) = crossed_bootstrap(treated, base, 4000)
    gains = (treated - base)[:, 0].astype(np.float64)
    rows, columns = gains.mean(axis=1), gains.mean(axis=0)
    residual = gains - rows[:, None] - columns + gains.mean()
    ideal = rows.var() / seeds + columns.var() / examples + residual.var() / (seeds * examples)
    assert found.value == pytest.approx(gains.mean(), abs=1e-5)
    assert found.samples.var() == pytest.approx(ideal, rel=0.1)
    for low, high in (found.percentile(), found.bca()):
        assert low < found.value < high


def test_one_draw_of_examples_serves_every_language() -> None:
    """Two languages of equal scores get equal samples, in any order of the languages."""
    treated, base = drawn(5, 1, 50)
    twice = crossed_bootstrap(np.repeat(treated, 2, axis=1), np.repeat(base, 2, axis=1), 200, seed=3)
    assert np.allclose(twice[0].samples, twice[1].samples)
    assert np.array_equal(
        twice[0].samples, crossed_bootstrap(np.repeat(treated, 2, 1), np.repeat(base, 2, 1), 200, 3)[0].samples
    )


def test_an_example_that_a_language_lacks_counts_in_neither() -> None:
    treated, base = drawn(4, 2, 60)
    treated[:, 1, 30:] = base[:, 1, 30:] = np.nan
    found = crossed_bootstrap(treated, base, 500)[1]
    assert found.value == pytest.approx(float((treated - base)[:, 1, :30].mean()), abs=1e-5)
    assert np.isfinite(found.samples).all()


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
