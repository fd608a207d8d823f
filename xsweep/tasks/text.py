"""The format of raw text: a masked language model is trained on it, nothing is ever scored by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xsweep.errors import EnvironmentProblem
from xsweep.tasks.features import NO_LABEL, Features, FloatArray, Noise, Ragged, Tokenizer, batches
from xsweep.tasks.metrics import mean_points
from xsweep.tasks.rows import Place, Text, groups_of
from xsweep.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow


class TextFormat:
    """Column ``text`` and, if there is one, ``id``."""

    def examples(self, table: pyarrow.Table, task: Task, place: Place) -> list[Text]:
        """The texts of ``table``, in order."""
        texts, uids = place.texts(table, "text"), place.uids(table)
        groups = groups_of(texts)
        return [Text(place.first_id + row, uids[row], groups[row], text) for row, text in enumerate(texts)]

    def groups(self, table: pyarrow.Table, place: Place) -> list[str]:
        """The group of each row: the text itself."""
        return groups_of(place.texts(table, "text"))

    def canonical(self, example: Text) -> list[Any]:
        """What an example is, for its fingerprint."""
        return [example.id, example.uid, example.text]

    def outputs(self, task: Task) -> int:
        """One value a hidden token: the token that the model puts there."""
        return 1

    def encode(self, examples: Sequence[Text], task: Task, tokenizer: Tokenizer) -> Features:
        """One feature a text, cut to the longest length and counted; no token is hidden yet (``noise.hide``)."""
        if tokenizer.mask_token_id is None:
            raise EnvironmentProblem(f"{task.name}: the tokenizer has no mask token, so no text can be trained on")
        ids, truncated = Ragged(), 0
        for _, batch in batches(examples):
            texts = [example.text for example in batch]
            coded = tokenizer(texts, truncation=True, max_length=task.max_length, return_attention_mask=False)
            for row, encoding in enumerate(coded.encodings):
                truncated += bool(encoding.overflowing)
                ids.add(coded["input_ids"][row])
        values = ids.values()
        return Features(
            ids=values,
            offsets=ids.offsets(),
            example=np.arange(len(examples), dtype=np.int32),
            targets=np.zeros(len(examples), dtype=np.int32),
            labels=np.full(len(values), NO_LABEL, dtype=np.int32),
            noise=Noise(tokenizer.mask_token_id, tuple(sorted(tokenizer.all_special_ids))),
            truncated=truncated,
        )

    def predict(
        self, features: Features, outputs: Sequence[FloatArray], examples: Sequence[Text], task: Task
    ) -> pyarrow.Table:
        """Per text, in order: ``id``, hidden tokens (``total``) and those found again (``correct``).

        ``outputs`` holds, for each feature, (hidden, 1) the ids that the model puts in place of the hidden tokens.
        """
        import pyarrow

        assert features.labels is not None
        hidden = [labels[labels != NO_LABEL] for labels in np.split(features.labels, features.offsets[1:-1])]
        found = [int((row[:, 0] == gold).sum()) for row, gold in zip(outputs, hidden, strict=True)]
        return pyarrow.table(
            {
                "id": np.array([example.id for example in examples], dtype=np.int32),
                "total": np.array([len(gold) for gold in hidden], dtype=np.int32),
                "correct": np.array(found, dtype=np.int32),
            }
        )

    def score(self, predictions: pyarrow.Table) -> dict[str, float]:
        """``accuracy`` in points, 0 to 100: hidden tokens found again."""
        total, correct = (sum(predictions.column(name).to_pylist()) for name in ("total", "correct"))
        return {"accuracy": mean_points([correct / total] if total else [])}


FORMAT = TextFormat()
