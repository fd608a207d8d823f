"""Exact match and F1 against an implementation that nobody here wrote: torchmetrics' SQuAD."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torchmetrics.functional.text import squad

from xsweep.tasks.answers import exact_match, f1, normalise

WORDS = st.sampled_from(["the", "a", "An", "dog", "dogs,", "U.S.", "42%", "-", "été", "猫", "  ", "The", "of", "«x»"])
ANSWER = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)


def theirs(prediction: str, golds: list[str]) -> tuple[float, float]:
    answers: Any = {"answer_start": [0] * len(golds), "text": golds}
    found = squad([{"prediction_text": prediction, "id": "0"}], [{"answers": answers, "id": "0"}])
    return float(found["exact_match"]) / 100, float(found["f1"]) / 100


@settings(max_examples=500, deadline=None)
@given(ANSWER, st.lists(ANSWER, min_size=1, max_size=3))
def test_random_answers(prediction: str, golds: list[str]) -> None:
    # Of answers of which nothing is left, v1.1's own script makes F1 0; torchmetrics follows v2.0 there.
    assume(all(map(normalise, [prediction, *golds])))
    exact, overlap = theirs(prediction, golds)
    assert exact_match(prediction, golds) == exact
    assert f1(prediction, golds) == pytest.approx(overlap, abs=1e-6)


@pytest.mark.parametrize("language", ["en", "ar", "zh", "hi"])
def test_real_answers_with_neighbouring_words(shared: Path, language: str) -> None:
    """200 questions a language; the prediction is a stretch of the context around the answer."""
    path = shared / "data" / "google--xquad" / f"xquad.{language}" / "validation.parquet"
    rng = random.Random(language)
    for row in rng.sample(pq.read_table(path).to_pylist(), 200):
        start, golds = row["answers"]["answer_start"][0], row["answers"]["text"]
        first, last = max(0, start - rng.randint(0, 12)), start + len(golds[0]) + rng.randint(-4, 12)
        prediction = row["context"][first : max(first + 1, last)]
        exact, overlap = theirs(prediction, golds)
        assert exact_match(prediction, golds) == exact
        assert f1(prediction, golds) == pytest.approx(overlap, abs=1e-6)
