from __future__ import annotations

import numpy as np
import pytest

from xsweep.tasks.world.controls import word_blind
from xsweep.tasks.world.forest import Forest
from xsweep.tasks.world.languages import LANGUAGES

CHANCE = 100 / 3


def test_a_forest_learns_what_structure_can_tell_and_nothing_from_noise() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    x = rng.integers(0, 6, (900, 8))
    told, noise = (x[:, 0] + 2 * (x[:, 1] > 2)) % 3, rng.integers(0, 3, 900)
    right = [
        (Forest.fit(x[:600], y[:600], 0, trees=30, smallest=3).shares(x[600:]).argmax(1) == y[600:]).mean()
        for y in (told, noise)
    ]
    assert right[0] > 0.9
    assert abs(right[1] - 1 / 3) < 0.09


@pytest.mark.parametrize("task", ["world_nli", "world_nli_small"])
def test_inference_cannot_be_told_without_words(task: str) -> None:
    scores = word_blind(task)
    assert set(scores) == set(LANGUAGES)
    assert all(abs(score - CHANCE) < 5 for score in scores.values()), scores


@pytest.mark.parametrize("task", ["world_qa", "world_qa_small"])
def test_copying_does_not_answer_questions(task: str) -> None:
    scores = word_blind(task)
    assert all(score < CHANCE + 10 for score in scores.values()), scores


def test_the_same_seed_is_the_same_control() -> None:
    assert word_blind("world_nli_small", seed=3) == word_blind("world_nli_small", seed=3)


def test_tags_are_told_by_place_until_the_order_changes() -> None:
    """So tagging here measures word order more than words, and the control says so beside every model."""
    scores = word_blind("world_tags")
    assert set(scores) == set(LANGUAGES)
    same_order = [scores[code] for code in ("c80", "c60", "c40", "c20")]
    assert max(abs(score - scores["en"]) for score in same_order) < 1e-9, (
        "the control cannot see which words are shared"
    )
    assert scores["sov60"] < scores["en"] - 10
