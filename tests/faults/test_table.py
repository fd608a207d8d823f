"""The fault table names tests that exist, and has every row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.faults.points import points

ROOT = Path(__file__).resolve().parents[2]
TABLE = (Path(__file__).parent / "README.md").read_text()
NAMED = sorted(set(re.findall(r"(tests/\S+\.py)::(\w+)", TABLE)))


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_it_names_is_there(file: str) -> None:
    there = {node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)}
    assert {name for path, name in NAMED if path == file} <= there


def test_every_row_is_tested_or_has_its_reason() -> None:
    tested, reasons = TABLE.split("Security:")[0], TABLE.split("Not tested:")[1]
    rows = {int(n) for line in re.findall(r"^\| ([\d, ]+) \|", tested, re.M) for n in line.split(",")}
    left = {int(n) for line in re.findall(r"^- ([^(]+\()", reasons, re.M) for n in re.findall(r"\d+", line)} | {23}
    assert rows | left == set(range(1, 41))
    assert rows & left == set()


def test_every_failpoint_is_listed() -> None:
    assert all(f"`{point}`" in TABLE for point in points("store", "train", "tracking", "engine"))
