from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Literal

import pytest

from xsweep.tasks.world.frames import LABELS, POOLS, Inference, Inquiry, pool, schemes
from xsweep.tasks.world.grammar import Clause, Thing
from xsweep.tasks.world.languages import CATEGORIES
from xsweep.tasks.world.tables import SPLITS, meanings

PAIRS = ("world/nli", "world/nli-small")
SPANS = ("world/qa", "world/qa-small")


@pytest.mark.parametrize("kind", ["event", "list"])
def test_pools_share_out_all_schemes(kind: Literal["event", "list"]) -> None:
    dealt = [scheme for name in POOLS for scheme in pool(name, kind)]
    assert len(dealt) == len(set(dealt))
    assert set(dealt) == set(schemes(kind))
    assert all(len(pool(name, kind)) >= 10 for name in POOLS)


@pytest.mark.parametrize("datasets", [PAIRS, SPANS])
def test_no_scheme_of_a_test_row_or_a_small_target_occurs_elsewhere(datasets: tuple[str, str]) -> None:
    large, small = datasets
    parts = [(large, "train"), (large, "validation"), (small, "train"), (small, "validation")]
    seen = [{m.scheme for m in meanings(*part) if isinstance(m, Inference | Inquiry)} for part in parts]
    tests = {m.scheme for name in datasets for m in meanings(name, "test") if isinstance(m, Inference | Inquiry)}
    assert sum(map(len, (*seen, tests))) == len(set().union(*seen, tests))
    assert all(seen)


def test_raw_text_never_says_a_scheme_of_another_pool() -> None:
    category = {noun: name for name, nouns in CATEGORIES.items() for noun in (name, *nouns)}
    for clause in meanings("world/text", "train"):
        assert isinstance(clause, Clause)
        kinds = sorted({category[thing.noun] for thing in clause.objects})
        if len(clause.objects) == 1:
            assert (category[clause.subject.noun], clause.verb, *kinds) in pool("train", "event")
        elif len(kinds) == 3:
            assert (clause.verb, *kinds) in pool("train", "list")


@pytest.mark.parametrize("dataset", PAIRS)
@pytest.mark.parametrize("split", SPLITS)
def test_labels_are_balanced_and_mean_what_they_say(dataset: str, split: str) -> None:
    found = [m for m in meanings(dataset, split) if isinstance(m, Inference)]
    counts = Counter(m.label for m in found)
    assert set(counts) == set(LABELS)
    assert max(counts.values()) - min(counts.values()) <= 1
    for m in found:
        before, after = _changed(m)
        relation = {
            after in CATEGORIES and before in CATEGORIES.get(after, ()): "entailment",
            before in CATEGORIES and after in CATEGORIES.get(before, ()): "neutral",
            any(before in nouns and after in nouns for nouns in CATEGORIES.values()): "contradiction",
        }
        assert relation[True] == m.label


def _changed(m: Inference) -> tuple[str, str]:
    """Return the one noun in which two clauses differ, before and after."""
    things = [(m.premise.subject, m.hypothesis.subject), (m.premise.objects[0], m.hypothesis.objects[0])]
    [(before, after)] = [(one.noun, other.noun) for one, other in things if one != other]
    blank = [replace(c, subject=_mute(c.subject), objects=(_mute(c.objects[0]),)) for c in (m.premise, m.hypothesis)]
    assert blank[0] == blank[1]
    return before, after


def _mute(thing: Thing) -> Thing:
    return replace(thing, noun="")


@pytest.mark.parametrize("dataset", SPANS)
@pytest.mark.parametrize("split", SPLITS)
def test_exactly_one_thing_answers_and_every_place_is_as_likely(dataset: str, split: str) -> None:
    found = [m for m in meanings(dataset, split) if isinstance(m, Inquiry)]
    for m in found:
        fitting = [i for i, thing in enumerate(m.context.objects) if thing.noun in CATEGORIES[m.category]]
        assert fitting == [m.answer]
    places = Counter(m.answer for m in found)
    assert all(abs(places[place] / len(found) - 1 / 3) < 0.12 for place in range(3))


@pytest.mark.parametrize("dataset", [*PAIRS, *SPANS])
def test_no_row_occurs_twice(dataset: str) -> None:
    for split in SPLITS:
        rows = meanings(dataset, split)
        assert len(rows) == len(set(rows))
