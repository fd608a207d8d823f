"""The format of extractive questions: a question, a context, and the answer's place in the context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xsweep.errors import DataError
from xsweep.tasks.answers import exact_match, f1, normaliser
from xsweep.tasks.features import Features, FloatArray, IntArray, Ragged, Tokenizer, batches, wants_type_ids
from xsweep.tasks.metrics import mean_points
from xsweep.tasks.rows import Place, Span, groups_of
from xsweep.tasks.task import Task
from xsweep.tasks.unanswered import judged, score_parts

if TYPE_CHECKING:
    import pyarrow

LONGEST_ANSWER = 30
"""Tokens of the longest span that is predicted, as in the reference implementations."""


class SpanFormat:
    """Columns ``question``, ``context``, ``answers`` and, if any, ``id``.

    Answers are lists ``text`` and ``answer_start`` as in SQuAD, or a list with the places ``start`` and ``end``
    (the last character) of each answer as in MRQA. Only under SQuAD v2.0's scoring may a question have none.
    """

    def examples(self, table: pyarrow.Table, task: Task, place: Place) -> list[Span]:
        """The rows of ``table``, in order; every answer must stand at its offset."""
        questions, contexts = place.texts(table, "question"), place.texts(table, "context")
        answers, uids = place.column(table, "answers"), place.uids(table)
        groups = groups_of(contexts)
        return [
            Span(
                place.first_id + row,
                uids[row],
                groups[row],
                questions[row],
                contexts[row],
                checked_answers(answers[row], contexts[row], task, place, row),
                place.language,
            )
            for row in range(table.num_rows)
        ]

    def groups(self, table: pyarrow.Table, place: Place) -> list[str]:
        """The group of each row."""
        return groups_of(place.texts(table, "context"))

    def canonical(self, example: Span) -> list[Any]:
        """What an example is, for its fingerprint."""
        return [example.id, example.uid, example.question, example.context, example.answers]

    def outputs(self, task: Task) -> int:
        """Width of the head: a start and an end logit for each token."""
        return 2

    def encode(self, examples: Sequence[Span], task: Task, tokenizer: Tokenizer) -> Features:
        """Windows over each context, each behind the whole question; neighbours share ``stride`` tokens.

        Raises ``DataError`` when a question leaves no room for a window to move on.
        """
        typed = wants_type_ids(tokenizer)
        ids, types, chars, places = Ragged(), Ragged(), Ragged(2), Ragged()
        allowed, targets = Ragged(2), Ragged(2)
        for start, batch in batches(examples):
            _check_room(batch, task, tokenizer)
            coded = _windows(batch, task, tokenizer, typed)
            owner = coded["overflow_to_sample_mapping"]
            for window, row in enumerate(owner):
                context = _context_tokens(coded.sequence_ids(window))
                spans = np.asarray(coded["offset_mapping"][window], dtype=np.int32).reshape(-1, 2)
                spans[: context[0]] = spans[context[1] :] = 0
                ids.add(coded["input_ids"][window])
                if typed:
                    types.add(coded["token_type_ids"][window])
                chars.add(spans)
                allowed.add(context)
                places.add([start + row])
                edges = (window == 0 or owner[window - 1] != row, window + 1 == len(owner) or owner[window + 1] != row)
                targets.add(_target(batch[row], spans, context, edges))
        return Features(
            ids=ids.values(),
            offsets=ids.offsets(),
            example=places.values(),
            targets=targets.values(),
            allowed=allowed.values(),
            chars=chars.values(),
            type_ids=types.values() if typed else None,
            truncated=_in_no_window(examples, places.values(), targets.values()),
        )

    def predict(
        self, features: Features, outputs: Sequence[FloatArray], examples: Sequence[Span], task: Task
    ) -> pyarrow.Table:
        """Per example, in order: ``id``, ``prediction`` (text), ``exact_match`` (0 or 1) and ``f1`` (0 to 1).

        Under SQuAD v2.0's scoring a prediction may be "", and there are more columns (see ``judged``); elsewhere
        a span is always given. ``outputs`` holds (tokens of the feature, 2) start and end logits for each feature.
        Of equal spans the first window's shortest, then leftmost one wins; an example whose logits are not finite
        gets "".
        """
        import pyarrow

        best = [(-np.inf, 0, 0)] * len(examples)
        for feature, logits in enumerate(outputs):
            found = _best_span(features, feature, logits)
            example = int(features.example[feature])
            if found[0] > best[example][0]:
                best[example] = found
        texts = [example.context[a:b].strip() for example, (_, a, b) in zip(examples, best, strict=True)]
        golds = [[text for _, text in example.answers] for example in examples]
        ids = np.array([example.id for example in examples], dtype=np.int32)
        if task.scoring == "squad_v2":
            spans = np.array([value for value, _, _ in best])
            return judged(ids, texts, golds, _null_scores(features, outputs, len(examples)) - spans)
        rules = [normaliser(task.scoring, example.language) for example in examples]
        rows = list(zip(texts, golds, rules, strict=True))
        return pyarrow.table(
            {
                "id": ids,
                "prediction": pyarrow.array(texts, pyarrow.string()),
                "exact_match": np.array([exact_match(*row) for row in rows], dtype=np.int8),
                "f1": np.array([f1(*row) for row in rows], dtype=np.float64),
            }
        )

    def score(self, predictions: pyarrow.Table) -> dict[str, float]:
        """``exact_match`` and ``f1`` in points, 0 to 100; under SQuAD v2.0's scoring more (see ``score_parts``)."""
        if "has_answer" in predictions.column_names:
            return score_parts(predictions)
        return {name: mean_points(predictions.column(name).to_pylist()) for name in ("exact_match", "f1")}


FORMAT = SpanFormat()


def checked_answers(value: Any, context: str, task: Task, place: Place, row: int) -> tuple[tuple[int, str], ...]:
    """The answers of one row, each of which stands where it says; a row for which that is not so is noted."""
    try:
        answers = _places(value, context)
    except ValueError as wrong:
        place.note(str(wrong), row)
        return ()
    if not answers and task.scoring != "squad_v2":
        only = "only `scoring: squad_v2` takes questions without one"
        place.note(f"the question has no answer; {only}", row)
    return answers


def _places(value: Any, context: str) -> tuple[tuple[int, str], ...]:
    """(start, text) of each answer; raises ``ValueError``."""
    if isinstance(value, list):
        return tuple(place for answer in value for place in _from_ends(answer, context))
    if not isinstance(value, dict) or not {"text", "answer_start"} <= value.keys():
        raise ValueError("answers must hold the lists `text` and `answer_start`, or be a list of `start` and `end`")
    texts, starts = value["text"] or [], value["answer_start"] or []
    if len(texts) != len(starts):
        raise ValueError(f"{len(texts)} answer texts, but {len(starts)} offsets")
    for text, start in zip(texts, starts, strict=True):
        if not text or start is None or start < 0 or context[start : start + len(text)] != text:
            there = "" if start is None else context[max(start, 0) : max(start, 0) + len(text or "")]
            what = f"the answer {text!r:.60} is not at its offset {start}, where {there!r:.60} stands"
            raise ValueError(f"{what}; offsets count code points of the context")
    return tuple(zip(starts, texts, strict=True))


def _from_ends(answer: Any, context: str) -> list[tuple[int, str]]:
    """Each place of one answer that is given as first and last character."""
    if not isinstance(answer, dict) or not {"start", "end"} <= answer.keys():
        raise ValueError(f"the answer {answer!r:.60} has no `start` and `end`")
    starts, ends = ([side] if isinstance(side, int) else side or [] for side in (answer["start"], answer["end"]))
    if len(starts) != len(ends):
        raise ValueError(f"{len(starts)} starts of an answer, but {len(ends)} ends")
    places = [(start, context[start : end + 1]) for start, end in zip(starts, ends, strict=True)]
    for (start, text), end in zip(places, ends, strict=True):
        if not 0 <= start <= end < len(context):
            raise ValueError(f"the answer from {start} to {end} is not in its context of {len(context)} characters")
        if text != text.strip():
            raise ValueError(f"the answer {text!r:.60} has white space at an edge: `end` must be its last character")
    return places


def _check_room(batch: Sequence[Span], task: Task, tokenizer: Tokenizer) -> None:
    """A window must have room for more than the ``stride`` tokens that it shares with the one before."""
    room = task.max_length - tokenizer.num_special_tokens_to_add(pair=True)
    coded = tokenizer([example.question for example in batch], add_special_tokens=False, return_attention_mask=False)
    for example, question in zip(batch, coded["input_ids"], strict=True):
        if room - len(question) <= task.stride:
            raise DataError(
                f"task {task.name}: the question of row {example.id} ({example.uid}) has {len(question)} tokens, which "
                f"leaves no room beside a stride of {task.stride}; raise max_length ({task.max_length}) or lower stride"
            )


def _windows(batch: Sequence[Span], task: Task, tokenizer: Tokenizer, typed: bool) -> Any:
    return tokenizer(
        [example.question for example in batch],
        [example.context for example in batch],
        truncation="only_second",
        max_length=task.max_length,
        stride=task.stride,
        padding=False,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=typed,
    )


def _context_tokens(sequence: list[int | None]) -> tuple[int, int]:
    """First and one-past-last token of the context; (0, 0) when the tokenizer left nothing of it."""
    if 1 not in sequence:
        return 0, 0
    return sequence.index(1), len(sequence) - sequence[::-1].index(1)


def _target(example: Span, spans: IntArray, context: tuple[int, int], edges: tuple[bool, bool]) -> tuple[int, int]:
    """First and last token of the first answer, or (0, 0) without one, or when not all of it is in the window.

    ``edges`` says whether the window is the example's first and its last: there, characters that no token
    covers (dropped by the tokenizer's normaliser) still count as inside.
    """
    first, last = context
    if not example.answers:
        return 0, 0
    start, text = example.answers[0]
    end = start + len(text.rstrip())
    start += len(text) - len(text.lstrip())
    starts, ends = spans[first:last, 0], spans[first:last, 1]
    touched = np.flatnonzero((ends > start) & (starts < end) & (ends > starts))
    if touched.size == 0:
        return 0, 0
    if not ((edges[0] or starts[0] <= start) and (edges[1] or ends[-1] >= end)):
        return 0, 0
    return first + int(touched[0]), first + int(touched[-1])


def _in_no_window(examples: Sequence[Span], owner: IntArray, targets: IntArray) -> int:
    """Questions with an answer that no window holds whole; all of their windows are trained as without one."""
    held = set(owner[targets.any(axis=1)].tolist())
    return sum(bool(example.answers) and number not in held for number, example in enumerate(examples))


def _null_scores(features: Features, outputs: Sequence[FloatArray], count: int) -> FloatArray:
    """(count,) the least over an example's windows of the first token's start and end logits, summed.

    One window that is sure of its answer is enough, however sure the others are that they hold none.
    """
    least = np.full(count, np.inf)
    for feature, logits in enumerate(outputs):
        example = int(features.example[feature])
        least[example] = min(least[example], float(np.sum(logits[0], dtype=np.float64)))
    return least


def _best_span(features: Features, feature: int, logits: FloatArray) -> tuple[float, int, int]:
    """The highest sum of start and end logit inside the context, with the characters that it covers."""
    assert features.allowed is not None
    assert features.chars is not None
    first, last = map(int, features.allowed[feature])
    starts, ends = np.asarray(logits[first:last], dtype=np.float64).T
    best, span = -np.inf, (0, 0)
    for width in range(min(LONGEST_ANSWER, last - first)):
        sums = starts[: len(starts) - width] + ends[width:]
        at = int(np.argmax(sums))
        if sums[at] > best:
            best, span = float(sums[at]), (at, at + width)
    if not np.isfinite(best):
        return -np.inf, 0, 0
    chars = features.chars[features.span(feature)][first:last]
    return best, int(chars[span[0], 0]), int(chars[span[1], 1])
