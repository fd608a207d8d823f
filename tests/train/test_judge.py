from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from tests.train.small import Place
from xsweep.train.judge import degenerate


def examples(golds: list[int]) -> list[Any]:
    return [SimpleNamespace(label=gold) for gold in golds]


def pair(place: Place, golds: list[int], predicted: list[int]) -> str:
    score = 100 * sum(g == p for g, p in zip(golds, predicted, strict=True)) / len(golds)
    return degenerate(place.task("pairs"), pa.table({"prediction": predicted}), examples(golds), score)


def test_one_label_for_all_is_degenerate_even_when_often_right(place: Place) -> None:
    assert "one label" in pair(place, [0] * 90 + [1] * 10, [0] * 100)


def test_accuracy_must_beat_the_largest_class(place: Place) -> None:
    golds = [0, 1] * 50
    assert "largest class (59.80)" in pair(place, golds, [0, 0] * 20 + [1, 0] * 11 + [0, 1] * 19)
    assert pair(place, golds, [0, 1] * 30 + [1, 1] * 15 + [0, 0] * 5) == ""


@pytest.mark.parametrize(
    ("texts", "f1", "bad"), [([""] * 100, 0.0, True), (["x"] * 100, 0.5, True), (["x", ""] * 50, 40.0, False)]
)
def test_spans(place: Place, texts: list[str], f1: float, bad: bool) -> None:
    found = degenerate(place.task("spans", "span"), pa.table({"prediction": texts}), [], f1)
    assert bool(found) == bad


@pytest.mark.parametrize(
    ("predicted", "said"),
    [([1] * 99 + [0], "are one position"), ([0, 1, 2] * 33 + [2], "not above the largest class"), ([], "")],
)
def test_choices(place: Place, predicted: list[int], said: str) -> None:
    golds = [2, 0, 1] * 33 + [0]
    found = degenerate(
        place.task("choices", "choice"), pa.table({"prediction": predicted or golds}), examples(golds), 0
    )
    assert said in found
    assert bool(found) == bool(said)


def tagged(place: Place, rows: int, predicted: list[int], gold: list[int]) -> str:
    sentences = [SimpleNamespace(labels=gold) for _ in range(rows)]
    table = pa.table({"prediction": [predicted] * rows})
    return degenerate(place.task("tags", "tag"), table, sentences, 0.0)


def test_tags_are_judged_by_words(place: Place) -> None:
    assert tagged(place, 20, [0, 0, 0, 1, 2], [0, 0, 0, 1, 2]) == ""
    assert "100 of 100 development predictions are one label" in tagged(place, 20, [0] * 5, [0, 0, 0, 1, 2])
    assert "not above the largest class" in tagged(place, 20, [0, 0, 1, 1, -1], [0, 0, 0, 1, 2])


@pytest.mark.parametrize(
    ("found", "score", "said"),
    [([3] * 100, 40.0, "one candidate"), (list(range(100)), 4.0, "random order"), (list(range(100)), 40.0, "")],
)
def test_retrieval(place: Place, found: list[int], score: float, said: str) -> None:
    rows: list[Any] = [SimpleNamespace(candidate=f"c{n}", context="") for n in range(200)]
    of = place.task("pairs").model_copy(update={"format": "retrieval", "metric": "map20"})
    reason = degenerate(of, pa.table({"prediction": found}), rows, score)
    assert said in reason
    assert bool(said) == bool(reason)
