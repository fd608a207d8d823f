"""A value of the sweep file that knows where it stands, and the list of what is wrong with the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from xsweep.errors import Problem

_PLAIN_KEY = re.compile(r"[\w.-]{1,64}")


@dataclass(frozen=True)
class Node:
    """One value of the file: a scalar, a list of nodes, a mapping to nodes, or a finished Python value.

    Shorthands are expanded from node to node, so that whatever grows out of a value keeps its place.
    """

    value: Any
    line: int
    column: int
    """Both count from 1."""
    path: str
    """As people write it, such as ``models[0].name``; empty for the whole file."""
    keys: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Line and column of each field's name, for mappings."""

    @property
    def fields(self) -> Mapping[str, Node]:
        """The mapping's fields; none for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The list's items; none for anything else."""
        return self.value if isinstance(self.value, list) else []

    def with_value(self, value: Any) -> Node:
        """Another value at the same place."""
        return replace(self, value=value)

    def with_fields(self, **fields: Node) -> Node:
        """The same mapping with fields added or replaced."""
        return self.with_value({**self.fields, **fields})

    def at(self, *steps: str | int) -> Node:
        """The node at the end of ``steps``, or the last one on the way that the file has."""
        node = self
        for step in steps:
            if isinstance(step, str) and step in node.fields:
                node = node.fields[step]
            elif isinstance(step, int) and step < len(node.items):
                node = node.items[step]
            else:
                break
        return node

    def plain(self) -> Any:
        """The value without its places: scalars, tuples and dictionaries."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return tuple(node.plain() for node in self.value)
        return self.value


def step_into(path: str, step: str | int) -> str:
    """The path of a field or an item of the value at ``path``."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    name = step if _PLAIN_KEY.fullmatch(step) else shown(step)
    return f"{path}.{name}" if path else name


def shown(value: Any) -> str:
    """A value as a message shows it: as in YAML, on one line, short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class Findings:
    """What is wrong with one file, gathered until the end so that all is said at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._problems: set[Problem] = set()
        self._spoilt: set[tuple[int, int]] = set()

    def add(self, node: Node, what: str, *steps: str | int) -> None:
        """Say what is wrong with ``node``, or with what ``steps`` lead to from it, there or not."""
        left = list(steps)
        while left and (inner := node.at(left[0])) is not node:
            node = inner
            left.pop(0)
        path = node.path
        for step in left:
            path = step_into(path, step)
        if (node.line, node.column) not in self._spoilt:
            self.add_at(node.line, node.column, path, what)

    def spoil(self, node: Node, what: str) -> None:
        """Say what is wrong with ``node``, and nothing more of it later: its value means nothing."""
        self.add(node, what)
        self._spoilt.add((node.line, node.column))

    def add_at(self, line: int, column: int, path: str, what: str) -> None:
        """Say what is wrong at a place that has no node."""
        self._problems.add(Problem(self.file, line, column, path, what))

    @property
    def problems(self) -> list[Problem]:
        """All problems, each once, in file order."""
        return sorted(self._problems)


def listed(names: Iterable[str]) -> str:
    """Names in one line: ``a, b and c``."""
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last
