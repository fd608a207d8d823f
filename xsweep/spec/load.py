"""From a sweep file to a ``Sweep``: read, write shorthands out, check, and say everything that is wrong at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from xsweep.errors import SpecError
from xsweep.models.catalog import MODELS
from xsweep.models.model import Model
from xsweep.spec import check, expand
from xsweep.spec.check import Part
from xsweep.spec.check_control import controls
from xsweep.spec.check_search import budget, schedule, spending
from xsweep.spec.check_task import check_languages, check_task
from xsweep.spec.node import Findings, Node, shown
from xsweep.spec.sweep import Arm, Budget, Layouts, Search, Sweep, Target, Training
from xsweep.spec.words import did_you_mean, unknown_field, validated
from xsweep.spec.yaml12 import read
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.task import Task

T = TypeVar("T")


def load_sweep(path: str | Path, *, tasks: Mapping[str, Task] = CATALOG, models: Mapping[str, Model] = MODELS) -> Sweep:
    """The sweep that the file at ``path`` declares; ``tasks`` and ``models`` are what its names stand for.

    Raises ``SpecError`` with every problem as ``file:line:column path: what``, or ``UsageError`` when there
    is no such file. Nothing is written, and no data is read.
    """
    found = Findings(str(path))
    root = read(Path(path), found)
    if root is not None:
        values = _Loader(Path(path).parent, tasks, models, found).values(root)
        if not found.problems:
            return Sweep(**values)
    raise SpecError(found.problems)


class _Loader:
    def __init__(self, folder: Path, tasks: Mapping[str, Task], models: Mapping[str, Model], found: Findings) -> None:
        self.folder = folder
        self.catalogue = tasks
        self.tasks: dict[str, Task | None] = dict(tasks)
        """By name; None for a task of the file's own that is wrong, of which enough is said elsewhere."""
        self.models = models
        self.found = found

    def values(self, root: Node) -> dict[str, Any]:
        """The sweep's fields; whole only when nothing was found."""
        self._field_names(root)
        self._parts(root, "tasks", self._own_task, "")
        models = self._parts(root, "models", self._model, "a model's name or ")
        arms = self._parts(root, "arms", self._arm, "a task's name or ")
        targets = self._parts(root, "targets", self._target, "a task's name or ")
        values = self._simple(root)
        check.models(models, self.found)
        if root.at("arms").items:
            check.arms(root.at("arms"), arms, self.found)
            controls(arms, [target for target, _ in targets], self.found)
        check.targets(targets, self.found)
        self._across(root, values, [arm for arm, _ in arms], [target for target, _ in targets])
        if isinstance(layout := values.get("layout"), Layouts):
            check.layout_models(layout, [model.name for model, _ in models], root, self.found)
        if isinstance(training := values.get("train"), Training):
            check.freeze(training, [model for model, _ in models], root, self.found)
            schedule(training, root, self.found)
        self._spending(root, values, models, [target for target, _ in targets])
        for name, parts in (("models", models), ("arms", arms), ("targets", targets)):
            values[name] = tuple(part.value for part in parts)
        return values

    def _field_names(self, root: Node) -> None:
        known = [*Sweep.model_fields, "tasks"]
        for name in root.fields:
            if name not in known:
                unknown_field(root, name, known, self.found)
        for name, field in Sweep.model_fields.items():
            if field.is_required() and name not in root.fields:
                self.found.add(root, "is missing", name)

    def _parts(self, root: Node, name: str, one: Callable[[Node], T | None], short: str) -> list[Part[T]]:
        """The items of a list that are right, each with its node.

        ``short`` says what text may stand for an item; empty when it may not.
        """
        if name not in root.fields:
            return []
        node = root.fields[name]
        if not node.items:
            is_list = isinstance(node.value, list)
            self.found.add(node, "must not be empty" if is_list else f"must be a list, not {shown(node.plain())}")
        parts = []
        for item in node.items:
            if not isinstance(item.value, (dict, str) if short else dict):
                self.found.add(item, f"must be {short}a mapping of fields, not {shown(item.plain())}")
            elif (value := one(item)) is not None:
                parts.append(Part(value, item))
        return parts

    def _simple(self, root: Node) -> dict[str, Any]:
        """The fields that stand for themselves, those that are right."""
        nodes = {name: node for name, node in root.fields.items() if name in Sweep.model_fields}
        for name in ("models", "arms", "targets"):
            nodes.pop(name, None)
        if "search" in nodes:
            nodes["search"] = expand.search(nodes["search"], self.found)
        if "layout" in nodes:
            nodes["layout"] = expand.layout(nodes["layout"])
        if "seeds" in nodes:
            nodes["seeds"] = expand.seeds(nodes["seeds"], self.found)
        values = {
            name: validated(Sweep.model_fields[name].rebuild_annotation(), node, self.found)
            for name, node in nodes.items()
        }
        return {name: value for name, value in values.items() if value is not None}

    def _across(self, root: Node, values: dict[str, Any], arms: list[Arm], targets: list[Target]) -> None:
        """Rules between sections, as far as the sections are right."""
        if "name" in values:
            check.name(values["name"], root, self.found)
        seeds: tuple[int, ...] = values.get("seeds", ())
        if "seeds" in values and isinstance(root.at("seeds").value, list):
            check.seeds(seeds, root.at("seeds"), self.found)
        if isinstance(search := values.get("search"), Search):
            check.search(search, seeds, expand.search(root.at("search"), self.found), self.found)
        if isinstance(training := values.get("train"), Training) and arms and targets:
            check.carry(training, arms, targets, root, self.found)
        if isinstance(layout := values.get("layout", Layouts()), Layouts):
            used = [*(task for arm in arms for task in arm.reads), *(target.task for target in targets)]
            check.layout(layout, used, root, self.found)

    def _spending(self, root: Node, values: dict[str, Any], models: list[Part[Model]], targets: list[Target]) -> None:
        """Rules of what spends less, as far as the sections are right."""
        search, training = values.get("search"), values.get("train", Training())
        if isinstance(search, Search) and isinstance(training, Training):
            spending(search, training, models, targets, values.get("seeds", ()), root, self.found)
        if isinstance(limits := values.get("budget"), Budget):
            budget(limits, values.get("layout", None if "layout" in root.fields else Layouts()), root, self.found)

    # Items

    def _own_task(self, node: Node) -> Task | None:
        name = node.fields["name"].value if "name" in node.fields else None
        if isinstance(name, str) and name in self.tasks:
            where = "the catalogue" if name in self.catalogue else "this file"
            self.found.add(node, f"{where} has a task {shown(name)} already; choose another name", "name")
        whole, lost = _without_like(expand.task(node, self.catalogue, self.found))
        value: Task | None = validated(Task, whole, self.found, partial=lost)
        if value is not None:
            check_task(value, whole, self.found)
        if isinstance(name, str):
            self.tasks.setdefault(name, value)
        return value

    def _model(self, node: Node) -> Model | None:
        if isinstance(node.value, str):
            if node.value not in self.models:
                hint = did_you_mean(node.value, self.models)
                self.found.add(node, f"there is no model {shown(node.value)} in the catalogue{hint}")
            return self.models.get(node.value)
        whole, lost = _without_like(expand.model(node, self.models, self.folder, self.found))
        value: Model | None = validated(Model, whole, self.found, partial=lost)
        if value is not None:
            check.model(value, whole, self.models, self.found)
        return value

    def _task(self, node: Node) -> Task | None:
        """The task that ``node`` names."""
        if not isinstance(node.value, str):
            what = f"must be a task's name, not {shown(node.plain())}"
            self.found.add(node, f"{what}; the file's own tasks are declared under `tasks:`")
        elif node.value not in self.tasks:
            self.found.add(node, f"there is no task {shown(node.value)}{did_you_mean(node.value, self.tasks)}")
        else:
            return self.tasks[node.value]
        return None

    def _arm(self, node: Node) -> Arm | None:
        if node.value == "none":
            return Arm(name="none")
        if isinstance(node.value, str):
            node = Node({"name": node, "tasks": node}, node.line, node.column, node.path)
        name = node.at("name").value if "name" in node.fields else None
        names = node.fields.get("tasks")
        untrained = name == "none" or node.at("control").value == "compute-matched"
        if names is None and not untrained and isinstance(name, str) and name in self.tasks:
            names = node.at("name")
        nodes = [] if names is None else names.items if isinstance(names.value, list) else [names]
        tasks = [self._task(item) for item in nodes]
        known = tuple(task for task in tasks if task is not None)
        lost = len(known) < len(tasks)
        if names is not None:
            node = node.with_fields(tasks=names.with_value(known))
        elif not untrained:
            lost = True
            self.found.add(node, "is missing; only an arm that has a task's name may leave it out", "tasks")
        node, unread = self._mixed(node)
        arm: Arm | None = validated(Arm, node, self.found, partial=lost or unread)
        if arm is None or arm.family is not None:
            return arm
        return arm.model_copy(update={"family": arm.derived_family})

    def _mixed(self, node: Node) -> tuple[Node, bool]:
        """An arm whose ``sampling`` is written out and whose ``mlm`` has its text, and whether that is unknown."""
        if "sampling" in node.fields:
            node = node.with_fields(sampling=expand.sampling(node.at("sampling")))
        name = node.at("mlm").fields.get("task")
        if name is None:
            return node, False
        task, fields = self._task(name), dict(node.at("mlm").fields)
        if task is None:
            del fields["task"]
        else:
            fields["task"] = name.with_value(task)
        return node.with_fields(mlm=node.at("mlm").with_value(fields)), task is None

    def _target(self, node: Node) -> Target | None:
        if isinstance(node.value, str):
            node = Node({"task": node}, node.line, node.column, node.path)
        name = node.fields.get("task")
        task = None if name is None else self._task(name)
        if name is None:
            self.found.add(node, "is missing", "task")
        elif task is not None:
            languages = node.fields.get("languages", name.with_value(task.languages))
            node = node.with_fields(task=name.with_value(task), languages=languages)
            if task.test is None or task.format == "text":
                self.found.add(name, f"{task.name} has no test rows, so it cannot be a target")
            else:
                check_languages(task, languages, self.found)
        else:
            node = node.with_value({key: inner for key, inner in node.fields.items() if key != "task"})
        target: Target | None = validated(Target, node, self.found, partial=task is None)
        return target


def _without_like(node: Node) -> tuple[Node, bool]:
    """The mapping without a ``like`` that led nowhere, and whether there was one."""
    return node.with_value({key: inner for key, inner in node.fields.items() if key != "like"}), "like" in node.fields
