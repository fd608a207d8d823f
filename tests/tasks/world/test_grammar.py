from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsweep.tasks.world.grammar import Clause, Thing, question, span, statement, text
from xsweep.tasks.world.languages import ADJECTIVES, CATEGORIES, LANGUAGES, NAMES, PLACES, VERBS, lexicons

NOUNS = [noun for nouns in CATEGORIES.values() for noun in nouns]
THINGS = st.builds(Thing, st.sampled_from(NOUNS), st.sampled_from(["", *ADJECTIVES]))
CLAUSES = st.builds(
    Clause,
    st.one_of(THINGS, st.builds(Thing, st.sampled_from(NAMES))),
    st.sampled_from(VERBS),
    st.lists(THINGS, min_size=1, max_size=3).map(tuple),
    st.sampled_from(["and", "or"]),
    st.sampled_from(["", *PLACES]),
    st.sampled_from(["in", "near"]),
)
FRAME = Clause(
    Thing("dog", "red"), "sees", (Thing("hammer", "old"), Thing("tea"), Thing("bus")), "or", "garden", "near"
)


def english(code: str, words: list[str]) -> list[str]:
    """Translate forms of a language back into English, one by one."""
    back = {form: word for word, form in lexicons()[code].items()}
    return [back[word] for word in words]


def forms(code: str) -> list[str]:
    return english(code, [token.form for token in statement(code, FRAME)])


def test_word_order_is_as_declared() -> None:
    assert forms("en") == ["red", "dog", "sees", "old", "hammer", ",", "tea", "or", "bus", "near", "garden", "."]
    assert forms("sov60") == ["dog", "red", "hammer", "old", ",", "tea", "or", "bus", "sees", "garden", "near", "."]
    assert forms("vso60") == ["sees", "dog", "red", "hammer", "old", ",", "tea", "or", "bus", "near", "garden", "."]
    assert forms("c80") == forms("c60") == forms("c40") == forms("c20") == forms("en")


def test_question_order_is_as_declared() -> None:
    asked = {code: english(code, [t.form for t in question(code, Thing("Ana"), "sees", "tool")]) for code in LANGUAGES}
    assert asked.pop("sov60") == ["Ana", "which", "tool", "sees", "?"]
    assert asked.pop("vso60") == ["which", "tool", "sees", "Ana", "?"]
    assert all(words == ["which", "tool", "Ana", "sees", "?"] for words in asked.values())


@pytest.mark.parametrize("code", LANGUAGES)
@settings(max_examples=40, deadline=None)
@given(frame=CLAUSES)
def test_every_language_says_the_same_words_of_a_frame(code: str, frame: Clause) -> None:
    said = english(code, [token.form for token in statement(code, frame)])
    assert sorted(said) == sorted(token.form for token in statement("en", frame))


@pytest.mark.parametrize("code", LANGUAGES)
@settings(max_examples=40, deadline=None)
@given(frame=CLAUSES)
def test_an_objects_span_is_its_words_at_their_place(code: str, frame: Clause) -> None:
    tokens = statement(code, frame)
    for index, thing in enumerate(frame.objects):
        answer, start = span(tokens, index)
        assert text(tokens)[start : start + len(answer)] == answer
        assert sorted(english(code, answer.split())) == sorted(filter(None, [thing.noun, thing.adjective]))
