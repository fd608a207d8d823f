"""Where the sentences of a paragraph begin and end, by a rule that needs no model and no language."""

from __future__ import annotations

import re
from collections.abc import Sequence

Break = tuple[int, int]
"""First and one-past-last code point of a sentence."""

_CLOSING = "\"'”’»›)\\]}）」』】"
_END = re.compile(
    rf"[。！？][{_CLOSING}]*\s*"  # full-width marks end a sentence whatever follows
    rf"|[.!?…।॥؟۔;]?[.!?…।॥؟۔][{_CLOSING}]*\s+"  # others only before white space
    r"|\s*\n\s*\n\s*"
)
_INITIAL = re.compile(r"(?:^|[\s(])(?:\w\.)*\w\.$")
"""A single letter or an abbreviation of single letters (``U.S.``), which ends no sentence."""


def sentence_breaks(text: str) -> list[Break]:
    """The sentences of ``text``, in order, without the white space around them.

    A sentence ends at a full stop, question or exclamation mark of any script, with the quotes and brackets
    that close behind it, unless a lower-case letter follows or the stop belongs to an abbreviation of letters.
    """
    breaks, start = [], 0
    for match in _END.finditer(text):
        if match.end() == len(text) or not _goes_on(text, start, match):
            breaks.append((start, match.end()))
            start = match.end()
    breaks.append((start, len(text)))
    bare = [_bare(text, *ends) for ends in breaks]
    return [(first, last) for first, last in bare if first < last]


def holding(breaks: Sequence[Break], place: int) -> int:
    """Which of ``breaks`` the code point ``place`` lies in; of a place between two, the one before."""
    return max((number for number, (first, _) in enumerate(breaks) if first <= place), default=0)


def _goes_on(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the sentence that began at ``start`` goes on behind ``match``."""
    if "\n" in match.group():
        return False
    follows = text[match.end()]
    return follows.islower() or (
        match.group()[0] == "." and bool(_INITIAL.search(text[max(start, match.start() - 12) : match.start() + 1]))
    )


def _bare(text: str, first: int, last: int) -> Break:
    part = text[first:last]
    return first + len(part) - len(part.lstrip()), first + len(part.rstrip())
