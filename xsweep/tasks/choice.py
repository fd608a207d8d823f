"""The format of multiple choice: a context, perhaps a question, and choices of which one is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xsweep.errors import DataError
from xsweep.tasks.features import Features, FloatArray, Ragged, Tokenizer, batches, wants_type_ids
from xsweep.tasks.labels import accuracy, likeliest
from xsweep.tasks.rows import Choice, Place, groups_of
from xsweep.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow

UNLABELLED = (-1, "-1", "")
"""What data sets put where labels are hidden."""


class ChoiceFormat:
    """Columns ``context``, ``choices`` (a list, or a column each), ``label`` and, if any, ``question`` and ``id``."""

    def examples(self, table: pyarrow.Table, task: Task, place: Place) -> list[Choice]:
        """The labelled rows of ``table``, in order; rows with a hidden label are left out."""
        labels, uids = place.column(table, "label"), place.uids(table)
        hidden = {row for row, label in enumerate(labels) if label in UNLABELLED}
        contexts, choices = place.texts(table, "context", hidden), place.column(table, "choices")
        questions = _questions(table, place, hidden)
        groups = groups_of(contexts)
        found = []
        for row, label in enumerate(labels):
            if row in hidden:
                continue
            texts = _choices(choices[row], place, row)
            right = _label(label, len(texts), place, row)
            example = (place.first_id + row, uids[row], groups[row], contexts[row], questions[row], texts, right)
            found.append(Choice(*example))
        return found

    def groups(self, table: pyarrow.Table, place: Place) -> list[str]:
        """The group of each row, labelled or not."""
        return groups_of(place.texts(table, "context"))

    def canonical(self, example: Choice) -> list[Any]:
        """What an example is, for its fingerprint."""
        return [example.id, example.uid, example.context, example.question, example.choices, example.label]

    def outputs(self, task: Task) -> int:
        """Width of the head: one logit a sequence, so that data sets of few and of many choices share it."""
        return 1

    def encode(self, examples: Sequence[Choice], task: Task, tokenizer: Tokenizer) -> Features:
        """One feature an example, its sequences side by side: context and question, paired with each choice.

        A context that leaves no room is cut at its start, for all choices of the example alike, and counted.
        Raises ``DataError`` when question and choice alone are too long.
        """
        typed = wants_type_ids(tokenizer)
        ids, types, sequences, truncated = Ragged(), Ragged(), Ragged(), 0
        for _, batch in batches(examples):
            coded, end = _coded([(example, example.context) for example in batch], tokenizer, typed), 0
            for example in batch:
                start, end = end, end + len(example.choices)
                mine = {name: rows[start:end] for name, rows in coded.items()}
                if max(map(len, mine["input_ids"])) > task.max_length:
                    mine = _shortened(example, task, tokenizer, typed)
                    truncated += 1
                sequences.add([len(row) for row in mine["input_ids"]])
                ids.add(_joined(mine["input_ids"]))
                if typed:
                    types.add(_joined(mine["token_type_ids"]))
        widths = sequences.values()
        starts = np.cumsum([0, *widths], dtype=np.int64)
        return Features(
            ids=ids.values(),
            offsets=starts[sequences.offsets()],
            example=np.arange(len(examples), dtype=np.int32),
            targets=np.array([example.label for example in examples], dtype=np.int32),
            sequences=starts,
            type_ids=types.values() if typed else None,
            truncated=truncated,
        )

    def predict(
        self, features: Features, outputs: Sequence[FloatArray], examples: Sequence[Choice], task: Task
    ) -> pyarrow.Table:
        """Per example, in order: ``id``, ``prediction`` (position of a choice) and ``correct`` (0 or 1).

        ``outputs`` holds (choices,) logits for each feature. Of equal logits the first choice wins.
        """
        return likeliest(outputs, examples)

    def score(self, predictions: pyarrow.Table) -> dict[str, float]:
        """``accuracy`` in points, 0 to 100."""
        return accuracy(predictions)


FORMAT = ChoiceFormat()


def _questions(table: pyarrow.Table, place: Place, hidden: set[int]) -> list[str]:
    """What is asked in each row: the column, or what it stands for; "" where the data set asks nothing."""
    if not place.has(table, "question"):
        return [""] * table.num_rows
    texts, asked = place.texts(table, "question", hidden), place.data.questions
    for row, text in enumerate(texts):
        if asked and row not in hidden and text not in asked:
            raise place.fault(f"the question {text!r:.40} is none of {', '.join(asked)}", row)
    return [asked.get(text, text) for text in texts]


def _choices(value: Any, place: Place, row: int) -> tuple[str, ...]:
    """The choices of one row, none missing or blank, and as many as there are declared labels."""
    if not isinstance(value, list) or len(value) < 2:
        raise place.fault(f"choices must be a list of two texts or more, not {value!r:.40}", row)
    wanted = len(place.data.labels)
    if wanted and len(value) != wanted:
        raise place.fault(f"{len(value)} choices, but {wanted} labels are declared", row)
    for number, text in enumerate(value, 1):
        if not isinstance(text, str) or not text.strip():
            what = "is missing" if text is None else f"is no text but {text!r:.40}"
            raise place.fault(f"choice {number} {what}; mend the row or leave it out of the data set", row)
    return tuple(value)


def _label(value: Any, choices: int, place: Place, row: int) -> int:
    """The position of the right choice: as the declared labels name it, else an integer counted from 0."""
    if not isinstance(value, int | str):
        raise place.fault(f"the label {value!r:.40} is neither an integer nor a name", row)
    names = place.data.labels
    if names:
        if str(value) not in names:
            raise place.fault(f"the label {value!r:.40} is none of {', '.join(names)}", row)
        return names.index(str(value))
    if isinstance(value, str):
        raise place.fault("its labels are text; `labels: [...]` says what stands for the first choice and so on", row)
    if not 0 <= value < choices:
        raise place.fault(f"the label {value} is no position of {choices} choices, counted from 0", row)
    return value


def _coded(rows: Sequence[tuple[Choice, str]], tokenizer: Tokenizer, typed: bool) -> Any:
    """All sequences of the examples, each with the context beside it, example after example."""
    pairs = [
        (f"{context} {example.question}" if example.question else context, choice)
        for example, context in rows
        for choice in example.choices
    ]
    return tokenizer(
        [first for first, _ in pairs],
        [second for _, second in pairs],
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=typed,
        verbose=False,
    )


def _joined(rows: Sequence[Sequence[int]]) -> list[int]:
    return [token for row in rows for token in row]


def _shortened(example: Choice, task: Task, tokenizer: Tokenizer, typed: bool) -> Any:
    """The sequences of one example with the end of the context that fits beside question and longest choice."""
    context = example.context
    while True:
        coded = _coded([(example, context)], tokenizer, typed)
        excess = max(map(len, coded["input_ids"])) - task.max_length
        if excess <= 0:
            return coded
        spans = tokenizer([context], add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        # Pieces of one character share its place: a cut there would take nothing away.
        start = next((start for start, _ in spans["offset_mapping"][0][excess:] if start > 0), None)
        if start is None:
            raise DataError(
                f"task {task.name}: question and choices of row {example.id} ({example.uid}) leave no room for "
                f"the context; raise max_length ({task.max_length})"
            )
        context = context[start:]
