"""Is a trained model any good? The rule for degenerate runs, which are kept, marked and counted apart."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from xsweep.tasks.ranking import DEPTH
from xsweep.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow

ONE_ANSWER = 0.99
"""Share of predictions that one label (or the empty answer) may have before it counts as the only one."""


def degenerate(task: Task, predictions: pyarrow.Table, examples: list[Any], score: float) -> str:
    """Why a run with these development predictions is degenerate, or "".

    Pairs: one label covers 99 % of the predictions, or accuracy (points) is not above the largest class
    by 1.96 standard errors. Multiple choice: the same of the position of the answer. Tagging: the same of words.
    Spans: 99 % empty answers, or F1 (points) below 1. Raw text: never. Retrieval: one candidate is the first of 99 %
    of the queries, or the metric is not above that of a random order by 1.96 standard errors.
    """
    if task.format == "text":
        return ""
    answers = predictions.column("prediction").to_pylist()
    if task.format == "retrieval":
        return _lost(task, max(Counter(answers).values()), len(answers), examples, score)
    if task.format == "span":
        empty = answers.count("")
        if empty >= ONE_ANSWER * len(answers):
            return f"{empty} of {len(answers)} development answers are empty"
        return f"development F1 is {score:.2f}" if score < 1.0 else ""
    if task.format == "tag":
        answers = [label for row in answers for label in row]
        golds = [label for example in examples for label in example.labels]
    else:
        golds = [example.label for example in examples]
    return _one_class("position" if task.format == "choice" else "label", answers, golds)


def _one_class(what: str, answers: list[int], golds: list[int]) -> str:
    """Why these answers are no better than always giving the commonest, or ""."""
    rows = len(answers)
    times = max(Counter(answers).values())
    if times >= ONE_ANSWER * rows:
        return f"{times} of {rows} development predictions are one {what}"
    score = 100 * sum(answer == gold for answer, gold in zip(answers, golds, strict=True)) / rows
    largest = max(Counter(golds).values()) / rows
    floor = 100 * (largest + 1.96 * math.sqrt(largest * (1 - largest) / rows))
    return f"development accuracy {score:.2f} is not above the largest class ({floor:.2f})" if score <= floor else ""


def _lost(task: Task, times: int, rows: int, examples: list[Any], score: float) -> str:
    """The same for retrieval. A random order has its right candidate at each of n ranks with chance 1/n."""
    if times >= ONE_ANSWER * rows:
        return f"{times} of {rows} development queries find one candidate"
    candidates = len({(match.candidate, match.context) for match in examples if match.candidate})
    depth = min(DEPTH if task.metric == "map20" else 1, candidates)
    chance = sum(1 / rank for rank in range(1, depth + 1)) / candidates
    # Values between 0 and 1 vary most where each is one or the other.
    floor = 100 * (chance + 1.96 * math.sqrt(chance * (1 - chance) / rows))
    said = f"development {task.metric} {score:.2f} is not above a random order's ({floor:.2f})"
    return said if score <= floor else ""
