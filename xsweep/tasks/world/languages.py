"""The languages of the artificial world: which words each shares with its English, and in what order it puts them.

Two things make a language distant, and they are varied apart. ``c80`` to ``c20`` keep the English order and share ever
fewer words; ``sov60`` and ``vso60`` share exactly the words that ``c60`` shares and differ from it in order alone.

Cognate sets are nested: what ``c20`` shares, ``c40`` shares too. So distance is monotone word by word, and a contrast
of two languages is never one of luckier words. The price: which words are shared early is one draw, the same for all.
The share holds within every class of words (each category's nouns, the category words, verbs, ...), exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

SEED = "xsweep world 1"
"""All randomness of the world starts here; another text is another world."""

ENGLISH = "en"
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""Special tokens in the order of their ids, as XLM-R has them."""
PUNCTUATION = (".", ",", "?")

Order = Literal["SVO", "SOV", "VSO"]


@dataclass(frozen=True)
class Language:
    """One language: ``cognates`` is the share, in per cent, of words with the English form."""

    code: str
    cognates: int
    order: Order
    adjective_first: bool = True
    """Whether adjectives stand before their noun, as in English."""
    preposition: bool = True
    """Whether the words for *in* and *near* stand before their noun, as in English."""


LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        language.code: language
        for language in (
            Language(ENGLISH, 100, "SVO"),
            Language("c80", 80, "SVO"),
            Language("c60", 60, "SVO"),
            Language("c40", 40, "SVO"),
            Language("c20", 20, "SVO"),
            Language("sov60", 60, "SOV", adjective_first=False, preposition=False),
            Language("vso60", 60, "VSO", adjective_first=False),
        )
    }
)

CATEGORIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "beast": ("dog", "cat", "horse", "sheep", "goat"),
        "bird": ("crow", "duck", "eagle", "owl", "swan"),
        "fish": ("trout", "salmon", "eel", "carp", "cod"),
        "worker": ("nurse", "baker", "miner", "tailor", "judge"),
        "fruit": ("apple", "pear", "plum", "fig", "lemon"),
        "tool": ("hammer", "saw", "drill", "spade", "axe"),
        "clothing": ("coat", "shirt", "hat", "scarf", "glove"),
        "vehicle": ("car", "bus", "truck", "boat", "train"),
        "drink": ("milk", "tea", "juice", "wine", "water"),
        "furniture": ("chair", "table", "bed", "shelf", "desk"),
    }
)
"""Category word -> its nouns; no noun belongs to two."""
ANIMATE = ("beast", "bird", "fish", "worker")
"""Categories whose members do things."""
VERBS = ("sees", "holds", "sells", "likes", "finds", "takes", "wants", "brings", "hides", "moves")
ADJECTIVES = ("big", "small", "old", "new", "red", "blue", "clean", "dirty", "dark", "bright")
PLACES = ("garden", "forest", "kitchen", "market", "school", "harbour", "village", "tower", "cellar", "field")
PREPOSITIONS = ("in", "near")
CONJUNCTIONS = ("and", "or")
FUNCTION_WORDS = (*PREPOSITIONS, *CONJUNCTIONS, "which")
# fmt: off
NAMES = ("Ana", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo", "Ida", "Jon",
         "Kim", "Leo", "Mia", "Ned", "Ola", "Pia", "Raul", "Sam", "Tess", "Vera")
# fmt: on
"""Proper names: the same in every language, and outside the cognate share."""

_CLASSES = (tuple(CATEGORIES), *CATEGORIES.values(), VERBS, ADJECTIVES, PLACES, FUNCTION_WORDS)
_ONSETS = ("b", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z", "kl", "pr", "st", "tr")
_VOWELS = ("a", "e", "i", "o", "u", "ia")


def number(*parts: object) -> int:
    """Return a 64-bit number that depends on the world's seed and on ``parts`` alone."""
    text = "/".join((SEED, *map(str, parts)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def words() -> tuple[str, ...]:
    """Return the English words that every language has a form for (names and punctuation are apart)."""
    return tuple(word for group in _CLASSES for word in group)


@cache
def cognates(code: str) -> frozenset[str]:
    """Return the English words that the language ``code`` shares; nested over shares, exact within every class."""
    share = LANGUAGES[code].cognates
    shared: set[str] = set()
    for group in _CLASSES:
        ranked = sorted(group, key=lambda word: number("cognate", word))
        shared.update(ranked[: len(group) * share // 100])
    return frozenset(shared)


def _invent(code: str, word: str, taken: set[str]) -> str:
    """Return a pronounceable form of two or three syllables that no language has yet, in the sounds of ``code``."""
    onsets = sorted(_ONSETS, key=lambda onset: number("onset", code, onset))[:10]
    vowels = sorted(_VOWELS, key=lambda vowel: number("vowel", code, vowel))[:4]
    attempt = 0
    while True:
        draw = number("form", code, word, attempt)
        form = ""
        draw, longer = divmod(draw, 2)
        for _ in range(2 + longer):
            draw, onset = divmod(draw, len(onsets))
            draw, vowel = divmod(draw, len(vowels))
            form += onsets[onset] + vowels[vowel]
        if form not in taken:
            return form
        attempt += 1


@cache
def lexicons() -> Mapping[str, Mapping[str, str]]:
    """Return language code -> English word -> its form there; forms of different words never coincide."""
    taken = {*words(), *map(str.lower, NAMES)}
    found: dict[str, Mapping[str, str]] = {}
    for code in LANGUAGES:
        forms: dict[str, str] = {name: name for name in (*NAMES, *PUNCTUATION)}
        for word in words():
            forms[word] = word if word in cognates(code) else _invent(code, word, taken)
            taken.add(forms[word])
        found[code] = MappingProxyType(forms)
    return MappingProxyType(found)


def vocabulary() -> list[str]:
    """Return every token of every language once, special tokens first: the vocabulary of a word-level tokenizer.

    Text splits into these tokens at white space and around punctuation. Cognates share a token.
    """
    forms = (form for lexicon in lexicons().values() for form in lexicon.values())
    return list(dict.fromkeys((*SPECIALS, *forms)))
