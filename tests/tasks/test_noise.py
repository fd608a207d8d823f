from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xsweep.tasks.features import NO_LABEL, Features, Noise
from xsweep.tasks.noise import hide

START, END, MASK = 0, 2, 4


def features(lengths: list[int]) -> Features:
    rows = [[START, *range(10 + 50 * row, 10 + 50 * row + length), END] for row, length in enumerate(lengths)]
    return Features(
        ids=np.concatenate(rows).astype(np.int32),
        offsets=np.cumsum([0, *map(len, rows)], dtype=np.int64),
        example=np.arange(len(rows), dtype=np.int32),
        targets=np.zeros(len(rows), dtype=np.int32),
        noise=Noise(MASK, (START, END, MASK)),
    )


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(0, 2**32))
def test_what_is_hidden_is_asked_and_the_rest_is_shown(lengths: list[int], seed: int) -> None:
    clean = features(lengths)
    hidden = hide(clean, seed)
    assert hidden.labels is not None
    asked = hidden.labels != NO_LABEL
    assert (hidden.labels[asked] == clean.ids[asked]).all()
    assert (hidden.ids[~asked] == clean.ids[~asked]).all()
    assert not asked[np.isin(clean.ids, (START, END))].any()
    assert not np.isin(hidden.ids[asked], (START, END)).any()
    assert (hidden.weights >= 1).all()
    assert hidden.weights.sum() == asked.sum()
    again = hide(clean, seed)
    assert (again.ids == hidden.ids).all()


def test_the_shares_are_those_of_bert() -> None:
    clean = features([40] * 2000)
    hidden = hide(clean, 7)
    assert hidden.labels is not None
    asked = hidden.labels != NO_LABEL
    share = asked.sum() / (~np.isin(clean.ids, (START, END))).sum()
    masked = (hidden.ids[asked] == MASK).mean()
    kept = (hidden.ids[asked] == clean.ids[asked]).mean()
    assert abs(share - 0.15) < 0.005
    assert abs(masked - 0.8) < 0.02
    assert abs(kept - 0.1) < 0.02
    other = hide(clean, 8)
    assert (other.ids != hidden.ids).any()
