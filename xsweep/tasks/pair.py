"""The format of sentence pairs: two texts, one label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xsweep.tasks.features import Features, FloatArray, Ragged, Tokenizer, batches, wants_type_ids
from xsweep.tasks.labels import UNLABELLED, accuracy, label_index, likeliest, own_names
from xsweep.tasks.rows import Pair, Place, groups_of
from xsweep.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow


class PairFormat:
    """Columns ``premise``, ``hypothesis``, ``label`` and, if there is one, ``id``."""

    def examples(self, table: pyarrow.Table, task: Task, place: Place) -> list[Pair]:
        """The labelled rows of ``table``, in order; rows labelled -1 are left out."""
        labels, uids = _labels(table, task, place), place.uids(table)
        unlabelled = {row for row, label in enumerate(labels) if label == UNLABELLED}
        firsts, seconds = (place.texts(table, name, unlabelled) for name in ("premise", "hypothesis"))
        groups = groups_of(firsts)
        return [
            Pair(place.first_id + row, uids[row], groups[row], firsts[row], seconds[row], label)
            for row, label in enumerate(labels)
            if label != UNLABELLED
        ]

    def groups(self, table: pyarrow.Table, place: Place) -> list[str]:
        """The group of each row, labelled or not."""
        return groups_of(place.texts(table, "premise"))

    def canonical(self, example: Pair) -> list[Any]:
        """What an example is, for its fingerprint."""
        return [example.id, example.uid, example.first, example.second, example.label]

    def outputs(self, task: Task) -> int:
        """Width of the head: one logit a label."""
        return len(task.labels)

    def encode(self, examples: Sequence[Pair], task: Task, tokenizer: Tokenizer) -> Features:
        """One feature a pair, in the tokenizer's own template; the longer side is cut first, and counted."""
        ids, types, truncated = Ragged(), Ragged(), 0
        typed = wants_type_ids(tokenizer)
        for _, batch in batches(examples):
            coded = tokenizer(
                [example.first for example in batch],
                [example.second for example in batch],
                truncation="longest_first",
                max_length=task.max_length,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=typed,
            )
            for row, encoding in enumerate(coded.encodings):
                truncated += bool(encoding.overflowing)
                ids.add(coded["input_ids"][row])
                if typed:
                    types.add(coded["token_type_ids"][row])
        return Features(
            ids=ids.values(),
            offsets=ids.offsets(),
            example=np.arange(len(examples), dtype=np.int32),
            targets=np.array([example.label for example in examples], dtype=np.int32),
            type_ids=types.values() if typed else None,
            truncated=truncated,
        )

    def predict(
        self, features: Features, outputs: Sequence[FloatArray], examples: Sequence[Pair], task: Task
    ) -> pyarrow.Table:
        """Per example, in order: ``id``, ``prediction`` (label index) and ``correct`` (0 or 1).

        ``outputs`` holds (labels,) logits for each feature. Of equal logits the first label wins.
        """
        return likeliest(outputs, examples)

    def score(self, predictions: pyarrow.Table) -> dict[str, float]:
        """``accuracy`` in points, 0 to 100."""
        return accuracy(predictions)


FORMAT = PairFormat()


def _labels(table: pyarrow.Table, task: Task, place: Place) -> list[int]:
    """The task's label index of each row, met by name; -1 where a row has no label or, which is noted, a wrong one."""
    values = place.column(table, "label")
    index = {name: i for i, name in enumerate(task.labels)}
    own = own_names(table, place, "label")
    return [label_index(value, index, own, place, row) for row, value in enumerate(values)]
