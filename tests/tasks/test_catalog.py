from __future__ import annotations

import re

import pytest

from tests.tasks.made import pair_task
from xsweep.tasks.catalog import CATALOG, sources_of, task
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.task import Data


def test_each_task_is_complete() -> None:
    for name, entry in CATALOG.items():
        assert entry.name == name
        assert entry.licence
        assert entry.rows or name == "mewslix" or not entry.train
        assert entry.tokens
        assert bool(entry.train) == bool(entry.selection) == (name not in ("tatoeba", "bucc2018"))
        assert FORMATS[entry.format].outputs(entry) == {"pair": 3, "span": 2, "retrieval": 0}[entry.format]
        assert bool(entry.languages) == (entry.test is not None)
        assert entry.stride < entry.max_length
        assert set(entry.language_names) <= set(entry.languages)
        for data in (*entry.train, *entry.selection):
            assert re.fullmatch(r"[\w-]+/[\w-]+", data.dataset)
            assert "{" not in data.config


def test_unknown_task_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        task("nope")


def test_nothing_that_xquad_scores_selects_or_trains() -> None:
    """XQuAD's English is SQuAD's development set: whatever is chosen on that must leave its paragraphs out."""
    for name in ("xquad", "squad_v1"):
        for data in task(name).selection:
            assert data.without == Data(dataset="google/xquad", config="xquad.en", split="validation")


@pytest.mark.parametrize(
    ("data", "held"),
    [
        (Data(dataset="facebook/xnli", config="en", split="train"), {"facebook/xnli", "nyu-mll/multi_nli"}),
        (Data(dataset="facebook/xnli", config="en", split="validation"), {"facebook/xnli"}),
        (Data(dataset="nyu-mll/glue", config="mnli", split="train"), {"nyu-mll/glue", "nyu-mll/multi_nli"}),
        (Data(dataset="nyu-mll/glue", config="qqp", split="train"), {"nyu-mll/glue"}),
        (Data(dataset="rajpurkar/squad_v2", split="train"), {"rajpurkar/squad_v2", "rajpurkar/squad"}),
    ],
)
def test_data_sets_that_hold_others(data: Data, held: set[str]) -> None:
    assert sources_of(pair_task(data)) == held


def test_same_data_where_the_field_says_so() -> None:
    meets = {(a, b) for a in CATALOG for b in ("xnli", "xquad", "tatoeba") if sources_of(task(a)) & sources_of(task(b))}
    assert meets == {("mnli", "xnli"), ("xnli", "xnli"), ("squad_v1", "xquad"), ("xquad", "xquad"), ("lareqa", "xquad")}
