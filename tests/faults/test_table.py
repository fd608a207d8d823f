"""The fault table names tests that exist, and has every row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.faults.points import points
from tests.spec.test_bad_files import SYNTAX, cases

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


def test_each_of_the_44_wrong_files_has_its_case() -> None:
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", TABLE.split("44 ways")[1].split("Not tested:")[0], re.M)
    assert [int(number) for number, _ in rows] == list(range(1, 45))
    known = {case.name for case in cases()} | {name for name, _, _ in SYNTAX}
    assert {name for _, where in rows for name in re.findall(r"`([^`]+)`", where)} <= known
    assert all("`" in where or "tests/" in where or where.startswith("cannot be written") for _, where in rows)


def test_every_failpoint_is_listed() -> None:
    assert all(f"`{point}`" in TABLE for point in points("store", "train", "tracking", "engine"))
