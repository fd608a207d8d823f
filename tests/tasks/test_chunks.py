from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities

from xsweep.tasks.catalog.tagging import ENTITIES, UPOS
from xsweep.tasks.chunks import matches, spans

ODD = (*ENTITIES, "E-PER", "S-PER", "S-LOC", "I-MISC-A")


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O O", []),
        ("B-PER I-PER O", [("PER", 0, 1)]),
        ("I-PER I-PER", [("PER", 0, 1)]),  # begins without a B
        ("B-PER B-PER", [("PER", 0, 0), ("PER", 1, 1)]),
        ("B-PER I-LOC", [("PER", 0, 0), ("LOC", 1, 1)]),  # another type ends it
        ("B-PER O I-PER", [("PER", 0, 0), ("PER", 2, 2)]),
        ("S-LOC E-LOC", [("LOC", 0, 0), ("LOC", 1, 1)]),
        ("DET NOUN NOUN X", [("DET", 0, 0), ("NOUN", 1, 2), ("X", 3, 3)]),  # one part of speech is one span
        ("SYM SYM", [("SYM", 0, 0), ("SYM", 1, 1)]),  # S is the letter of a span of one word
    ],
)
def test_spans_by_hand(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert spans(tags.split()) == found


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(ODD), max_size=12))
def test_spans_are_seqevals(tags: list[str]) -> None:
    assert spans(tags) == get_entities(tags)


Corpus = st.lists(
    st.lists(st.tuples(st.sampled_from(ODD), st.sampled_from(ODD)), min_size=1, max_size=8), min_size=1, max_size=5
)


@settings(deadline=None, max_examples=300)
@given(Corpus)
def test_f1_is_seqevals(corpus: list[list[tuple[str, str]]]) -> None:
    assert ours(corpus) == pytest.approx(theirs(corpus), abs=1e-12)


# Newer seqevals drop a tag's first letter, whatever it is: to them CCONJ and SCONJ are one type, and X is none.
SPEECH = [tag for tag in UPOS if tag not in ("SCONJ", "X")]


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(SPEECH), st.sampled_from(SPEECH)), min_size=1, max_size=8),
        min_size=1,
        max_size=5,
    )
)
def test_f1_of_parts_of_speech_is_seqevals(corpus: list[list[tuple[str, str]]]) -> None:
    assert ours(corpus) == pytest.approx(theirs(corpus), abs=1e-12)


def ours(corpus: list[list[tuple[str, str]]]) -> float:
    counts = [matches([p for p, _ in sentence], [g for _, g in sentence]) for sentence in corpus]
    right, wrong, missed = (sum(column) for column in zip(*counts, strict=True))
    return 2 * right / (2 * right + wrong + missed) if right else 0.0


def theirs(corpus: list[list[tuple[str, str]]]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        golds = [[g for _, g in sentence] for sentence in corpus]
        return float(f1_score(golds, [[p for p, _ in sentence] for sentence in corpus]))
