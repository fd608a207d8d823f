"""Read a YAML file with the scalars of YAML 1.2, every value with its place, and nothing that could surprise.

PyYAML splits the text into events; the values are made here, since its own loaders follow YAML 1.1
(``1e-5`` is text, ``no`` is false, ``1:30`` is ninety), keep the last of two equal fields and take aliases
without end. Tags, merge keys and second documents have no use in a sweep file and are refused.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from xsweep.errors import UsageError
from xsweep.spec.node import Findings, Node, shown, step_into

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_NODES = 50_000

_INT = re.compile(r"[-+]?[0-9]{1,4000}|0o[0-7]{1,1000}|0x[0-9a-fA-F]{1,1000}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class _UnreadableError(Exception):
    """The text cannot be read any further."""

    def __init__(self, line: int, column: int, what: str) -> None:
        super().__init__(what)
        self.line, self.column, self.what = line, column, what


def read(path: Path, found: Findings) -> Node | None:
    """The file's one value, or None when it cannot be read; what is wrong goes to ``found``."""
    try:
        return _Composer(_text(path), found).document()
    except _UnreadableError as error:
        found.add_at(error.line, error.column, "", error.what)
    return None


def scalar(text: str) -> Any:
    """What an unquoted word means by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, 10 if text[:2] not in ("0o", "0x") else 0)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def written(value: Any) -> str:
    """``value`` as YAML, in its own order, text of several lines as a block."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000))


class _Dumper(yaml.SafeDumper):
    """Without anchors, which would stand wherever a value occurs twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)


def _near(path: Path) -> str:
    """What may have been meant by a path without a file."""
    if path.exists():
        return ""
    there = sorted(path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, [other.name for other in there], n=1)
    if close:
        return f"; did you mean {path.parent / close[0]}?"
    return f"; `xsweep init {path}` writes one to start from"


def _text(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            data = handle.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}{_near(path)}") from error
    if len(data) > MAX_BYTES:
        raise _UnreadableError(1, 1, "the file is larger than 1 MiB; a sweep file is a few pages at most")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _UnreadableError(1, 1, "the file is written in UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8")
        raise _UnreadableError(
            *_place(before), f"the file is not UTF-8: byte 0x{error.object[error.start]:02x}"
        ) from error


def _place(before: str) -> tuple[int, int]:
    """Line and column after ``before``."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _start(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _is_nothing(event: Any) -> bool:
    """Whether the file has no value here, not even an empty text."""
    return isinstance(event, yaml.ScalarEvent) and event.style is None and event.value == ""


def _short(tag: str) -> str:
    """A tag as it is written in a file."""
    return shown(tag.replace("tag:yaml.org,2002:", "!!")).strip("'")


class _Composer:
    def __init__(self, text: str, found: Findings) -> None:
        self.found = found
        self.anchors: dict[str, Node] = {}
        self.left = MAX_NODES
        self.events = _events(text)

    def document(self) -> Node:
        """The root; raises ``_UnreadableError`` when there is none, or two."""
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _UnreadableError(*_start(event), "a second document starts here; a sweep file is one")
                root = self.node(next(self.events), "", 0)
        if root is None or root.value is None:
            raise _UnreadableError(1, 1, "the file is empty")
        if not isinstance(root.value, dict):
            what = f"a sweep file holds fields, such as 'name: my-sweep'; this is {shown(root.plain())}"
            raise _UnreadableError(root.line, root.column, what)
        return root

    def node(self, event: Any, path: str, depth: int) -> Node:
        """The value that ``event`` starts."""
        line, column = _start(event)
        self._spend(1, line, column)
        if depth > MAX_DEPTH:
            raise _UnreadableError(line, column, f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, path, line, column)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, Node(None, line, column, path))
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(self._list(path, depth), line, column, path)
        else:
            fields, keys = self._mapping(path, depth)
            node = Node(fields, line, column, path, keys)
        if event.tag is not None:
            self.found.spoil(node, f"tags such as {_short(event.tag)} are not used here; put text in quotes")
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _scalar(self, event: Any, node: Node) -> Node:
        text: str = event.value
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            self.found.spoil(node, f"{shown(text)} holds what is no character")
            return node
        return node.with_value(scalar(text) if event.implicit[0] else text)

    def _list(self, path: str, depth: int) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, step_into(path, len(items)), depth + 1))
        return items

    def _mapping(self, path: str, depth: int) -> tuple[dict[str, Node], dict[str, tuple[int, int]]]:
        fields: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.node(event, path, depth + 1)
            name = key.value if isinstance(key.value, str) else "?"
            inner = next(self.events)
            value = self.node(inner, step_into(path, name), depth + 1)
            if _is_nothing(inner):
                value = replace(value, line=key.line, column=key.column)
            if not isinstance(key.value, str):
                self.found.add(key, f"a field's name is text, not {shown(key.plain())}")
            elif name == "<<":
                self.found.add(
                    key, "merge keys (<<) are not used here; write the fields out, or start from `like: NAME`"
                )
            elif name in fields:
                self.found.add_at(key.line, key.column, value.path, f"given twice; first in line {keys[name][0]}")
            else:
                fields[name] = value
                keys[name] = (key.line, key.column)
        return fields, keys

    def _alias(self, name: str | None, path: str, line: int, column: int) -> Node:
        if name is None or name not in self.anchors:
            raise _UnreadableError(line, column, f"*{name} stands for nothing: no finished &{name} comes before it")
        return self._copy(self.anchors[name], path, line, column)

    def _copy(self, node: Node, path: str, line: int, column: int) -> Node:
        """The same value under another path; it keeps the place where it was written."""
        self._spend(1, line, column)
        value = node.value
        if isinstance(value, dict):
            value = {k: self._copy(v, step_into(path, k), line, column) for k, v in value.items()}
        elif isinstance(value, list):
            value = [self._copy(v, step_into(path, i), line, column) for i, v in enumerate(value)]
        return Node(value, node.line, node.column, path, node.keys)

    def _spend(self, nodes: int, line: int, column: int) -> None:
        self.left -= nodes
        if self.left < 0:
            raise _UnreadableError(line, column, f"more than {MAX_NODES} values, aliases written out")


def _events(text: str) -> Iterator[Any]:
    """PyYAML's events; raises ``_UnreadableError``, in plain words, where it stumbles."""
    try:
        yield from yaml.parse(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        raise _UnreadableError(
            *_place(text[: error.position]), f"character U+{ord(text[error.position]):04X} cannot stand here"
        ) from error
    except yaml.MarkedYAMLError as error:
        raise _in_plain_words(error) from error
    except (ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF"
        raise _UnreadableError(1, 1, f"this is not YAML: {error}") from error


def _in_plain_words(error: yaml.MarkedYAMLError) -> _UnreadableError:
    problem, context = error.problem or "", error.context or ""
    mark = error.problem_mark or error.context_mark
    if "'\\t'" in problem:
        what = "a tab stands where spaces indent"
    elif context.startswith("while parsing a flow"):
        mark = error.context_mark or mark
        what = f"this {'[' if 'sequence' in context else '{'} is not closed as it should be"
    elif context in ("while scanning a quoted scalar", "while scanning a double-quoted scalar"):
        what = "this text in quotes is not as it should be: " + problem
        if "end of stream" in problem:
            mark, what = error.context_mark or mark, "this quote is never closed"
    elif problem == "mapping values are not allowed here":
        what = "a ':' too many; text that holds ': ' needs quotes, and fields of one mapping the same indent"
    elif problem.startswith("expected <block end>"):
        what = "the indent does not fit the lines above"
    elif problem == "could not find expected ':'":
        mark = error.context_mark or mark
        what = "a field needs a ':' after its name"
    else:
        what = f"this is not YAML: {problem}"
    return _UnreadableError(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, what)
