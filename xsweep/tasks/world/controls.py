"""Word-blind controls: how far each task of the world can be solved without knowing a word.

A control is trained on the task's English training rows and scored on its test rows, as a model is, but sees only
lengths, places, punctuation, and which tokens of the one text occur in the other. Where it beats the models, the task
measures copying.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data
from xsweep.tasks.world.catalog import TASKS
from xsweep.tasks.world.forest import Features, Forest
from xsweep.tasks.world.tables import world_state, world_table

_LONGEST = 14
"""Tokens of a text whose places are looked at; statements of the world have at most 13."""
_LONGEST_SPAN = 4
_EDGE, _PUNCTUATION, _COPIED, _OTHER = range(4)
"""All that a control sees of a token."""

Row = dict[str, Any]


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def _looks(tokens: Sequence[str], other: Sequence[str]) -> list[int]:
    """Return what can be seen of each token: punctuation, occurring in ``other``, or neither."""
    seen = set(other)
    return [(_COPIED if token in seen else _OTHER) if token.isalnum() else _PUNCTUATION for token in tokens]


def _padded(looks: Sequence[int]) -> list[int]:
    return [*looks, *[_EDGE] * _LONGEST][:_LONGEST]


def _pair_features(row: Row) -> list[int]:
    first, second = _tokens(row["premise"]), _tokens(row["hypothesis"])
    missing, new = _looks(first, second), _looks(second, first)
    counts = [len(first), len(second), missing.count(_OTHER), new.count(_OTHER), new.count(_COPIED)]
    twice = [max(Counter(tokens).values()) for tokens in (first, second)]
    places = [first.index(token) + 1 if token in first else 0 for token in second]
    return [*counts, *twice, *_padded(missing), *_padded(new), *_padded(places)]


def _spans(row: Row) -> tuple[list[list[int]], list[str]]:
    """Return the features and the text of every candidate answer: runs of words without punctuation."""
    matches = list(re.finditer(r"\w+|[^\w\s]", row["context"]))
    context, question = [match.group() for match in matches], _tokens(row["question"])
    looks = _looks(context, question)
    shape = [*_padded(looks), *_padded(_looks(question, context))]
    around = [_EDGE, _EDGE, *looks, _EDGE, _EDGE]
    features, texts = [], []
    for start in range(len(context)):
        for stop in range(start + 1, min(start + _LONGEST_SPAN, len(context)) + 1):
            inside = looks[start:stop]
            if _PUNCTUATION in inside:
                break
            beside = [*around[start : start + 2], *around[stop + 2 : stop + 4]]
            counts = [start, stop - start, len(context) - stop, len(context), inside.count(_COPIED)]
            features.append([*counts, *beside, *shape])
            texts.append(row["context"][matches[start].start() : matches[stop - 1].end()])
    return features, texts


def _rows(data: Data, language: str) -> list[Row]:
    rows: list[Row] = world_table(data.dataset, data.config.format(language=language), data.split).to_pylist()
    return rows


def _token_f1(found: str, gold: str) -> float:
    common = (Counter(found.split()) & Counter(gold.split())).total()
    return 2 * common / (len(found.split()) + len(gold.split()))


def _pair_scores(train: list[Row], tests: Iterator[list[Row]], seed: int) -> Iterator[float]:
    x = np.array([_pair_features(row) for row in train])
    forest = Forest.fit(x, np.array([row["label"] for row in train]), seed, trees=60, smallest=8)
    for rows in tests:
        found = forest.shares(np.array([_pair_features(row) for row in rows])).argmax(axis=1)
        yield float(np.mean(found == [row["label"] for row in rows]))


def _all_spans(rows: list[Row]) -> tuple[Features, list[list[str]]]:
    """Return the features of every candidate of every row, and the candidates' texts by row."""
    candidates = [_spans(row) for row in rows]
    return np.array([line for features, _ in candidates for line in features]), [texts for _, texts in candidates]


def _span_scores(train: list[Row], tests: Iterator[list[Row]], seed: int) -> Iterator[float]:
    x, candidates = _all_spans(train)
    answers = [int(text == _gold(row)) for row, texts in zip(train, candidates, strict=True) for text in texts]
    forest = Forest.fit(x, np.array(answers), seed, trees=12, smallest=8)
    for rows in tests:
        x, candidates = _all_spans(rows)
        ends = np.cumsum([len(texts) for texts in candidates])
        by_row = np.split(forest.shares(x)[:, 1], ends[:-1])
        found = [texts[int(shares.argmax())] for texts, shares in zip(candidates, by_row, strict=True)]
        yield float(np.mean([_token_f1(text, _gold(row)) for text, row in zip(found, rows, strict=True)]))


def _gold(row: Row) -> str:
    answer: str = row["answers"]["text"][0]
    return answer


def _word_features(tokens: Sequence[str]) -> list[list[int]]:
    """What can be seen of each word: its place from both ends, and punctuation around it."""
    looks = _looks(tokens, ())
    around = [_EDGE, _EDGE, *looks, _EDGE, _EDGE]
    return [[place, len(tokens) - place, *around[place : place + 5]] for place in range(len(tokens))]


def _tag_scores(train: list[Row], tests: Iterator[list[Row]], seed: int) -> Iterator[float]:
    def features(rows: list[Row]) -> Features:
        return np.array([line for row in rows for line in _word_features(row["tokens"])])

    forest = Forest.fit(features(train), _tags(train), seed, trees=12, smallest=8)
    for rows in tests:
        yield float(np.mean(forest.shares(features(rows)).argmax(axis=1) == _tags(rows)))


def _tags(rows: list[Row]) -> Any:
    return np.array([tag for row in rows for tag in row["tags"]])


_SCORES = {"pair": _pair_scores, "span": _span_scores, "tag": _tag_scores}


def word_blind(task: str, seed: int = 0) -> dict[str, float]:
    """Return language -> the control's score on the test rows of a task of the world, in points.

    The score is the task's own metric: accuracy of pairs and of words' tags, token F1 of spans. ``seed`` moves the
    control's own choices.
    """
    declared = TASKS[task]
    assert declared.test is not None
    train = [row for data in declared.train for row in _rows(data, "en")]
    tests = (_rows(declared.test, language) for language in declared.languages)
    scores = _SCORES[declared.format](train, tests, seed)
    return {language: 100 * score for language, score in zip(declared.languages, scores, strict=True)}


def cached_word_blind(task: str, sources: Sources) -> dict[str, float]:
    """``word_blind``, remembered while the world's code stays as it is."""
    told = sources.remember("controls", [task, world_state()], lambda: json.dumps(word_blind(task)))
    scores: dict[str, float] = json.loads(told)
    return scores
