"""Rules of a task that a sweep file declares, and of the languages that a target asks of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from xsweep.spec.check import name
from xsweep.spec.node import Findings, Node, shown
from xsweep.spec.words import did_you_mean, language
from xsweep.tasks.answers import MLQA_LANGUAGES
from xsweep.tasks.source import concrete
from xsweep.tasks.task import Data, Task
from xsweep.tasks.translated import TRANSLATED, originals


def check_task(value: Task, node: Node, found: Findings) -> None:
    """A task of the file's own, whose shorthands are written out in ``node``."""
    name(value.name, node, found)
    _head(value, node, found)
    for part in ("train", "selection"):
        if not getattr(value, part) and not _untrained(value):
            found.add(node, "must not be empty", part)
        for index, data in enumerate(getattr(value, part)):
            _rows(data, value, node, (part, index), found)
            for field in _per_language(data):
                what = "configuration" if field == "config" else "filter"
                found.add(node, f"these rows are English alone: write out their {what}", part, index, field)
    if value.test is not None and value.scoring == "squad_v2":
        what = "questions without an answer serve an intermediate task only: their threshold is chosen on scored rows"
        found.add(node, what, "test")
    if value.test is not None:
        _rows(value.test, value, node, ("test",), found)
        for code, data in value.elsewhere.items():
            _rows(data, value, node, ("elsewhere", code), found)
        _languages(value, node, found)
    elif value.elsewhere:
        found.add(node, "there is no `test` that these rows are apart from", "elsewhere")
    _disjoint(value, node, found)
    if not 0 <= value.stride < value.max_length:
        found.add(
            node, f"must be at least 0 and less than max_length, {value.max_length}; not {value.stride}", "stride"
        )
    for field in ("max_length", "rows", "tokens"):
        number = getattr(value, field)
        if number is not None and number < 1:
            found.add(node, f"must be at least 1, not {number}", field)


@dataclass(frozen=True)
class _Rules:
    """What a format asks of a task."""

    columns: tuple[str, ...]
    """Names that ``columns`` may translate."""
    labelled: bool
    metrics: tuple[str, ...]
    several: tuple[str, ...] = ()
    """Columns that may be spread over several of the data set's."""


_FORMATS: Mapping[str, _Rules] = {
    "pair": _Rules(("premise", "hypothesis", "label", "id"), labelled=True, metrics=("accuracy",)),
    "span": _Rules(("question", "context", "answers", "id"), labelled=False, metrics=("f1",)),
    "choice": _Rules(
        ("context", "question", "choices", "label", "id"), labelled=False, metrics=("accuracy",), several=("choices",)
    ),
    "tag": _Rules(("tokens", "tags", "id"), labelled=True, metrics=("accuracy", "f1")),
    "text": _Rules(("text", "id"), labelled=False, metrics=("accuracy",)),
    "retrieval": _Rules(
        ("query", "candidate", "query_id", "candidate_id", "question", "context", "answers", "id"),
        labelled=False,
        metrics=("accuracy", "f1", "map20"),
    ),
}


_SIDES = ("id", "text", "context", "sentence_breaks")
"""Columns of the corpora that retrieval searches with and in."""


def _untrained(value: Task) -> bool:
    """Whether a task is retrieval by a model as it comes, which has no rows to train on or to choose by."""
    return value.format == "retrieval" and not value.train and not value.selection


def _head(value: Task, node: Node, found: Findings) -> None:
    rules = _FORMATS[value.format]
    if value.labels and not rules.labelled:
        found.add(node, f"a {value.format} task has no labels", "labels")
    if rules.labelled and (len(value.labels) < 2 or len(set(value.labels)) < len(value.labels)):
        found.add(node, f"a {value.format} task needs two labels or more, each once", "labels")
    if value.metric not in rules.metrics:
        found.add(node, f"a {value.format} task is scored by {' or '.join(rules.metrics)}", "metric")
    if value.scoring != "squad" and value.format != "span":
        found.add(node, "is for span tasks", "scoring")
    if value.pool == "all" and value.format != "retrieval":
        found.add(node, f"a {value.format} task has no pool; only retrieval has", "pool")
    if _untrained(value) and value.test is None:
        found.add(node, "is missing: without training rows there would be nothing to do", "test")


def _rows(
    data: Data,
    value: Task,
    node: Node,
    steps: tuple[str | int, ...],
    found: Findings,
    known: tuple[str, ...] = (),
) -> None:
    rules = _FORMATS[value.format]
    known = known or rules.columns
    bad = [fold for fold in data.folds if not 0 <= fold <= 9]
    if bad or len(set(data.folds)) < len(data.folds):
        found.add(node, f"folds are numbers from 0 to 9, each once; not {list(data.folds)}", *steps, "folds")
    for column, actual in data.columns.items():
        if column not in known:
            hint = did_you_mean(column, known)
            found.add(node, f"a {value.format} task reads no column {shown(column)}{hint}", *steps, "columns", column)
        elif not isinstance(actual, str) and column not in rules.several:
            found.add(node, f"{column} is one column, not a list of them", *steps, "columns", column)
    if data.questions and value.format != "choice":
        found.add(node, f"a {value.format} task has no column of question codes", *steps, "questions")
    for column, start in data.where.items():
        if not start:
            found.add(node, f"must say what the column {column} begins with", *steps, "where", column)
    for field in ("dataset", "config", "split"):
        if not getattr(data, field):
            found.add(node, "must not be empty", *steps, field)
    if data.without is not None:
        _rows(data.without, value, node, (*steps, "without"), found)
    if data.translation_of is not None:
        _translated(data, data.translation_of, value, node, steps, found)
    for name_, side in data.sides().items():
        if value.format != "retrieval":
            found.add(node, f"a {value.format} task has no {name_}; only retrieval has", *steps, name_)
        else:
            _rows(side, value, node, (*steps, name_), found, _SIDES)


def _translated(
    data: Data, original: Data, value: Task, node: Node, steps: tuple[str | int, ...], found: Findings
) -> None:
    """A copy is compared with its original, whose rows it has: all or, where the original leaves some out, the same."""
    if value.format not in TRANSLATED:
        found.add(node, f"a {value.format} task has no labels that a translation keeps", *steps, "translation_of")
    if original.translation_of is not None:
        what = "a translation of a translation: name the original"
        found.add(node, what, *steps, "translation_of", "translation_of")
    for field in ("folds", "where", "without"):
        if getattr(data, field):
            found.add(node, "rows are left out as those of `translation_of` are: say it there", *steps, field)
    if data.blank != "refuse":
        found.add(node, "a row left out here would be missing beside its original; mend it", *steps, "blank")
    _rows(original, value, node, (*steps, "translation_of"), found)


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
    for field in ("language_names", "elsewhere"):
        for code in getattr(value, field):
            if code not in value.languages:
                found.add(node, f"{shown(code)} is not among the task's languages", field, code)
    together = set(value.languages) - value.elsewhere.keys()
    if value.test is not None and len(together) > 1 and not _per_language(value.test):
        found.add(node, "must hold {language}: the languages would all be scored on the same rows", "test", "config")
    if value.scoring == "mlqa":
        for index, code in enumerate(value.languages):
            if code not in MLQA_LANGUAGES:
                what = f"MLQA's evaluation has no rules for {shown(code)}; it knows {', '.join(MLQA_LANGUAGES)}"
                found.add(node, what, "languages", index)


def _disjoint(value: Task, node: Node, found: Findings) -> None:
    """Nothing is chosen by rows that are trained on, or scored on rows that are trained on or chosen by."""
    for index, chosen in enumerate(value.selection):
        for trained in value.train:
            if _share(chosen, trained):
                what = f"shares rows with train ({chosen.dataset} {chosen.split}): give both `folds` that do not meet"
                found.add(node, what, "selection", index)
    if value.test is None:
        return
    for code in value.languages:
        scored = concrete(value.elsewhere.get(code, value.test), value.language_names.get(code, code))
        for part in ("train", "selection"):
            for index, data in enumerate(getattr(value, part)):
                if _share(data, scored):
                    found.add(node, f"these rows are scored too ({code} test rows): zero-shot forbids it", part, index)


def _share(one: Data, other: Data) -> bool:
    """Whether two declarations have rows in common, in the original or in translation."""
    return any(
        # The folds of a copy are those of its original, which say nothing of the copy's own texts.
        _same_split(a, b) and bool(a.translation_of or b.translation_of or not _apart(a, b))
        for a, b in product(originals(one), originals(other))
    )


def _same_split(one: Data, other: Data) -> bool:
    return (one.dataset, one.config, one.split) == (other.dataset, other.config, other.split)


def _apart(one: Data, other: Data) -> bool:
    if one.folds and other.folds and not set(one.folds) & set(other.folds):
        return True
    starts = ((one.where[column], other.where[column]) for column in one.where if column in other.where)
    return any(not a.startswith(b) and not b.startswith(a) for a, b in starts)


def _per_language(data: Data) -> list[str]:
    """The fields that differ between languages."""
    fields = {"config": data.config, "where": " ".join(data.where.values())}
    return [field for field, text in fields.items() if "{language}" in text]


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
