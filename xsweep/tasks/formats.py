"""The formats a task can have. Tasks are data; formats are code, written once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from xsweep.tasks import choice, pair, retrieval, span, tag, text
from xsweep.tasks.features import Features, FloatArray, Tokenizer
from xsweep.tasks.rows import Place
from xsweep.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow


class Format(Protocol):
    """How rows become examples, examples features, model outputs predictions, and predictions scores."""

    def examples(self, table: pyarrow.Table, task: Task, place: Place) -> list[Any]:
        """Checked examples of a table; raises ``DataError`` naming the row."""
        ...

    def groups(self, table: pyarrow.Table, place: Place) -> list[str]:
        """The group of each row of a table."""
        ...

    def canonical(self, example: Any) -> list[Any]:
        """What an example is, for its fingerprint."""
        ...

    def outputs(self, task: Task) -> int:
        """Width of the head."""
        ...

    def encode(self, examples: Sequence[Any], task: Task, tokenizer: Tokenizer) -> Features:
        """Tokenised examples."""
        ...

    def predict(
        self, features: Features, outputs: Sequence[FloatArray], examples: Sequence[Any], task: Task
    ) -> pyarrow.Table:
        """Predictions with sufficient statistics, one row an example, in order."""
        ...

    def score(self, predictions: pyarrow.Table) -> dict[str, float]:
        """Metrics of a table of predictions, in points."""
        ...


FORMATS: Mapping[str, Format] = {
    "pair": pair.FORMAT,
    "span": span.FORMAT,
    "choice": choice.FORMAT,
    "tag": tag.FORMAT,
    "text": text.FORMAT,
    "retrieval": retrieval.FORMAT,
}
