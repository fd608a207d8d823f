"""The format of sentence pairs: two texts, one label."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xsweep.tasks.features import Features, FloatArray, Ragged, Tokenizer, batches, wants_type_ids
from xsweep.tasks.metrics import mean_points
from xsweep.tasks.rows import Pair, Place, groups_of
from xsweep.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow

UNLABELLED = -1
"""What data sets put where annotators found no majority, or where labels are hidden."""


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
        import pyarrow

        chosen = np.array([int(np.argmax(row)) for row in outputs], dtype=np.int16)
        gold = np.array([example.label for example in examples], dtype=np.int16)
        return pyarrow.table(
            {
                "id": np.array([example.id for example in examples], dtype=np.int32),
                "prediction": chosen,
                "correct": (chosen == gold).astype(np.int8),
            }
        )

    def score(self, predictions: pyarrow.Table) -> dict[str, float]:
        """``accuracy`` in points, 0 to 100."""
        return {"accuracy": mean_points(predictions.column("correct").to_pylist())}


FORMAT = PairFormat()


def _labels(table: pyarrow.Table, task: Task, place: Place) -> list[int]:
    """The task's label index of each row, met by name; -1 where a row has no label or, which is noted, a wrong one."""
    values = place.column(table, "label")
    index = {name: i for i, name in enumerate(task.labels)}
    own = _own_names(table, place)
    labels = []
    for row, value in enumerate(values):
        if isinstance(value, int) and value != UNLABELLED and not own:
            raise place.fault("its labels are integers without names; `labels: [...]` names them in order")
        try:
            labels.append(_label(value, index, own))
        except ValueError as wrong:
            place.note(str(wrong), row)
            labels.append(UNLABELLED)
    return labels


def _label(value: Any, index: Mapping[str, int], own: Sequence[str]) -> int:
    """One label, an integer under the data set's names or a name itself, as the task's index, else ``ValueError``."""
    if isinstance(value, str):
        name = value
    elif isinstance(value, int) and not isinstance(value, bool):
        if value == UNLABELLED:
            return UNLABELLED
        if not 0 <= value < len(own):
            raise ValueError(f"the label {value} has no name; there are {len(own)}: {', '.join(own)}")
        name = own[value]
    else:
        raise ValueError(f"the label {value!r:.40} is neither an integer nor a name")
    if name not in index:
        raise ValueError(f"the label {name!r} is none of the task's {', '.join(index)}")
    return index[name]


def _own_names(table: pyarrow.Table, place: Place) -> tuple[str, ...]:
    """Names of integer labels: as declared, else as the data set carries them; () when neither does."""
    column = place.data.columns.get("label", "label")
    metadata = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    feature = json.loads(metadata).get("info", {}).get("features", {}).get(column, {})
    carried = tuple(feature.get("names") or ()) if isinstance(feature, dict) else ()
    declared = place.data.labels
    # New names for old ("0" -> "different") are fine; the same names in another order are a mistake.
    renamed = len(declared) == len(carried) and not set(declared) & set(carried)
    if declared and carried and declared != carried and not renamed:
        raise place.fault(f"`labels` says {', '.join(declared)}, but the data set says {', '.join(carried)}")
    return declared or carried
