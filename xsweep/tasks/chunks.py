"""Spans in a sequence of tags, as conlleval finds them and seqeval after it (its default, not its strict mode).

A tag is a letter, such as B or I, and a type behind a hyphen. A span begins at B, and also at I where no span of that
type is open; it ends before O, before B, and where the type changes. A tag without a hyphen is its own type, as in the
seqeval of XTREME's time, so a run of one part of speech is one span: that is how XTREME scores parts of speech by F1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Span: TypeAlias = tuple[str, int, int]
"""Type, first and last word."""

OUTSIDE = "O"
_NONE = ("O", ".")


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of one sentence, in order."""
    found: list[Span] = []
    start, letter, kind = 0, OUTSIDE, ""
    for place, tag in enumerate([*tags, OUTSIDE]):
        next_letter, next_kind = tag[0], tag.split("-", maxsplit=1)[-1]
        if _ends(letter, next_letter, kind != next_kind):
            found.append((kind, start, place - 1))
        if _starts(letter, next_letter, kind != next_kind):
            start = place
        letter, kind = next_letter, next_kind
    return found


def matches(predicted: Sequence[str], gold: Sequence[str]) -> tuple[int, int, int]:
    """Spans of one sentence that are right (of equal type and place), predicted wrongly, and missed."""
    ours, theirs = set(spans(predicted)), set(spans(gold))
    right = len(ours & theirs)
    return right, len(ours) - right, len(theirs) - right


def _ends(letter: str, next_letter: str, other: bool) -> bool:
    """Whether a span ends between two tags; ``other`` says whether their types differ."""
    if letter in "ES" or (letter in "BI" and next_letter in "BSO"):
        return True
    return letter not in _NONE and other


def _starts(letter: str, next_letter: str, other: bool) -> bool:
    """Whether a span starts at the second of two tags."""
    if next_letter in "BS" or (letter in "ESO" and next_letter in "EI"):
        return True
    return next_letter not in _NONE and other
