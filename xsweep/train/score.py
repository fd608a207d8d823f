"""What a stage's model is worth: development scores after each epoch, test scores in each language."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xsweep.models.heads import Network
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.noise import hide
from xsweep.tasks.task import Task
from xsweep.train.batches import concat
from xsweep.train.data import Loaded
from xsweep.train.judge import degenerate
from xsweep.train.loop import DivergenceError
from xsweep.train.predict import Setting, infer
from xsweep.train.retrieve import Retrieved, retrieve

if TYPE_CHECKING:
    import pyarrow


class Development:
    """Scores a network on selection rows; keeps the last predictions, on the first worker only."""

    def __init__(self, network: Network, task: Task, rows: Loaded, setting: Setting) -> None:
        self._network, self._task, self._rows, self._setting = network, task, rows, setting
        self._features = hide(rows.features, 0)
        self._predictions: pyarrow.Table | None = None
        self._last: dict[str, Any] = {}
        self.seconds = 0.0
        """Time spent scoring."""

    def score(self, epoch: int) -> dict[str, Any]:
        """``epoch``, ``loss`` (none for retrieval) and the task's metrics in points; raises ``DivergenceError``."""
        start = time.perf_counter()
        found = self._retrieved(epoch) if self._task.format == "retrieval" else self._predicted(epoch)
        if found is None:
            return {}
        self._last = {"epoch": epoch, **found}
        self.seconds += time.perf_counter() - start
        return self._last

    def _predicted(self, epoch: int) -> dict[str, Any] | None:
        """Loss and metrics, None on all but the first worker."""
        form = FORMATS[self._task.format]
        outputs = infer(self._network, self._features, form.outputs(self._task), self._setting)
        if not outputs.finite:
            raise DivergenceError(f"the logits were not finite after epoch {epoch}")
        if not self._setting.world.first:
            return None
        self._predictions = form.predict(self._features, outputs.logits, self._rows.examples, self._task)
        loss = float(np.sum(outputs.losses, dtype=np.float64) / max(1, int(self._features.weights.sum())))
        return {"loss": loss, **form.score(self._predictions)}

    def _retrieved(self, epoch: int) -> dict[str, Any] | None:
        """The same for retrieval."""
        found = retrieve(self._network, self._task, {"dev": self._rows}, self._setting)
        if not found.finite:
            raise DivergenceError(f"the vectors were not finite after epoch {epoch}")
        if not self._setting.world.first:
            return None
        self._predictions = found.predictions["dev"]
        return FORMATS["retrieval"].score(self._predictions)

    @property
    def points(self) -> float:
        """The metric that counts, after the last epoch scored."""
        return float(self._last[self._task.metric])

    def flaws(self) -> dict[str, str]:
        """What the verdict does not say: nothing, of one task."""
        return {}

    def verdict(self) -> str:
        """Why the model is degenerate, or ""."""
        assert self._predictions is not None
        return degenerate(self._task, self._predictions, self._rows.examples, self.points)

    def results(self) -> dict[str, bytes]:
        """The last predictions as a file."""
        assert self._predictions is not None
        return {"predictions-dev.parquet": parquet(self._predictions)}


class Developments:
    """The same for a mixture: the scores of each task on its own rows, and their mean."""

    def __init__(self, tasks: Mapping[str, Development]) -> None:
        self._tasks = tasks

    def score(self, epoch: int) -> dict[str, Any]:
        """``epoch``, ``TASK/METRIC`` and ``TASK/loss`` of each task, and the ``mean`` of what counts."""
        found = {name: task.score(epoch) for name, task in self._tasks.items()}
        if not all(found.values()):
            return {}
        told = {f"{name}/{key}": own[key] for name, own in found.items() for key in own if key != "epoch"}
        return {"epoch": epoch, **told, "mean": self.points}

    @property
    def seconds(self) -> float:
        """Time spent scoring."""
        return sum(task.seconds for task in self._tasks.values())

    @property
    def points(self) -> float:
        """The mean over the tasks of the metric that counts, after the last epoch scored."""
        return float(np.mean([task.points for task in self._tasks.values()]))

    def flaws(self) -> dict[str, str]:
        """Task -> why the model is degenerate on it."""
        return {name: reason for name, task in self._tasks.items() if (reason := task.verdict())}

    def verdict(self) -> str:
        """Why the model is degenerate on every task, or ""."""
        flaws = self.flaws()
        return "; ".join(f"{name}: {flaws[name]}" for name in self._tasks) if len(flaws) == len(self._tasks) else ""

    def results(self) -> dict[str, bytes]:
        """The last predictions, a file a task."""
        files = ((name, task.results()) for name, task in self._tasks.items())
        return {f"predictions-dev-{name}.parquet": file for name, own in files for file in own.values()}


@dataclass(frozen=True)
class Tested:
    """Test scores by language, their files, and the tokens that went through the network."""

    metrics: dict[str, dict[str, Any]]
    results: dict[str, bytes]
    tokens: int


def score_languages(network: Network, task: Task, rows: Mapping[str, Loaded], setting: Setting) -> Tested:
    """Score every language in one pass over all rows, sorted by length; files on the first worker only."""
    if task.format == "retrieval":
        return _retrieved(retrieve(network, task, rows, setting))
    form = FORMATS[task.format]
    features = concat([loaded.features for loaded in rows.values()])
    outputs = infer(network, features, form.outputs(task), setting)
    metrics: dict[str, dict[str, Any]] = {}
    results: dict[str, bytes] = {}
    start = 0
    for language, loaded in rows.items() if setting.world.first else ():
        end = start + len(loaded.features)
        table = form.predict(loaded.features, outputs.logits[start:end], loaded.examples, task)
        metrics[language] = {**form.score(table), "n": table.num_rows}
        results[f"predictions-{language}.parquet"] = parquet(table)
        start = end
    return Tested(metrics, results, len(features.ids))


def _retrieved(found: Retrieved) -> Tested:
    results = {f"predictions-{language}.parquet": parquet(table) for language, table in found.predictions.items()}
    if found.layers is not None:
        results["layers.parquet"] = parquet(found.layers)
    return Tested(found.metrics, results, found.tokens)


def parquet(table: pyarrow.Table) -> bytes:
    """A table as a Parquet file."""
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
