"""The format of extractive questions: a question, a context, and the answer's place in the context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xsweep.errors import DataError
from xsweep.tasks.features import Features, FloatArray, IntArray, Ragged, Tokenizer, batches, wants_type_ids
from xsweep.tasks.metrics import exact_match, f1, mean_points
from xsweep.tasks.rows import Place, Span, groups_of
from xsweep.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow

LONGEST_ANSWER = 30
"""Tokens of the longest span that is predicted, as in the reference implementations."""


class SpanFormat:
    """Columns ``question``, ``context``, ``answers`` (lists ``text`` and ``answer_start``) and, if any, ``id``."""

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
                _answers(answers[row], contexts[row], place, row),
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
        )

    def predict(
        self, features: Features, outputs: Sequence[FloatArray], examples: Sequence[Span], task: Task
    ) -> pyarrow.Table:
        """Per example, in order: ``id``, ``prediction`` (text), ``exact_match`` (0 or 1) and ``f1`` (0 to 1).

        ``outputs`` holds (tokens of the feature, 2) start and end logits for each feature. Of equal spans the
        first window's shortest, then leftmost one wins; an example whose logits are not finite gets "".
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
        return pyarrow.table(
            {
                "id": np.array([example.id for example in examples], dtype=np.int32),
                "prediction": pyarrow.array(texts, pyarrow.string()),
                "exact_match": np.array([exact_match(*p) for p in zip(texts, golds, strict=True)], dtype=np.int8),
                "f1": np.array([f1(*p) for p in zip(texts, golds, strict=True)], dtype=np.float64),
            }
        )

    def score(self, predictions: pyarrow.Table) -> dict[str, float]:
        """``exact_match`` and ``f1`` in points, 0 to 100."""
        return {name: mean_points(predictions.column(name).to_pylist()) for name in ("exact_match", "f1")}


FORMAT = SpanFormat()


def _answers(value: Any, context: str, place: Place, row: int) -> tuple[tuple[int, str], ...]:
    """The answers of one row, each checked to stand where it says."""
    if not isinstance(value, dict) or not {"text", "answer_start"} <= value.keys():
        raise place.fault("answers must hold the lists `text` and `answer_start`", row)
    texts, starts = value["text"] or [], value["answer_start"] or []
    if len(texts) != len(starts):
        raise place.fault(f"{len(texts)} answer texts, but {len(starts)} offsets", row)
    if not texts:
        raise place.fault("the question has no answer; this format takes answerable questions only (SQuAD 1.1)", row)
    for text, start in zip(texts, starts, strict=True):
        if not text or start is None or start < 0 or context[start : start + len(text)] != text:
            there = "" if start is None else context[max(start, 0) : max(start, 0) + len(text or "")]
            what = f"the answer {text!r:.60} is not at its offset {start}, where {there!r:.60} stands"
            raise place.fault(f"{what}; offsets count code points of the context", row)
    return tuple(zip(starts, texts, strict=True))


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
    """First and last token of the first answer, or (0, 0) when the window does not hold the whole of it.

    ``edges`` says whether the window is the example's first and its last: there, characters that no token
    covers (dropped by the tokenizer's normaliser) still count as inside.
    """
    first, last = context
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
