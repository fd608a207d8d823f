from __future__ import annotations

import pytest

from xsweep.tasks.world.languages import (
    ADJECTIVES,
    CATEGORIES,
    FUNCTION_WORDS,
    LANGUAGES,
    NAMES,
    PLACES,
    PUNCTUATION,
    SPECIALS,
    VERBS,
    cognates,
    lexicons,
    vocabulary,
    words,
)

CLASSES = (tuple(CATEGORIES), *CATEGORIES.values(), VERBS, ADJECTIVES, PLACES, FUNCTION_WORDS)


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_declared_share_of_every_class_has_its_english_form_and_nothing_else_does(code: str) -> None:
    lexicon, english = lexicons()[code], lexicons()["en"]
    for group in CLASSES:
        same = sum(lexicon[word] == english[word] for word in group)
        assert same * 100 == LANGUAGES[code].cognates * len(group)


def test_cognate_sets_are_nested_and_equal_where_only_order_differs() -> None:
    assert cognates("c20") < cognates("c40") < cognates("c60") < cognates("c80") < cognates("en") == set(words())
    assert cognates("sov60") == cognates("vso60") == cognates("c60")


def test_a_form_is_one_word_of_one_meaning() -> None:
    meanings: dict[str, set[str]] = {}
    for lexicon in lexicons().values():
        for word, form in lexicon.items():
            meanings.setdefault(form.lower(), set()).add(word)
    assert all(len(found) == 1 for found in meanings.values())
    assert all(form.isalpha() for form in meanings if form not in PUNCTUATION)


def test_own_words_of_two_languages_differ() -> None:
    owned = [{lexicons()[code][word] for word in words()} - set(words()) for code in LANGUAGES]
    assert sum(map(len, owned)) == len(set().union(*owned))


def test_names_are_the_same_everywhere() -> None:
    assert all(lexicon[name] == name for lexicon in lexicons().values() for name in NAMES)


def test_the_vocabulary_holds_every_form_once_after_the_special_tokens() -> None:
    tokens = vocabulary()
    assert tuple(tokens[: len(SPECIALS)]) == SPECIALS
    assert len(tokens) == len(set(tokens))
    assert set(tokens[len(SPECIALS) :]) == {form for lexicon in lexicons().values() for form in lexicon.values()}
