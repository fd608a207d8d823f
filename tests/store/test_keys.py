from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsweep.store.keys import canonical, content_key

# These may never change: a changed key throws away every finished stage of every user.
GOLDEN = [
    ({}, "44136fa355b3678a1146ad16f7e8649e"),
    ({"b": 1, "a": [None, True, "é"]}, "58064a6eabcd16ba44b3a10dfbde7bf1"),
    ({"lr": 1e-5, "epochs": 3}, "df9363068684c7faa4b979970050ffe1"),
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(("value", "key"), GOLDEN)
def test_golden_keys(value: Any, key: str) -> None:
    assert content_key(value) == key


def test_canonical_text() -> None:
    assert canonical({"b": (1, 2.0), "a": {"é": None}}) == '{"a":{"é":null},"b":[1,2.0]}'


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (1, True),
        (0, False),
        ("1", 1),
        (None, "null"),
        ([], {}),
        (1e-5, 1.0000000000000001e-5 * 2),
        ("a", ["a"]),
    ],
)
def test_unequal_values_have_unequal_keys(left: Any, right: Any) -> None:
    assert content_key(left) != content_key(right)


@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_order_of_insertion_does_not_matter(value: dict[str, Any]) -> None:
    assert content_key(dict(reversed(value.items()))) == content_key(value)


@pytest.mark.parametrize(
    ("value", "error", "where"),
    [
        ({"a": [1, math.nan]}, ValueError, r"\$\.a\[1\]"),
        ({"a": math.inf}, ValueError, r"\$\.a"),
        ({"a": {1: 2}}, TypeError, r"\$\.a: the key 1"),
        ({"a": {1, 2}}, TypeError, r"\$\.a: a set"),
        ([object()], TypeError, r"\$\[0\]: a object"),
        (b"bytes", TypeError, r"\$: a bytes"),
    ],
)
def test_the_unstable_raises_and_names_its_place(value: Any, error: type[Exception], where: str) -> None:
    with pytest.raises(error, match=where):
        content_key(value)
