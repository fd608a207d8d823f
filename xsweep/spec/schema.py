"""The JSON schema of the sweep file, made from the declarations that load it, with the shorthands that expand to them.

An editor completes and checks by it. What fields say about each other, only ``load_sweep`` checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xsweep.models.catalog import MODELS
from xsweep.models.model import Model
from xsweep.spec.sweep import Sweep
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.task import Declared, Task
from xsweep.tasks.text_below import text_below

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def sweep_schema(tasks: Mapping[str, Task] = CATALOG, models: Mapping[str, Model] = MODELS) -> Schema:
    """The schema of a sweep file; ``tasks`` and ``models`` are what its names stand for."""
    whole = Sweep.model_json_schema()
    parts: dict[str, Schema] = whole["$defs"]
    describe(whole, Sweep, declarations())
    named = {"anyOf": [{"enum": [*tasks]}, {"type": "string", "description": "a task of the file's own"}]}
    _tasks(parts["Task"], [*tasks])
    _like(parts["Model"], [*models])
    _arms(parts, named)
    _or(parts["Layouts"], "auto", but=("models",))
    _or(parts["Fit"], "auto")
    parts["Target"]["properties"]["task"] = _said(parts["Target"], "task") | named
    parts["Target"]["required"] = ["task"]  # its languages are the task's
    for name in ("LogUniform", "IntRange"):
        parts[name] = _range(parts[name])
    fields = whole["properties"]
    fields["models"]["items"] = {"anyOf": [{"enum": [*models]}, {"$ref": "#/$defs/Model"}]}
    fields["arms"]["items"] = {"anyOf": [{"const": "none"}, named, {"$ref": "#/$defs/Arm"}]}
    fields["targets"]["items"] = {"anyOf": [named, {"$ref": "#/$defs/Target"}]}
    for name in ("models", "arms", "targets"):
        fields[name]["minItems"] = 1
    count = {"type": "integer", "minimum": 1, "maximum": 1000, "description": "3 stands for 1, 2, 3"}
    fields["seeds"] = _said(whole, "seeds") | {"anyOf": [_bare(fields["seeds"]), count]}
    own = {"type": "array", "items": {"$ref": "#/$defs/Task"}, "minItems": 1, "description": "Tasks of the file's own."}
    fields["tasks"] = own
    return {"$schema": DIALECT, **whole, "title": "xsweep sweep file"}


def _tasks(task: Schema, known: list[str]) -> None:
    """One mapping of rows stands for a list of one; a task like another may say nothing but its name."""
    for part in ("train", "selection"):
        rows = task["properties"][part]
        task["properties"][part] = _said(task, part) | {"anyOf": [_bare(rows), rows["items"]]}
    needed = [name for name in task["required"] if name != "name"]
    _like(task, known)
    task |= {"required": ["name"], "anyOf": [{"required": ["like"]}, {"required": needed}]}


def _like(entry: Schema, known: list[str]) -> None:
    entry["properties"]["like"] = {"enum": known, "description": "Start from this entry of the catalogue."}


def _arms(parts: dict[str, Schema], named: Schema) -> None:
    arm, text = parts["Arm"], parts["MaskedText"]
    arm["properties"]["tasks"] = _said(arm, "tasks") | {"anyOf": [named, {"type": "array", "items": named}]}
    text["properties"]["task"] = _said(text, "task") | named
    shares = parts["Sampling"]["properties"]["shares"]["enum"]
    arm["properties"]["sampling"] = _said(arm, "sampling") | {"anyOf": [{"$ref": "#/$defs/Sampling"}, {"enum": shares}]}


def _range(ends: Schema) -> Schema:
    """``3`` is the range from 3 to 3; ``[1, 3]`` the one from 1 to 3."""
    end = {key: value for key, value in ends["properties"]["low"].items() if key not in ("title", "description")}
    pair = {"type": "array", "items": end, "minItems": 2, "maxItems": 2}
    return {"description": ends["description"], "anyOf": [end, pair, _bare(ends)]}


def _or(part: Schema, word: str, but: tuple[str, ...] = ()) -> None:
    """Each field of a declaration may also be ``word``."""
    for name, field in part["properties"].items():
        if name not in but:
            part["properties"][name] = _said(part, name) | {"anyOf": [_bare(field), {"const": word}]}


def _bare(field: Schema) -> Schema:
    return {key: value for key, value in field.items() if key not in ("title", "description", "default")}


def _said(part: Schema, name: str) -> Schema:
    """What is told of a field besides what it may be."""
    return {key: value for key, value in part["properties"][name].items() if key in ("description", "default")}


def describe(whole: Schema, root: type[Any], kinds: Iterable[type[Any]]) -> None:
    """Give every field of ``root``, and of those ``kinds`` that it is made of, the docstring that stands below it."""
    parts = whole.get("$defs", {})
    _describe(whole, root)
    for kind in kinds:
        for name in (kind.__name__, f"{kind.__module__}.{kind.__name__}".replace(".", "__")):
            if name in parts:
                _describe(parts[name], kind)


def declarations(kind: type[Declared] = Declared) -> Iterator[type[Declared]]:
    """Every declaration that a sweep file is made of."""
    for inner in kind.__subclasses__():
        yield inner
        yield from declarations(inner)


def _describe(part: Schema, kind: type[Any]) -> None:
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("xsweep."):
            for name, said in text_below(base).items():
                if name in part.get("properties", ()):
                    part["properties"][name]["description"] = said
