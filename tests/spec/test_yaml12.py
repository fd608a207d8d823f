from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xsweep.spec.node import Findings, Node
from xsweep.spec.yaml12 import read, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5), ("12e03", 12000.0), ("1E5", 1e5), (".5", 0.5), ("1.", 1.0), ("-0.5", -0.5), ("+1.5", 1.5),
        ("1e400", math.inf), ("-.INF", -math.inf), (".inf", math.inf),
        ("0", 0), ("-3", -3), ("+3", 3), ("010", 10), ("0o17", 15), ("0x1F", 31), ("9" * 5000, math.inf),
        ("true", True), ("False", False), ("TRUE", True), ("null", None), ("~", None), ("", None),
        ("no", "no"), ("on", "on"), ("yes", "yes"), ("y", "y"), ("off", "off"), ("tRUE", "tRUE"),
        ("1_000", "1_000"), ("1:30", "1:30"), ("2020-01-01", "2020-01-01"), ("0b11", "0b11"), ("1e", "1e"),
        ("e5", "e5"), (".", "."), ("-", "-"), ("inf", "inf"), ("nan", "nan"), ("560M", "560M"), ("١", "١"),
    ],
)  # fmt: skip
def test_scalars_of_yaml_1_2(text: str, value: Any) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(scalar(".nan"))
    assert math.isnan(scalar(".NaN"))


@given(st.floats(allow_nan=False))
def test_floats_come_back(number: float) -> None:
    text = repr(number).replace("inf", ".inf")
    assert scalar(text) == number


@given(st.integers())
def test_whole_numbers_come_back(number: int) -> None:
    assert scalar(str(number)) == number


def parsed(path: Path, text: str | bytes) -> Node:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = Findings(str(path))
    node = read(path, found)
    assert node is not None
    assert found.problems == []
    return node


def test_values_know_their_places(tmp_path: Path) -> None:
    node = parsed(tmp_path / "f", "name: größe\nsearch:\n  lr: {low: 1e-5}\nseeds:\n  - 1\n  - 22\n")
    assert node.plain() == {"name": "größe", "search": {"lr": {"low": 1e-5}}, "seeds": (1, 22)}
    low, second = node.at("search", "lr", "low"), node.at("seeds", 1)
    assert (low.line, low.column, low.path) == (3, 13, "search.lr.low")
    assert (second.line, second.column, second.path) == (6, 5, "seeds[1]")
    assert node.at("search").keys["lr"] == (3, 3)


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfa: 1\nb: x\n",
        b"a: 1\r\nb: x\r\n",
        b"%YAML 1.2\n---\na: 1\nb: x\n...\n",
        b"{a: 1, b: x}",
        b"\n\n# c\na: 0x1\n'b': \"x\"",
    ],
    ids=["byte-order mark", "CRLF", "directive", "flow", "comments"],
)
def test_the_same_value_in_many_ways(tmp_path: Path, text: bytes) -> None:
    assert parsed(tmp_path / "f", text).plain() == {"a": 1, "b": "x"}


def test_quoted_is_text(tmp_path: Path) -> None:
    assert parsed(tmp_path / "f", "a: ['1', \"true\", no, ~]").plain() == {"a": ("1", "true", "no", None)}


def test_an_alias_has_the_path_of_its_use_and_the_place_of_its_text(tmp_path: Path) -> None:
    node = parsed(tmp_path / "f", "a: &x {lr: [1]}\nb: *x\n")
    assert node.plain() == {"a": {"lr": (1,)}, "b": {"lr": (1,)}}
    inner = node.at("b", "lr", 0)
    assert (inner.path, inner.line, inner.column) == ("b.lr[0]", 1, 13)


KEYS = st.text("abcxyz_-", min_size=1, max_size=8).filter(
    lambda text: scalar(text) == text and not text.startswith("-")
)
TEXTS = st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_json_is_yaml_1_2(tmp_path: Path, value: dict[str, Any]) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert parsed(tmp_path / "f", text).plain() == tuples(value)


def tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value
