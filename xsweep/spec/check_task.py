"""Rules of a task that a sweep file declares, and of the languages that a target asks of one."""

from __future__ import annotations

from collections.abc import Mapping

from xsweep.spec.check import name
from xsweep.spec.node import Findings, Node, shown
from xsweep.spec.words import did_you_mean, language
from xsweep.tasks.task import Data, Task


def check_task(value: Task, node: Node, found: Findings) -> None:
    """A task of the file's own, whose shorthands are written out in ``node``."""
    name(value.name, node, found)
    _head(value, node, found)
    for part in ("train", "selection"):
        if not getattr(value, part) and not _untrained(value):
            found.add(node, "must not be empty", part)
        for index, data in enumerate(getattr(value, part)):
            _rows(data, value, node, (part, index), found)
            if "{language}" in data.config:
                found.add(node, "these rows are English alone: write out their configuration", part, index, "config")
    if value.test is not None:
        _rows(value.test, value, node, ("test",), found)
        _languages(value, node, found)
    _disjoint(value, node, found)
    if not 0 <= value.stride < value.max_length:
        found.add(
            node, f"must be at least 0 and less than max_length, {value.max_length}; not {value.stride}", "stride"
        )
    for field in ("max_length", "rows", "tokens"):
        number = getattr(value, field)
        if number is not None and number < 1:
            found.add(node, f"must be at least 1, not {number}", field)


def _untrained(value: Task) -> bool:
    """Whether a task is retrieval by a model as it comes, which has no rows to train on or to choose by."""
    return value.format == "retrieval" and not value.train and not value.selection


def _head(value: Task, node: Node, found: Findings) -> None:
    if value.pool == "all" and value.format != "retrieval":
        found.add(node, f"a {value.format} task has no pool; only retrieval has", "pool")
    if value.format == "retrieval":
        if value.labels:
            found.add(node, "a retrieval task has no labels", "labels")
        if _untrained(value) and value.test is None:
            found.add(node, "is missing: without training rows there would be nothing to do", "test")
        return
    if value.format == "span":
        if value.labels:
            found.add(node, "a span task has no labels", "labels")
        if value.metric != "f1":
            found.add(node, "a span task is scored by f1", "metric")
        return
    if len(value.labels) < 2 or len(set(value.labels)) < len(value.labels):
        found.add(node, "a pair task needs two labels or more, each once", "labels")
    if value.metric != "accuracy":
        found.add(node, "a pair task is scored by accuracy", "metric")


_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "pair": ("premise", "hypothesis", "label", "id"),
    "span": ("question", "context", "answers", "id"),
    "retrieval": ("query", "candidate", "query_id", "candidate_id", "question", "context", "answers", "id"),
}


_SIDES = ("id", "text", "context", "sentence_breaks")


def _rows(
    data: Data,
    value: Task,
    node: Node,
    steps: tuple[str | int, ...],
    found: Findings,
    known: tuple[str, ...] = (),
) -> None:
    known = known or _COLUMNS[value.format]
    bad = [fold for fold in data.folds if not 0 <= fold <= 9]
    if bad or len(set(data.folds)) < len(data.folds):
        found.add(node, f"folds are numbers from 0 to 9, each once; not {list(data.folds)}", *steps, "folds")
    for column in data.columns:
        if column not in known:
            hint = did_you_mean(column, known)
            found.add(node, f"a {value.format} task reads no column {shown(column)}{hint}", *steps, "columns", column)
    for field in ("dataset", "config", "split"):
        if not getattr(data, field):
            found.add(node, "must not be empty", *steps, field)
    if data.without is not None:
        _rows(data.without, value, node, (*steps, "without"), found)
    for name_, side in data.sides().items():
        if value.format != "retrieval":
            found.add(node, f"a {value.format} task has no {name_}; only retrieval has", *steps, name_)
        else:
            _rows(side, value, node, (*steps, name_), found, _SIDES)


def _languages(value: Task, node: Node, found: Findings) -> None:
    if not value.languages:
        found.add(node, "must name the languages of the test rows", "languages")
    for index, code in enumerate(value.languages):
        if language(code) != code:
            hint = (
                f"write {language(code)!r}; language_names: {{{language(code)}: {code}}} keeps the data set's own name"
            )
            found.add(node, f"{shown(code)} is not the code used here: {hint}", "languages", index)
        elif code in value.languages[:index]:
            found.add(node, f"{code!r} is given twice", "languages", index)
    for code in value.language_names:
        if code not in value.languages:
            found.add(node, f"{shown(code)} is not among the task's languages", "language_names", code)
    if value.test is not None and len(value.languages) > 1 and "{language}" not in value.test.config:
        found.add(node, "must hold {language}: the languages would all be scored on the same rows", "test", "config")


def _disjoint(value: Task, node: Node, found: Findings) -> None:
    """Nothing is chosen by rows that are trained on, or scored on rows that are trained on or chosen by."""
    for index, chosen in enumerate(value.selection):
        for trained in value.train:
            if _same_split(chosen, trained) and not _apart(chosen, trained):
                what = f"shares rows with train ({chosen.dataset} {chosen.split}): give both `folds` that do not meet"
                found.add(node, what, "selection", index)
    if value.test is None:
        return
    for code in value.languages:
        config = value.test.config.replace("{language}", value.language_names.get(code, code))
        scored = value.test.model_copy(update={"config": config})
        for part in ("train", "selection"):
            for index, data in enumerate(getattr(value, part)):
                if _same_split(data, scored) and not _apart(data, scored):
                    found.add(node, f"these rows are scored too ({code} test rows): zero-shot forbids it", part, index)


def _same_split(one: Data, other: Data) -> bool:
    return (one.dataset, one.config, one.split) == (other.dataset, other.config, other.split)


def _apart(one: Data, other: Data) -> bool:
    return bool(one.folds and other.folds) and not set(one.folds) & set(other.folds)


def check_languages(task: Task, node: Node, found: Findings) -> None:
    """Languages asked for are the task's, in the codes used here, each once. ``node`` is their list."""
    if isinstance(node.value, list | str) and not node.items:
        found.spoil(node, "must be a list of languages; leave it out for all of the task's")
    seen: set[str] = set()
    for item in node.items:
        code = item.value
        if not isinstance(code, str):
            continue  # the field itself says so
        if code not in task.languages:
            used = language(code)
            hint = f"; did you mean {used!r}?" if used != code and used in task.languages else ""
            there = f"; it has {', '.join(task.languages)}" if not hint else ""
            found.add(item, f"{task.name} has no test rows in {shown(code)}{hint}{there}")
        elif code in seen:
            found.add(item, f"{code!r} is given twice")
        seen.add(code)
