"""Retrieval scored: of an encoder as it comes in every layer and pooling, of a trained one by its own vectors.

What counts for an encoder that was not trained for retrieval is fixed before anything is scored: the mean over the
tokens of the layer at 7/12 of its depth. That is XTREME's layer 14 of XLM-R Large and 7 of the base models, as a share
of the depth, so that encoders of other depths and of every size are read at one place. All layers are in the file
``layers.parquet``.

XTREME's own procedures stand beside it. ``accuracy_xtreme``: the 14th layer's mean, English asking and the language
searched. ``f1_xtreme``: the 8th layer's first token, and the threshold with the best F1 on the gold; XTREME takes that
threshold from its development split, so on other rows this is the most that it can give. Encoders with fewer layers
are read at their last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xsweep.models.heads import Network
from xsweep.models.load import layers
from xsweep.tasks import ranking
from xsweep.tasks.neighbours import Vectors, nearest
from xsweep.tasks.ranking import Pool
from xsweep.tasks.retrieval import sides
from xsweep.tasks.task import Task
from xsweep.train.batches import Rows, concat
from xsweep.train.data import Loaded
from xsweep.train.embed import Slot, all_slots, embed
from xsweep.train.predict import Setting

if TYPE_CHECKING:
    import pyarrow


def headline(depth: int) -> Slot:
    """The slot that counts for an encoder of ``depth`` layers that was not trained for retrieval."""
    return Slot(max(1, round(depth * 7 / 12)), "mean")


@dataclass(frozen=True)
class Retrieved:
    """Metrics and predictions by language, every layer's scores (None for a trained model), tokens read."""

    metrics: dict[str, dict[str, Any]]
    predictions: dict[str, pyarrow.Table]
    layers: pyarrow.Table | None
    tokens: int
    finite: bool
    """Whether no vector holds NaN or infinity; known on all workers."""


@dataclass(frozen=True, eq=False)
class _Vectors:
    """The vectors of one pool, (slots, queries, width) and (slots, candidates, width)."""

    queries: Vectors
    candidates: Vectors


def retrieve(network: Network, task: Task, rows: Mapping[str, Loaded], setting: Setting) -> Retrieved:
    """Score every language; metrics and predictions are filled on the first worker only."""
    metrics: dict[str, dict[str, Any]] = {}
    predictions: dict[str, pyarrow.Table] = {}
    lines: list[dict[str, Any]] = []
    slots = None if task.train else all_slots(len(layers(network.encoder)))
    tokens, finite = 0, True
    groups = [dict(rows)] if task.pool == "all" else [{language: loaded} for language, loaded in rows.items()]
    for group in groups:
        features = concat([loaded.features for loaded in group.values()])
        found = ranking.pool([e for loaded in group.values() for e in loaded.examples], merge=task.metric == "f1")
        wanted = np.concatenate([found.query_rows, found.candidate_rows])
        texts = sides(features)
        tokens += int(texts.lengths[wanted].sum())
        vectors, whole = embed(network, texts, wanted, slots, setting)
        finite &= whole
        if not setting.world.first:
            continue
        both = _Vectors(vectors[:, : len(found.query_rows)], vectors[:, len(found.query_rows) :])
        for language, part in _languages(found, group):
            table, scores, every = _scored(task, _only(found, part), both, part, slots)
            metrics[language], predictions[language] = {**scores, "n": table.num_rows}, table
            lines += [{"language": language, **line} for line in every]
    return Retrieved(metrics, predictions, _as_table(lines) if lines else None, tokens, finite)


def _languages(found: Pool, group: Mapping[str, Loaded]) -> Iterator[tuple[str, slice]]:
    """Each language of a pool, with its queries."""
    start = 0
    for language, loaded in group.items():
        end = start + len(loaded.examples)
        yield language, slice(int(found.starts[start]), int(found.starts[end]))
        start = end


def _only(found: Pool, part: slice) -> Pool:
    """The pool with the queries of one language."""
    return Pool(found.ids[part], found.query_rows[part], found.candidate_rows, found.gold[part], found.starts)


def _scored(
    task: Task, found: Pool, both: _Vectors, part: slice, slots: list[Slot] | None
) -> tuple[pyarrow.Table, dict[str, float], list[dict[str, Any]]]:
    """The predictions that count, their scores with the benchmark's beside them, and a line for every slot."""
    rank = ranking.RANK[task.metric]
    if slots is None:
        table = rank(found, both.queries[0, part], both.candidates[0])
        return table, ranking.score(table), []
    tables = [rank(found, both.queries[slot, part], both.candidates[slot]) for slot in range(len(slots))]
    points = [ranking.score(table)[task.metric] for table in tables]
    chosen = slots.index(headline(slots[-1].layer))
    scores: dict[str, float] = {task.metric: points[chosen]}
    if task.metric == "accuracy":
        own = slots.index(Slot(min(14, slots[-1].layer), "mean"))
        scores["accuracy_xtreme"] = _backwards(found, both.queries[own, part], both.candidates[own])
    elif task.metric == "f1":
        own = slots.index(Slot(min(8, slots[-1].layer), "first"))
        scores["f1_xtreme"] = ranking.best_f1(tables[own])
    every: list[dict[str, Any]] = [
        {"layer": slot.layer, "pooling": slot.pooling, "metric": task.metric, "score": value}
        for slot, value in zip(slots, points, strict=True)
    ]
    return tables[chosen], scores, every


def _backwards(found: Pool, queries: Vectors, candidates: Vectors) -> float:
    """Accuracy in points of the other direction, as XTREME has it: English asks, the language is searched."""
    answers: Rows = nearest(candidates, queries, 1)[1][:, 0]
    asked = [(place, query) for query, gold in enumerate(found.gold) for place in gold]
    return 100.0 * sum(int(answers[place]) == query for place, query in asked) / len(asked)


def _as_table(lines: list[dict[str, Any]]) -> pyarrow.Table:
    import pyarrow

    names = ("language", "layer", "pooling", "metric", "score")
    return pyarrow.table({name: [line[name] for line in lines] for name in names})
