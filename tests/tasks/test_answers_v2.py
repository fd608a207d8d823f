"""SQuAD v2.0: questions without an answer, the no-answer score and its threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tasks.made import Mirror, answers, character_tokenizer, span_task
from xsweep.errors import DataError
from xsweep.tasks.answers import exact_match_v2, f1_v2
from xsweep.tasks.examples import Span, load_split
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data
from xsweep.tasks.unanswered import best_threshold, judged, score_parts

SPAN = FORMATS["span"]
TOY = character_tokenizer()
V2 = span_task(scoring="squad_v2")
NONE = Span(1, "1", "0", "who", "abcdefghijklmnopqrstuvwxyz0123456789", ())
SOME = Span(0, "0", "0", "who", "abcdefghijklmnopqrstuvwxyz0123456789", ((21, "vwx"),))


@pytest.mark.parametrize(
    ("prediction", "golds", "em", "score"),
    [
        ("", [], 1, 1.0),
        ("Rome", [], 0, 0.0),
        ("", ["Rome"], 0, 0.0),
        ("the", [], 1, 1.0),  # nothing is left of an article, as of no answer
        ("", ["the"], 1, 1.0),  # a gold answer of which nothing is left counts as none
        ("the", ["a", "Rome"], 0, 0.0),  # but not beside one of which something is left
        ("in Rome", ["Rome"], 0, 2 / 3),
        ("Rome", ["Paris", "the Rome"], 1, 1.0),
    ],
)
def test_scores_computed_by_hand(prediction: str, golds: list[str], em: int, score: float) -> None:
    assert exact_match_v2(prediction, golds) == em
    assert f1_v2(prediction, golds) == pytest.approx(score)


def table_of(scores: Sequence[tuple[str, Sequence[str], float]]) -> dict[str, float]:
    texts, golds, nulls = zip(*scores, strict=True)
    return score_parts(judged(np.arange(len(texts), dtype=np.int32), texts, golds, np.array(nulls)))


def test_official_scores_by_hand() -> None:
    """Answers up to a no-answer score of 1: two of three right, and one of the two empty ones is left alone."""
    rows: list[tuple[str, Sequence[str], float]] = [
        ("Rome", ["Rome"], -2.0),
        ("in Rome", ["Rome"], 0.0),
        ("Rome", [], 0.5),
        ("old Rome city", ["Rome"], 1.0),
        ("Rome", [], 3.0),
    ]
    # Sums of F1 up to each: start 2 (nothing is answered), 3, 3.67, 2.67, 3.17, 2.17: best after the second.
    found = table_of(rows)
    assert found == {
        "exact_match": pytest.approx(100 * 3 / 5),
        "f1": pytest.approx(100 * (1 + 2 / 3 + 1 + 1) / 5),
        "has_answer_exact_match": pytest.approx(100 / 3),
        "has_answer_f1": pytest.approx(100 * (1 + 2 / 3) / 3),
        "no_answer_exact_match": 100.0,
        "no_answer_f1": 100.0,
        "threshold": 0.0,
    }


def test_a_part_without_rows_is_left_out() -> None:
    assert set(table_of([("a b", ["b"], 0.0)])) == {
        "exact_match",
        "f1",
        "has_answer_exact_match",
        "has_answer_f1",
        "threshold",
    }
    silent = table_of([("b", [], 0.0), ("b", [], 1.0)])
    assert silent["f1"] == silent["no_answer_f1"] == 100.0
    assert silent["threshold"] < 0.0


SCORES = st.tuples(
    st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([-1.0, 0.0, 0.5, 2.0, np.inf]), st.booleans()
)


@settings(deadline=None)
@given(st.lists(SCORES, min_size=1, max_size=12))
def test_no_threshold_is_better_than_the_best(rows: list[tuple[float, float, bool]]) -> None:
    scores = np.array([score if has else 0.0 for score, _, has in rows])
    nulls, has = np.array([null for _, null, _ in rows]), np.array([has for _, _, has in rows])

    def total(threshold: float) -> float:
        return float(np.where(nulls > threshold, ~has, scores).sum())

    best = best_threshold(scores, nulls, has.astype(np.int8))
    candidates = [np.nextafter(nulls.min(), -np.inf), *nulls]
    assert total(best) == max(map(total, candidates))


def test_windows_without_an_answer_point_at_the_first_token() -> None:
    features = SPAN.encode([SOME, NONE], V2, TOY)
    assert features.example.tolist() == [0, 0, 1, 1]
    assert features.targets.tolist() == [[27, 29], [10, 12], [0, 0], [0, 0]]
    assert features.truncated == 0  # no answer is lost where there is none


def test_the_no_answer_score_is_the_least_of_the_windows_less_the_best_span() -> None:
    examples = [SOME, NONE]
    features = SPAN.encode(examples, V2, TOY)
    logits = [np.zeros((int(length), 2)) for length in features.lengths]
    logits[0][0] = (5.0, 4.0)  # this window sees no answer,
    logits[1][0] = (1.0, -0.5)  # that one is less sure,
    logits[1][10, 0] = logits[1][12, 1] = 3.0  # and finds the answer.
    logits[2][0], logits[3][0] = (2.0, 2.0), (1.0, 1.0)
    table = SPAN.predict(features, logits, examples, V2)
    assert table["null_score"].to_pylist() == [0.5 - 6.0, 2.0 - 0.0]
    assert table["prediction"].to_pylist() == ["vwx", ""]
    assert table["has_answer"].to_pylist() == [1, 0]
    assert set(table["threshold"].to_pylist()) == {-5.5}
    assert SPAN.score(table)["f1"] == SPAN.score(table)["exact_match"] == 100.0


def test_elsewhere_a_span_is_always_given() -> None:
    features = SPAN.encode([SOME], span_task(), TOY)
    logits = [np.zeros((int(length), 2)) for length in features.lengths]
    for row in logits:
        row[0] = 99.0
    table = SPAN.predict(features, logits, [SOME], span_task())
    assert table["prediction"].to_pylist() == ["a"]
    assert "threshold" not in table.column_names


def test_only_v2_takes_rows_without_an_answer(mirror: Mirror) -> None:
    mirror.write(
        {
            "question": ["where?", "who?"],
            "context": ["He is in Rome"] * 2,
            "answers": [answers("Rome", 9), {"text": [], "answer_start": []}],
        }
    )
    with pytest.raises(DataError, match=r"row 1: the question has no answer; only `scoring: squad_v2` takes"):
        load_split(span_task(), "train", mirror.sources)
    split = load_split(V2, "train", mirror.sources)
    assert [example.answers for example in split.examples] == [((9, "Rome"),), ()]
    # What one task's scoring takes is no evidence for another's.
    with pytest.raises(DataError, match="no answer"):
        load_split(span_task(), "train", mirror.sources)


def test_real_squad_v2(real: Sources) -> None:
    data = Data(dataset="rajpurkar/squad_v2", config="squad_v2", split="train")
    examples = load_split(span_task(data, scoring="squad_v2"), "train", real).examples
    assert len(examples) == 10174
    empty = [example for example in examples if not example.answers]
    table = judged(
        np.array([example.id for example in examples], dtype=np.int32),
        ["" for _ in examples],
        [[text for _, text in example.answers] for example in examples],
        np.zeros(len(examples)),
    )
    # To say nothing at all is right for the questions without an answer, and for them alone.
    assert score_parts(table)["exact_match"] == pytest.approx(100 * len(empty) / len(examples))
    assert 0.3 < len(empty) / len(examples) < 0.7
