"""Shorthands of the sweep file, written out: from node to node, each keeping its place in the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from xsweep.models.model import Model
from xsweep.spec.node import Findings, Node, shown
from xsweep.spec.words import did_you_mean
from xsweep.tasks.task import Task

Entry = TypeVar("Entry", Task, Model)


def like(node: Node, catalogue: Mapping[str, Entry], kind: str, found: Findings) -> tuple[Node, Entry | None]:
    """A mapping that starts from a catalogue entry (``like: NAME``): the entry's fields, overridden by its own.

    Returns the mapping, and the entry that it starts from; the entry is None, and ``like`` still among the
    mapping's fields, when there is none of that name.
    """
    if "like" not in node.fields:
        return node, None
    name = node.fields["like"]
    if not isinstance(name.value, str) or name.value not in catalogue:
        hint = did_you_mean(str(name.plain()), catalogue)
        found.add(name, f"there is no {kind} {shown(name.plain())} in the catalogue{hint}")
        return node, None
    base = catalogue[name.value]
    inherited = {field: _finished(getattr(base, field), name) for field in type(base).model_fields}
    own = {key: inner for key, inner in node.fields.items() if key != "like"}
    return node.with_value({**inherited, **own}), base


def _finished(value: object, place: Node) -> Node:
    """A finished value at a place of the file; a mapping becomes one of nodes, as every mapping of the file is."""
    if isinstance(value, Mapping):
        return place.with_value({key: place.with_value(inner) for key, inner in value.items()})
    return place.with_value(value)


def task(node: Node, catalogue: Mapping[str, Task], found: Findings) -> Node:
    """A task of the file's own, which may start from one of the catalogue; one mapping of rows stands for a list."""
    own = node.fields
    node, base = like(node, catalogue, "task", found)
    if base is not None:
        # The number of rows was the other training set's.
        gone = {"name", "rows"} if "train" in own else {"name"}
        node = node.with_value({key: inner for key, inner in node.fields.items() if key in own or key not in gone})
        if "languages" in own:
            chosen = [item.value for item in own["languages"].items]
            inherited = {field: node.at(field) for field in ("language_names", "elsewhere") if field not in own}
            for field, by_code in inherited.items():
                kept = {code: value for code, value in by_code.fields.items() if code in chosen}
                node = node.with_fields(**{field: by_code.with_value(kept)})
    single = {part: node.at(part) for part in ("train", "selection") if part in node.fields and node.at(part).fields}
    return node.with_fields(**{part: rows.with_value([rows]) for part, rows in single.items()})


def model(node: Node, catalogue: Mapping[str, Model], folder: Path, found: Findings) -> Node:
    """A model of the file's own; its ``path`` is taken from the file's ``folder`` and made absolute."""
    own = node.fields
    node, base = like(node, catalogue, "model", found)
    if base is not None:
        # Another checkpoint is not described by what was said of the first one.
        gone = {"id", "path", "revision", "params", "embedding_params"} if {"id", "path"} & set(own) else set()
        node = node.with_value({key: inner for key, inner in node.fields.items() if key in own or key not in gone})
    path = node.fields.get("path")
    if path is None or not isinstance(path.value, str) or not path.value:
        return node
    return node.with_fields(path=path.with_value(os.path.abspath(folder / path.value)))


def layout(node: Node) -> Node:
    """The layout, and those of single models, without what says ``auto``: left out, it is chosen."""
    told = {key: inner for key, inner in node.fields.items() if inner.value != "auto"}
    if "models" in told and told["models"].fields:
        each = told["models"]
        told["models"] = each.with_value({name: layout(inner) for name, inner in each.fields.items()})
    return node.with_value(told) if node.fields else node


def search(node: Node, found: Findings) -> Node:
    """The search with both its spaces written out."""
    spaces = {name: _space(node.fields[name], found) for name in ("intermediate", "target") if name in node.fields}
    return node.with_fields(**spaces) if spaces else node


def _space(node: Node, found: Findings) -> Node:
    ends = {name: _range(node.fields[name], found) for name in ("lr", "epochs") if name in node.fields}
    if "models" in node.fields and (by_model := node.fields["models"]).fields:
        ends["models"] = by_model.with_value({name: _space(own, found) for name, own in by_model.fields.items()})
    return node.with_fields(**ends) if ends else node


def _range(node: Node, found: Findings) -> Node:
    """``3`` is the range from 3 to 3; ``[1, 3]`` the one from 1 to 3."""
    if len(node.items) == 2:
        low, high = node.items
    elif isinstance(node.value, list):
        found.spoil(node, f"must be a number, or a range as [LOW, HIGH]; not a list of {len(node.items)}")
        return node
    elif node.fields:
        return node
    else:
        low = high = node
    return node.with_value({"low": low, "high": high})


def sampling(node: Node) -> Node:
    """``uniform`` is the mapping ``{shares: uniform}``."""
    return node.with_value({"shares": node}) if isinstance(node.value, str) else node


def seeds(node: Node, found: Findings) -> Node:
    """``3`` is the list 1, 2, 3."""
    if isinstance(node.value, list):
        return node
    if type(node.value) is int and 1 <= node.value <= 1000:
        return node.with_value([node.with_value(seed) for seed in range(1, node.value + 1)])
    found.add(node, f"must be a list, or a number up to 1000 (3 stands for 1, 2, 3); not {shown(node.plain())}")
    return node.with_value([])
