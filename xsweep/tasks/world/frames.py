"""The meanings of every split: drawn once, without any language, so that a row means the same in all of them.

What keeps training and scoring apart is the *scheme* of a frame: its verb with the categories of its nouns. Schemes are
dealt to pools, and each split of each data set draws from one pool, so no scheme of a test row occurs in any training
or selection row, of the intermediate tasks or of the small ones.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, product
from types import MappingProxyType
from typing import Literal, TypeVar

from xsweep.tasks.world.grammar import Clause, Thing
from xsweep.tasks.world.languages import (
    ADJECTIVES,
    ANIMATE,
    CATEGORIES,
    CONJUNCTIONS,
    NAMES,
    PLACES,
    PREPOSITIONS,
    VERBS,
    number,
)

T = TypeVar("T")
Scheme = tuple[str, ...]
"""A verb with the categories of the nouns around it."""

POOLS: Mapping[str, float] = MappingProxyType(
    {"train": 0.5, "validation": 0.1, "small-train": 0.15, "small-validation": 0.1, "test": 0.15}
)
"""Pool -> its share of the schemes; no scheme is in two pools."""
LABELS = ("entailment", "neutral", "contradiction")


class Draw:
    """Random choices that depend on their address alone, and on no library's version."""

    def __init__(self, *address: object) -> None:
        self._random = random.Random(number("draw", *address)).random

    def chance(self, share: float) -> bool:
        """Return whether an event of probability ``share`` happens."""
        return self._random() < share

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of ``choices``, each as likely."""
        return choices[int(self._random() * len(choices))]

    def some(self, choices: Sequence[T], count: int) -> list[T]:
        """Return ``count`` different ones of ``choices`` in random order."""
        left = list(choices)
        return [left.pop(int(self._random() * len(left))) for _ in range(count)]


@dataclass(frozen=True)
class Inference:
    """Two statements that differ in one noun, and what the first says of the second."""

    scheme: Scheme
    premise: Clause
    hypothesis: Clause
    label: str


@dataclass(frozen=True)
class Inquiry:
    """A statement about three things, and the question which of them is of a category."""

    scheme: Scheme
    context: Clause
    category: str
    answer: int
    """The object that answers."""


@cache
def taken_by(verb: str) -> tuple[str, ...]:
    """Return the categories of things that ``verb`` is done to: half of them, so that words have company."""
    ranked = sorted(CATEGORIES, key=lambda category: number("preference", verb, category))
    return tuple(sorted(ranked[: len(ranked) // 2]))


@cache
def schemes(kind: Literal["event", "list"]) -> tuple[Scheme, ...]:
    """Return every scheme that can be said: subject, verb, object of an event, or the verb and three things of a list.

    The nouns of a scheme are of different categories.
    """
    if kind == "list":
        return tuple((verb, *things) for verb in VERBS for things in combinations(taken_by(verb), 3))
    pairs = ((subject, verb, thing) for subject, verb in product(ANIMATE, VERBS) for thing in taken_by(verb))
    return tuple(scheme for scheme in pairs if scheme[0] != scheme[2])


@cache
def pool(name: str, kind: Literal["event", "list"]) -> tuple[Scheme, ...]:
    """Return the schemes of one pool."""
    ranked = sorted(schemes(kind), key=lambda scheme: number("pool", *scheme))
    names, shares = list(POOLS), list(POOLS.values())
    first = names.index(name)
    start, stop = (round(sum(shares[:end]) * len(ranked)) for end in (first, first + 1))
    return tuple(ranked[start:stop])


def _thing(draw: Draw, nouns: Sequence[str]) -> Thing:
    return Thing(draw.pick(nouns), draw.pick(ADJECTIVES) if draw.chance(0.3) else "")


def _somewhere(draw: Draw, frame: Clause) -> Clause:
    if not draw.chance(0.4):
        return frame
    return replace(frame, place=draw.pick(PLACES), preposition=draw.pick(PREPOSITIONS))


def event(draw: Draw, scheme: Scheme, general: bool = False) -> Clause:
    """Return a clause of an event scheme; with ``general``, category words may stand where their nouns do."""
    subject, verb, thing = scheme
    nouns = {category: (*CATEGORIES[category], *([category] if general else ())) for category in (subject, thing)}
    return _somewhere(draw, Clause(_thing(draw, nouns[subject]), verb, (_thing(draw, nouns[thing]),)))


def listing(draw: Draw, scheme: Scheme) -> Clause:
    """Return a clause of a list scheme: someone does something to three things, in any order."""
    verb, *categories = scheme
    things = tuple(_thing(draw, CATEGORIES[category]) for category in draw.some(categories, len(categories)))
    return _somewhere(draw, Clause(Thing(draw.pick(NAMES)), verb, things, draw.pick(CONJUNCTIONS)))


def collection(draw: Draw) -> Clause:
    """Return a clause of three words of one category, where its own word may be one: what words belong together."""
    category = draw.pick(list(CATEGORIES))
    nouns = draw.some((category, *CATEGORIES[category]), 3)
    objects = tuple(map(Thing, nouns))
    return Clause(Thing(draw.pick(NAMES)), draw.pick(VERBS), objects, draw.pick(CONJUNCTIONS))


def _substitute(frame: Clause, role: str, noun: str) -> Clause:
    if role == "subject":
        return replace(frame, subject=replace(frame.subject, noun=noun))
    return replace(frame, objects=(replace(frame.objects[0], noun=noun),))


def inferences(address: str, pool_name: str, rows: int) -> list[Inference]:
    """Return ``rows`` pairs, balanced over the labels, none of which shows in the structure.

    One noun is replaced where it stands: by its category (entailment), its category by it (neutral), or by another of
    its category (contradiction). Frames are drawn, and doubles rejected, before the label is looked at.
    """
    draw, seen, found, labels = Draw(address), set[Clause](), list[Inference](), list[str]()
    while len(found) < rows:
        scheme = draw.pick(pool(pool_name, "event"))
        frame = event(draw, scheme)
        role, category, thing = draw.pick(
            (("subject", scheme[0], frame.subject), ("object", scheme[2], frame.objects[0]))
        )
        sibling = draw.pick([noun for noun in CATEGORIES[category] if noun != thing.noun])
        if frame in seen:
            continue
        seen.add(frame)
        labels = labels or draw.some(LABELS, len(LABELS))
        label, general = labels.pop(), _substitute(frame, role, category)
        premise, hypothesis = {
            "entailment": (frame, general),
            "neutral": (general, frame),
            "contradiction": (frame, _substitute(frame, role, sibling)),
        }[label]
        found.append(Inference(scheme, premise, hypothesis, label))
    return found


def inquiries(address: str, pool_name: str, rows: int) -> list[Inquiry]:
    """Return ``rows`` questions *which CATEGORY does SOMEONE VERB?*, one about each context.

    Three things fit the question equally well for a reader who knows no word; one is of the category.
    """
    draw, seen, found = Draw(address), set[Clause](), list[Inquiry]()
    while len(found) < rows:
        scheme = draw.pick(pool(pool_name, "list"))
        context, answer = listing(draw, scheme), draw.pick(range(3))
        if context in seen:
            continue
        seen.add(context)
        category = next(name for name in scheme[1:] if context.objects[answer].noun in CATEGORIES[name])
        found.append(Inquiry(scheme, context, category, answer))
    return found


def statements(address: str, pool_name: str, rows: int) -> list[Clause]:
    """Return ``rows`` clauses of raw text: half collections, a quarter lists and a quarter events of the pool.

    Category words occur among the nouns of their category and nowhere stand out, so pretraining tells what belongs
    together but not which word is the general one.
    """
    draw = Draw(address)
    found: list[Clause] = []
    for row in range(rows):
        if row % 2 == 0:
            found.append(collection(draw))
        elif row % 4 == 1:
            found.append(listing(draw, draw.pick(pool(pool_name, "list"))))
        else:
            found.append(event(draw, draw.pick(pool(pool_name, "event")), general=True))
    return found
