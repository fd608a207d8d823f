"""Meaning frames, and how each language puts one into words.

A frame holds English words as names of concepts, and no order; ``statement`` and ``question`` give its tokens in a
language. Every language says the same frame, so a translation is exact by construction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xsweep.tasks.world.languages import (
    ADJECTIVES,
    CONJUNCTIONS,
    LANGUAGES,
    NAMES,
    PREPOSITIONS,
    PUNCTUATION,
    VERBS,
    Order,
    lexicons,
)

TAGS = ("ADJ", "ADP", "CCONJ", "DET", "NOUN", "PROPN", "PUNCT", "VERB")
"""Universal part-of-speech tags that occur, in the order of their label ids."""

_TAG_OF = {
    **dict.fromkeys(VERBS, "VERB"),
    **dict.fromkeys(ADJECTIVES, "ADJ"),
    **dict.fromkeys(NAMES, "PROPN"),
    **dict.fromkeys(PUNCTUATION, "PUNCT"),
    **dict.fromkeys(PREPOSITIONS, "ADP"),
    **dict.fromkeys(CONJUNCTIONS, "CCONJ"),
    "which": "DET",
}
_QUESTION_ORDER: dict[Order, str] = {"SVO": "OSV", "SOV": "SOV", "VSO": "OVS"}


@dataclass(frozen=True)
class Thing:
    """A noun or a name, perhaps with an adjective."""

    noun: str
    adjective: str = ""


@dataclass(frozen=True)
class Clause:
    """Who does what to which things, and perhaps where."""

    subject: Thing
    verb: str
    objects: tuple[Thing, ...]
    conjunction: str = "and"
    """Stands before the last of several objects."""
    place: str = ""
    preposition: str = "in"
    """Stands with the place, where there is one."""


class Token(NamedTuple):
    """One word of a sentence: its form, its part of speech, and the object (from 0) it belongs to, or -1."""

    form: str
    tag: str
    thing: int = -1


def _say(code: str, words: Iterable[str], thing: int = -1) -> list[Token]:
    forms = lexicons()[code]
    return [Token(forms[word], _TAG_OF.get(word, "NOUN"), thing) for word in words]


def _thing(code: str, thing: Thing, index: int = -1) -> list[Token]:
    words = [thing.adjective, thing.noun] if LANGUAGES[code].adjective_first else [thing.noun, thing.adjective]
    return _say(code, filter(None, words), index)


def _objects(code: str, frame: Clause) -> list[Token]:
    tokens: list[Token] = []
    for place, thing in enumerate(frame.objects):
        if place:
            tokens += _say(code, [frame.conjunction if place == len(frame.objects) - 1 else ","])
        tokens += _thing(code, thing, place)
    return tokens


def statement(code: str, frame: Clause) -> list[Token]:
    """Return the sentence that states ``frame`` in the language ``code``."""
    language = LANGUAGES[code]
    parts = {"S": _thing(code, frame.subject), "V": _say(code, [frame.verb]), "O": _objects(code, frame)}
    tokens = [token for part in language.order for token in parts[part]]
    if frame.place:
        where = [frame.preposition, frame.place]
        tokens += _say(code, where if language.preposition else reversed(where))
    return tokens + _say(code, ["."])


def question(code: str, subject: Thing, verb: str, category: str) -> list[Token]:
    """Return *which CATEGORY SUBJECT VERB?* in the language ``code``."""
    parts = {"S": _thing(code, subject), "V": _say(code, [verb]), "O": _say(code, ["which", category])}
    tokens = [token for part in _QUESTION_ORDER[LANGUAGES[code].order] for token in parts[part]]
    return tokens + _say(code, ["?"])


def text(tokens: Sequence[Token]) -> str:
    """Return the tokens as running text: one space between words, none before punctuation."""
    spaced = [token.form if token.tag == "PUNCT" else f" {token.form}" for token in tokens]
    return "".join(spaced).removeprefix(" ")


def span(tokens: Sequence[Token], thing: int) -> tuple[str, int]:
    """Return the text of one object (adjective included) and its first character in ``text(tokens)``."""
    places = [place for place, token in enumerate(tokens) if token.thing == thing]
    answer = text(tokens[places[0] : places[-1] + 1])
    return answer, len(text(tokens[: places[-1] + 1])) - len(answer)
