"""Rules between fields: what no single field can say about itself."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from xsweep.models.model import Model
from xsweep.spec.node import Findings, Node, listed, shown
from xsweep.spec.sweep import Arm, Layout, Layouts, Search, Space, Target, Training
from xsweep.spec.words import did_you_mean
from xsweep.tasks.task import Task

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Part(NamedTuple, Generic[T]):
    """A finished value and where it stands in the file."""

    value: T
    node: Node


def name(text: str, node: Node, found: Findings) -> None:
    """A name is safe in a path, a column and a page."""
    if not _NAME.fullmatch(text):
        what = "a name is up to 64 letters, digits, '.', '_' and '-', a letter or digit first"
        found.add(node.at("name"), f"{what}; not {shown(text)}")


def unique(parts: Iterable[Part[T]], key: Callable[[T], Hashable], what: str, found: Findings) -> list[Part[T]]:
    """Say ``what`` of each part whose key an earlier one has; returns the parts that are the first with theirs."""
    first: dict[Hashable, Part[T]] = {}
    for part in parts:
        earlier = first.setdefault(key(part.value), part)
        if earlier is not part:
            found.add(part.node, f"{what}, first in line {earlier.node.line}")
    return list(first.values())


# Models


def model(value: Model, node: Node, catalogue: Mapping[str, Model], found: Findings) -> None:
    """A model of the file's own: from the hub or from a folder, not both."""
    name(value.name, node, found)
    if bool(value.id) == bool(value.path):
        which = "both" if value.id else "neither"
        hint = f"; `like: {value.name}` takes it from the catalogue" if value.name in catalogue else ""
        found.add(node, f"a model has either an id (on the hub) or a path (a folder), this one {which}{hint}")
    if value.path and not os.path.isfile(os.path.join(value.path, "config.json")):
        missing = "holds no config.json" if os.path.isdir(value.path) else "is no folder"
        found.add(node, f"{value.path} {missing}", "path")
    for field in ("params", "embedding_params"):
        number = getattr(value, field)
        if number is not None and number < 1:
            found.add(node, f"must be at least 1, not {number}", field)
    if value.params is not None and value.embedding_params is not None and value.embedding_params > value.params:
        found.add(node, f"more than params, {value.params}, of which they are a part", "embedding_params")


def models(parts: list[Part[Model]], found: Findings) -> None:
    """Models differ in name and in content."""
    named = unique(parts, lambda model: model.name, "a second model of this name", found)
    # Without id and path, which is said elsewhere, there is no content to compare.
    real = [part for part in named if part.value.id or part.value.path]
    unique(real, lambda model: (model.id, model.path, model.revision, model.pooling), "the same model again", found)


# Arms and targets


def arms(node: Node, parts: list[Part[Arm]], found: Findings) -> None:
    """Arms differ, pool only what goes together, and have a baseline. ``node`` is their list."""
    named = unique(parts, lambda arm: arm.name, "a second arm of this name", found)
    unique([part for part in named if part.value.tasks], _content, "trains on what another arm trains on", found)
    for arm, place in parts:
        if place.fields:
            name(arm.name, place, found)
        if arm.name == "none" and (arm.tasks or arm.examples or arm.mixture or arm.control):
            found.add(place, "`none` is the baseline: nothing comes between the pretrained model and the target")
        if arm.name != "none" and not arm.tasks and arm.control != "compute-matched":
            found.add(place, "must not be empty", "tasks")
        _tasks(arm, place, found)
        _mixed(arm, place, found)
    if not any("none" in (item.value, item.at("name").value) for item in node.items):
        found.add(node, "the baseline `none` is missing: every gain is measured against it")


def _content(arm: Arm) -> Hashable:
    tasks = (json.dumps(task.model_dump(mode="json", exclude={"name"}), sort_keys=True) for task in arm.tasks)
    mixture = arm.mixture and arm.mixture.model_dump(mode="json", exclude={"mlm": {"task": {"name"}}})
    return frozenset(tasks), arm.examples, arm.control, json.dumps(mixture, sort_keys=True)


def _tasks(arm: Arm, node: Node, found: Findings) -> None:
    for index, task in enumerate(arm.tasks):
        swapped = next((other for other in arm.tasks[:index] if _swapped(task, other)), None)
        if task.format == "text":
            found.add(node, f"{task.name} is raw text, no task: `mlm` takes it, beside tasks", "tasks", index)
        elif not task.train:
            found.add(node, f"{task.name} has no training rows, so it cannot be an arm", "tasks", index)
        elif task.name in [other.name for other in arm.tasks[:index]]:
            found.add(node, f"{task.name!r} is given twice", "tasks", index)
        elif swapped is not None and arm.heads == "format":
            what = f"{task.name} has the labels {listed(task.labels)}, {swapped.name} has {listed(swapped.labels)}"
            found.add(node, f"{what}: one head needs the same, in one order", "tasks", index)


def _swapped(one: Task, other: Task) -> bool:
    """Whether two tasks would share a head if their labels stood in one order."""
    return one.format == other.format and one.labels != other.labels and set(one.labels) == set(other.labels)


def _mixed(arm: Arm, node: Node, found: Findings) -> None:
    """What is said of a mixture has something to be said of."""
    plain = Arm(name=arm.name)
    for field in ("sampling", "heads"):
        if len(arm.tasks) == 1 and getattr(arm, field) != getattr(plain, field):
            found.add(node, f"{arm.tasks[0].name} is the only task: there is nothing to share", field)
    if arm.sampling.shares == "uniform" and arm.sampling.temperature != 1:
        found.add(node, "uniform shares have no temperature", "sampling", "temperature")
    if arm.mlm and arm.mlm.task.format != "text":
        found.add(node, f"{arm.mlm.task.name} is a {arm.mlm.task.format} task, not raw text", "mlm", "task")
    if arm.weights and len(arm.reads) == 1:
        found.add(
            node, f"{arm.reads[0].name} is all that is trained on: there is nothing to weigh it against", "weights"
        )
    known = [task.name for task in arm.reads]
    for task_name in arm.weights:
        if task_name not in known:
            hint = did_you_mean(task_name, known)
            found.add(node, f"the arm has no task {shown(task_name)}{hint}", "weights", task_name)


def targets(parts: list[Part[Target]], found: Findings) -> None:
    """Each task is a target once; one without training rows takes none."""
    unique(parts, lambda target: target.name, "a second target of this task", found)
    for target, place in parts:
        if target.examples is not None and not target.trained:
            found.add(place, f"{target.name} is not trained: it has no training rows to take some of", "examples")


# The rest


def search(value: Search, seeds: tuple[int, ...], node: Node, found: Findings) -> None:
    """Both spaces can be searched, and no trial's seed is reported."""
    for field in ("intermediate", "target"):
        space: Space = getattr(value, field)
        half = field == "intermediate" and value.mode == "joint"  # trials differ by their target stages
        _space(space, node.at(field), found, half=half)
        for name in space.models:
            _space(space.of(name), node.at(field, "models", name), found, half=half)
    if value.seed in seeds:
        found.add(node, f"{value.seed} is a reporting seed too; trials need a seed of their own", "seed")


def _space(space: Space, node: Node, found: Findings, *, half: bool) -> None:
    for field in ("lr", "epochs"):
        ends = getattr(space, field)
        if ends.low > ends.high:
            found.add(node, f"low, {ends.low}, is more than high, {ends.high}", field)
    points = space.epochs.high - space.epochs.low + 1
    if not half and space.lr.low == space.lr.high and 0 < points < space.trials:
        values = f"{points} value{'s' * (points > 1)}"
        what = f"{space.trials} trials, but lr is fixed and epochs has {values}, so no more than that differ"
        found.add(node, what, "trials")


def seeds(values: tuple[int, ...], node: Node, found: Findings) -> None:
    """At least one seed, each once."""
    if not values:
        found.add(node, "must not be empty")
    for index, seed in enumerate(values):
        if seed in values[:index]:
            found.add(node, f"{seed} is given twice", index)


def freeze(training: Training, models: Iterable[Model], root: Node, found: Findings) -> None:
    """A model that starts from random weights needs all of them trained."""
    raw = [model.name for model in models if model.pretrain]
    if training.freeze != "none" and raw:
        found.add(root, f"{listed(raw)} start from random weights, which cannot be frozen", "train", "freeze")
    if training.lora and raw:
        found.add(root, f"{listed(raw)} start from random weights, which lora would freeze", "train", "lora")
    if training.lora and training.freeze != "none":
        found.add(root, "lora freezes all of the model already", "train", "freeze")


def carry(training: Training, arms: Iterable[Arm], targets: Iterable[Target], root: Node, found: Findings) -> None:
    """Every arm has a head for every target that is trained, where heads are carried."""
    if training.carry == "encoder":
        return
    trained = [target for target in targets if target.trained]
    for arm in (arm for arm in arms if arm.trained):
        heads = {(task.format, task.labels) for task in arm.tasks}
        lacking = [target.name for target in trained if (target.task.format, target.task.labels) not in heads]
        if lacking:
            what = f"the arm {arm.name} has no task with the format and labels of {listed(lacking)}"
            found.add(root, f"{what}, so it has no head to carry there", "train", "carry")


def layout(value: Layouts, tasks: Iterable[Task], root: Node, found: Findings) -> None:
    """A micro-batch holds at least one input."""
    longest: Any = max(tasks, key=lambda task: task.max_length, default=None)
    told: list[tuple[int, tuple[str, ...]]] = [(value.tokens or Layout().tokens, ("layout", "tokens"))]
    told += [(fit.tokens, ("layout", "models", name, "tokens")) for name, fit in value.models.items() if fit.tokens]
    for tokens, place in told:
        if longest is not None and longest.max_length > tokens:
            what = f"{tokens} tokens do not hold one input of {longest.name}, whose max_length is {longest.max_length}"
            found.add(root, what, *place)


def layout_models(value: Layouts, known: Sequence[str], root: Node, found: Findings) -> None:
    """What is told for a model alone is told for one that the sweep has."""
    for name in value.models:
        if name not in known:
            hint = did_you_mean(name, known)
            found.add(root, f"the sweep has no model {shown(name)}{hint}", "layout", "models", name)
