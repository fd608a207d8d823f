"""Labels meet by name, and one label per example is predicted and scored alike whatever the format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xsweep.tasks.features import FloatArray
from xsweep.tasks.metrics import mean_points
from xsweep.tasks.rows import Choice, Pair, Place

if TYPE_CHECKING:
    import pyarrow

UNLABELLED = -1
"""What data sets put where annotators found no majority, or where labels are hidden."""


def label_index(value: Any, index: Mapping[str, int], own: Sequence[str], place: Place, row: int) -> int:
    """One label value, an integer under the data set's ``own`` names or a name itself, as the task's ``index``.

    ``UNLABELLED`` stays what it is, and is what a wrong one becomes once it is noted.
    """
    if isinstance(value, str):
        name = value
    elif isinstance(value, int) and not isinstance(value, bool):
        if value == UNLABELLED:
            return UNLABELLED
        if not own:
            raise place.fault("its labels are integers without names; `labels: [...]` names them in order")
        if not 0 <= value < len(own):
            place.note(f"the label {value} has no name; there are {len(own)}: {', '.join(own)}", row)
            return UNLABELLED
        name = own[value]
    else:
        place.note(f"the label {value!r:.40} is neither an integer nor a name", row)
        return UNLABELLED
    if name not in index:
        place.note(f"the label {name!r} is none of the task's {_few(index)}", row)
    return index.get(name, UNLABELLED)


def own_names(table: pyarrow.Table, place: Place, name: str) -> tuple[str, ...]:
    """Names of the integers in column ``name``: as declared, else as the data set carries them; () when neither does.

    The column may hold lists of labels.
    """
    column = place.data.columns.get(name, name)
    metadata = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    feature = json.loads(metadata).get("info", {}).get("features", {}).get(column, {})
    if isinstance(feature, dict):
        feature = feature.get("feature", feature)
    carried = tuple(feature.get("names") or ()) if isinstance(feature, dict) else ()
    declared = place.data.labels
    # New names for old ("0" -> "different") are fine; the same names in another order are a mistake.
    renamed = len(declared) == len(carried) and not set(declared) & set(carried)
    if declared and carried and declared != carried and not renamed:
        raise place.fault(f"`labels` says {', '.join(declared)}, but the data set says {', '.join(carried)}")
    return declared or carried


def likeliest(outputs: Sequence[FloatArray], examples: Sequence[Pair | Choice]) -> pyarrow.Table:
    """``id``, ``prediction`` (the first of the largest logits) and ``correct`` (0 or 1) of each example, in order."""
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


def accuracy(predictions: pyarrow.Table) -> dict[str, float]:
    """``accuracy`` of a table of predictions, in points, 0 to 100."""
    return {"accuracy": mean_points(predictions.column("correct").to_pylist())}


def _few(names: Mapping[str, int], most: int = 20) -> str:
    """The names, or the first of them and how many there are."""
    shown = ", ".join(list(names)[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"
