"""Questions that may have no answer: SQuAD v2.0's threshold, and scores of its two halves.

A model says "no answer" where its no-answer score (that of the first token, less that of the best span) is
above a threshold. The official evaluation takes the threshold that is best on the rows scored, which therefore
must be held-out English: such a task serves as an intermediate, and no target's test rows are scored so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xsweep.tasks.answers import exact_match_v2, f1_v2
from xsweep.tasks.features import FloatArray, IntArray
from xsweep.tasks.metrics import mean_points

if TYPE_CHECKING:
    import pyarrow


def judged(
    ids: IntArray, texts: Sequence[str], golds: Sequence[Sequence[str]], null_scores: FloatArray
) -> pyarrow.Table:
    """The best spans' ``texts`` as predictions, "" where the no-answer score is above the threshold.

    Per example, in order: ``id``, ``prediction``, ``exact_match``, ``f1``, ``has_answer`` (0 or 1: whether there
    is a gold answer), ``null_score`` and ``threshold``, which is the same in all rows: the best for F1.
    """
    import pyarrow

    has_answer = np.array([bool(gold) for gold in golds], dtype=np.int8)
    spans_f1 = np.array([f1_v2(*row) for row in zip(texts, golds, strict=True)])
    threshold = best_threshold(spans_f1, null_scores, has_answer)
    final = ["" if null > threshold else text for text, null in zip(texts, null_scores, strict=True)]
    rows = list(zip(final, golds, strict=True))
    return pyarrow.table(
        {
            "id": ids,
            "prediction": pyarrow.array(final, pyarrow.string()),
            "exact_match": np.array([exact_match_v2(*row) for row in rows], dtype=np.int8),
            "f1": np.array([f1_v2(*row) for row in rows], dtype=np.float64),
            "has_answer": has_answer,
            "null_score": null_scores,
            "threshold": np.full(len(rows), threshold),
        }
    )


def best_threshold(scores: FloatArray, null_scores: FloatArray, has_answer: NDArray[np.int8]) -> float:
    """The no-answer score up to which answers are given for the highest sum of ``scores``; the least such.

    (n,) each: ``scores`` of the best spans, 0 to 1. Examples with equal no-answer scores stand or fall together,
    where the official script may part them; the threshold lies below all scores when it is best to give no answer.
    """
    order = np.argsort(null_scores, kind="stable")
    nulls = null_scores[order]
    # Answering wins the span's score, and loses the point of saying nothing where there is nothing to say.
    won = np.where(has_answer[order] == 1, scores[order], scores[order] - 1.0)
    sums = np.concatenate([[0.0], np.cumsum(won)])
    last_of_equals = np.append(nulls[1:] != nulls[:-1], True)
    allowed = np.concatenate([[True], last_of_equals])
    best = int(np.argmax(np.where(allowed, sums, -np.inf)))
    return float(np.nextafter(nulls[0], -np.inf) if best == 0 else nulls[best - 1])


def score_parts(predictions: pyarrow.Table) -> dict[str, float]:
    """Official scores in points: ``exact_match`` and ``f1`` of all rows, of those with an answer, of those without.

    A part without rows is left out. ``threshold`` is the no-answer threshold behind them.
    """
    has_answer = np.asarray(predictions.column("has_answer").to_pylist(), dtype=bool)
    scores = {}
    for name in ("exact_match", "f1"):
        values = np.asarray(predictions.column(name).to_pylist(), dtype=np.float64)
        scores[name] = mean_points(values.tolist())
        for part, rows in (("has_answer", has_answer), ("no_answer", ~has_answer)):
            if rows.any():
                scores[f"{part}_{name}"] = mean_points(values[rows].tolist())
    return {**scores, "threshold": float(predictions.column("threshold")[0].as_py())}
