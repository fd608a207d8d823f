"""The format of tagging: a sentence of words, a label for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xsweep.tasks.chunks import OUTSIDE, matches
from xsweep.tasks.features import NO_LABEL, Features, FloatArray, Ragged, Tokenizer, batches, wants_type_ids
from xsweep.tasks.labels import UNLABELLED, label_index, own_names
from xsweep.tasks.metrics import mean_points
from xsweep.tasks.rows import Place, Tagged, groups_of
from xsweep.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow

UNREAD = -1
"""Prediction for a word that the tokenizer has no token for: wrong, and outside of any span."""


class TagFormat:
    """Columns ``tokens``, ``tags`` (lists of equal length) and, if there is one, ``id``."""

    def examples(self, table: pyarrow.Table, task: Task, place: Place) -> list[Tagged]:
        """The rows of ``table``, in order; every word must have a label."""
        words, tags, uids = _words(table, place), place.column(table, "tags"), place.uids(table)
        own, index = own_names(table, place, "tags"), {name: i for i, name in enumerate(task.labels)}
        groups = groups_of([" ".join(row) for row in words])
        found = []
        for row, values in enumerate(tags):
            if not isinstance(values, list) or len(values) != len(words[row]):
                count = f"{len(values)} tags" if isinstance(values, list) else f"tags {values!r:.40}"
                place.note(f"{len(words[row])} tokens, but {count}", row)
                continue
            noted = len(place.noted)
            labels = tuple(label_index(value, index, own, place, row) for value in values)
            if UNLABELLED in labels:
                if len(place.noted) == noted:
                    place.note(f"token {labels.index(UNLABELLED)} has no label", row)
                continue
            found.append(Tagged(place.first_id + row, uids[row], groups[row], words[row], labels))
        return found

    def groups(self, table: pyarrow.Table, place: Place) -> list[str]:
        """The group of each row."""
        return groups_of([" ".join(row) for row in _words(table, place)])

    def canonical(self, example: Tagged) -> list[Any]:
        """What an example is, for its fingerprint."""
        return [example.id, example.uid, example.words, example.labels]

    def outputs(self, task: Task) -> int:
        """Width of the head: one logit a label."""
        return len(task.labels)

    def encode(self, examples: Sequence[Tagged], task: Task, tokenizer: Tokenizer) -> Features:
        """Windows over each sentence, cut between words; the first token of each word has its label.

        A word longer than a window is cut, its sentence counted. A word without a token has no label and is counted.
        """
        typed = wants_type_ids(tokenizer)
        ids, types, words, places, truncated = Ragged(), Ragged(), Ragged(), Ragged(), 0
        labels: list[int] = []
        for start, batch in batches(examples):
            coded = tokenizer(
                [list(example.words) for example in batch],  # type: ignore[misc]  # words stand where a text may
                is_split_into_words=True,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=typed,
                verbose=False,
            )
            for row, example in enumerate(batch):
                layout = _Layout.of(coded.word_ids(row))
                truncated += layout.longest_word > layout.room(task.max_length)
                for window in layout.windows(task.max_length):
                    numbers = layout.words[window]
                    ids.add(np.asarray(coded["input_ids"][row])[window])
                    if typed:
                        types.add(np.asarray(coded["token_type_ids"][row])[window])
                    words.add(numbers)
                    labels += [NO_LABEL if number < 0 else example.labels[number] for number in numbers]
                    places.add([start + row])
        return Features(
            ids=ids.values(),
            offsets=ids.offsets(),
            example=places.values(),
            targets=np.zeros(len(places.rows), dtype=np.int32),
            labels=np.array(labels, dtype=np.int32),
            words=words.values(),
            type_ids=types.values() if typed else None,
            truncated=truncated,
            unread=sum(len(example.words) for example in examples) - sum(label != NO_LABEL for label in labels),
        )

    def predict(
        self, features: Features, outputs: Sequence[FloatArray], examples: Sequence[Tagged], task: Task
    ) -> pyarrow.Table:
        """Per sentence, in order: ``id``, ``prediction`` (label index of each word), ``words`` and ``correct``.

        Where F1 counts, ``tp``, ``fp`` and ``fn`` too: spans found, predicted wrongly and missed. ``unread`` of
        the words have no token: their prediction is -1. ``outputs`` holds (labelled tokens, labels) logits for
        each feature. Of equal logits the first label wins.
        """
        import pyarrow

        assert features.words is not None
        predicted = [np.full(len(example.words), UNREAD, dtype=np.int16) for example in examples]
        for feature, logits in enumerate(outputs):
            numbers = features.words[features.span(feature)]
            predicted[int(features.example[feature])][numbers[numbers >= 0]] = np.argmax(logits, axis=1)
        golds = [np.array(example.labels) for example in examples]
        columns: dict[str, Any] = {
            "id": np.array([example.id for example in examples], dtype=np.int32),
            "prediction": pyarrow.array([list(row) for row in predicted], pyarrow.list_(pyarrow.int16())),
            "words": np.array([len(row) for row in golds], dtype=np.int32),
            "correct": _counts(row == gold for row, gold in zip(predicted, golds, strict=True)),
            "unread": _counts(row == UNREAD for row in predicted),
        }
        if task.metric == "f1":
            names = [*task.labels, OUTSIDE]  # -1, the last, stands for a word that was not read
            found = [
                matches([names[label] for label in row], [names[label] for label in gold])
                for row, gold in zip(predicted, golds, strict=True)
            ]
            columns |= dict(zip(("tp", "fp", "fn"), np.array(found, dtype=np.int32).reshape(-1, 3).T, strict=True))
        return pyarrow.table(columns)

    def score(self, predictions: pyarrow.Table) -> dict[str, float]:
        """``accuracy`` over words and, where F1 counts, ``f1`` over the spans of all sentences; in points, 0 to 100."""
        sums = {
            name: sum(predictions.column(name).to_pylist())
            for name in ("words", "correct", "tp", "fp", "fn")
            if name in predictions.column_names
        }
        scores = {"accuracy": mean_points([sums["correct"] / sums["words"]] if sums["words"] else [])}
        if "tp" in sums:
            either = 2 * sums["tp"] + sums["fp"] + sums["fn"]
            scores["f1"] = 100.0 * 2 * sums["tp"] / either if either else 0.0
        return scores


FORMAT = TagFormat()


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the words of one encoded sentence lie among its tokens."""

    words: np.ndarray[tuple[int], np.dtype[np.int32]]
    """(tokens,) number of the word that begins at each token, -1 elsewhere."""
    first: int
    """Tokens of the template before the words; ``last`` is where those behind begin."""
    last: int

    @classmethod
    def of(cls, numbers: Sequence[int | None]) -> _Layout:
        """From the number of each token's word, None for those of the template."""
        inside = [place for place, number in enumerate(numbers) if number is not None]
        first, last = (inside[0], inside[-1] + 1) if inside else (len(numbers), len(numbers))
        words = [
            -1 if number is None or (place > first and numbers[place - 1] == number) else number
            for place, number in enumerate(numbers)
        ]
        return cls(np.array(words, dtype=np.int32), first, last)

    def room(self, longest: int) -> int:
        """Tokens of words that a window of ``longest`` tokens holds."""
        return longest - self.first - (len(self.words) - self.last)

    @property
    def longest_word(self) -> int:
        """Tokens of the longest word."""
        return int(np.diff([*self._begins(), self.last]).max(initial=0))

    def windows(self, longest: int) -> Iterator[list[int]]:
        """The tokens of each window, the template's around as many whole words as fit."""
        room, before, behind = self.room(longest), range(self.first), range(self.last, len(self.words))
        if self.last - self.first <= room:
            yield list(range(len(self.words)))
            return
        held: list[int] = []
        begins = self._begins()
        for begin, end in zip(begins, [*begins[1:], self.last], strict=True):
            word = range(begin, min(end, begin + room))
            if len(held) + len(word) > room:
                yield [*before, *held, *behind]
                held = []
            held += word
        yield [*before, *held, *behind]

    def _begins(self) -> list[int]:
        return [int(place) for place in np.flatnonzero(self.words >= 0)]


def _words(table: pyarrow.Table, place: Place) -> list[tuple[str, ...]]:
    """The words of each row; they may be blank, since tokens of real data sets are, but not missing."""
    rows = place.column(table, "tokens")
    for row, words in enumerate(rows):
        if not isinstance(words, list) or not words:
            raise place.fault(f"tokens must be a list of words, not {words!r:.40}", row)
        for number, word in enumerate(words):
            if not isinstance(word, str):
                raise place.fault(f"token {number} is no text but {word!r:.40}", row)
    return [tuple(words) for words in rows]


def _counts(rows: Iterator[Any]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """How many of each row are true."""
    return np.array([int(row.sum()) for row in rows], dtype=np.int32)
