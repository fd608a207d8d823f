"""Shuffled labels: the same inputs and the same labels, with nothing left between them."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tasks.made import choice_task, pair_task, span_task, tag_task
from xsweep.tasks.features import NO_LABEL, Features
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.rows import Choice, Pair, Span, Tagged
from xsweep.tasks.shuffled import shuffled

ANSWERS = {"pair": "targets", "choice": "targets", "span": "targets", "tag": "labels"}
TASKS = {"pair": pair_task(), "choice": choice_task(), "span": span_task(), "tag": tag_task()}
WORD = st.text("abcdefgh", min_size=1, max_size=5)


def example(form: str, draw: Any, row: int) -> Any:
    words = draw(st.lists(WORD, min_size=1, max_size=40))
    if form == "pair":
        return Pair(row, str(row), "", words[0], words[-1], draw(st.integers(0, 2)))
    if form == "choice":
        choices = tuple(draw(st.lists(WORD, min_size=2, max_size=4)))
        return Choice(row, str(row), "", words[0], "", choices, draw(st.integers(0, len(choices) - 1)))
    if form == "tag":
        return Tagged(row, str(row), "", tuple(words), tuple(draw(st.integers(0, 6)) for _ in words))
    place = draw(st.integers(0, len(words) - 1))
    found = ((len(" ".join(words[:place])) + (place > 0), words[place]),) if draw(st.booleans()) else ()
    return Span(row, str(row), "", "q", " ".join(words), found)


@st.composite
def some(draw: Any, form: str) -> list[Any]:
    return [example(form, draw, row) for row in range(draw(st.integers(1, 12)))]


def encoded(form: str, examples: list[Any], tokenizer: Any) -> Features:
    return FORMATS[TASKS[form].format].encode(examples, TASKS[form], tokenizer)


def same(one: Features, other: Features, but: str = "") -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(Features)
        if field.name != but and isinstance(getattr(one, field.name), np.ndarray)
    )


@pytest.mark.parametrize("form", ANSWERS)
def test_inputs_stay_and_the_seed_alone_decides(form: str, toy: Any) -> None:
    @settings(max_examples=30, deadline=None)
    @given(some(form), st.integers(0, 2**63 - 1))
    def check(examples: list[Any], seed: int) -> None:
        features = encoded(form, examples, toy)
        before = getattr(features, ANSWERS[form]).copy()
        found = shuffled(features, form, seed)
        assert same(found, features, ANSWERS[form])
        assert same(found, shuffled(encoded(form, examples, toy), form, seed))
        assert np.array_equal(getattr(features, ANSWERS[form]), before), "what is cached is left alone"
        assert getattr(found, ANSWERS[form]).dtype == np.int32
        assert np.array_equal(found.weights, features.weights)

    check()


@settings(max_examples=30, deadline=None)
@given(some("pair"), st.integers(0, 2**63 - 1))
def test_labels_of_pairs_are_the_same_ones(toy: Any, examples: list[Any], seed: int) -> None:
    found = shuffled(encoded("pair", examples, toy), "pair", seed)
    assert Counter(found.targets.tolist()) == Counter(e.label for e in examples)


@settings(max_examples=30, deadline=None)
@given(some("choice"), st.integers(0, 2**63 - 1))
def test_positions_are_permuted_among_rows_of_as_many_choices(toy: Any, examples: list[Any], seed: int) -> None:
    found = shuffled(encoded("choice", examples, toy), "choice", seed)
    before = Counter((len(e.choices), e.label) for e in examples)
    assert Counter((len(e.choices), int(label)) for e, label in zip(examples, found.targets, strict=True)) == before


@settings(max_examples=30, deadline=None)
@given(some("tag"), st.integers(0, 2**63 - 1))
def test_tags_are_permuted_among_labelled_words(toy: Any, examples: list[Any], seed: int) -> None:
    features = encoded("tag", examples, toy)
    found = shuffled(features, "tag", seed)
    assert features.labels is not None
    assert found.labels is not None
    assert np.array_equal(found.labels == NO_LABEL, features.labels == NO_LABEL)
    assert Counter(found.labels.tolist()) == Counter(features.labels.tolist())


@settings(max_examples=60, deadline=None)
@given(some("span"), st.integers(0, 2**63 - 1))
def test_an_answer_keeps_its_length_inside_its_windows_context(toy: Any, examples: list[Any], seed: int) -> None:
    features = encoded("span", examples, toy)
    found = shuffled(features, "span", seed)
    assert features.allowed is not None
    for before, after, (first, last) in zip(features.targets, found.targets, features.allowed, strict=True):
        if not before.any():
            assert not after.any(), "a window without an answer stays one"
        else:
            assert after[1] - after[0] == before[1] - before[0]
            assert first <= after[0] <= after[1] < last


def test_every_place_of_an_answer_comes_up_about_as_often(toy: Any) -> None:
    context = " ".join("abcdefgh")
    examples = [Span(row, str(row), "", "q", context, ((0, "a"),)) for row in range(4000)]
    found = shuffled(encoded("span", examples, toy), "span", 3)
    counts = np.unique(found.targets[:, 0], return_counts=True)[1]
    assert len(counts) == 8
    # A place comes up 500 times on average, with a standard deviation of 21.
    assert abs(counts - 500).max() < 5 * 21


def test_other_seeds_shuffle_otherwise_and_nothing_stays_by_rule(toy: Any) -> None:
    examples = [Pair(row, str(row), "", "a", "b", row % 3) for row in range(3000)]
    features = encoded("pair", examples, toy)
    one, other = (shuffled(features, "pair", seed).targets for seed in (0, 1))
    assert not np.array_equal(one, other)
    # A third of the labels fall on their own kind, with a standard deviation below 0.009.
    assert abs(float((one == features.targets).mean()) - 1 / 3) < 5 * 0.009


def test_a_format_without_labels_is_refused(toy: Any) -> None:
    features = encoded("pair", [Pair(0, "0", "", "a", "b", 0)], toy)
    for form in ("text", "retrieval"):
        with pytest.raises(ValueError, match=f"a {form} task has no labels"):
            shuffled(features, form, 0)
