from __future__ import annotations

import re

import pytest

from tests.tasks.made import pair_task
from xsweep.tasks.catalog import CATALOG, sources_of, task
from xsweep.tasks.examples import part_data
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.task import Data

HEADED = [name for name, entry in CATALOG.items() if entry.format in ("pair", "span", "choice", "retrieval")]


def test_each_task_is_complete() -> None:
    for name, entry in CATALOG.items():
        assert entry.name == name
        assert entry.licence
        assert entry.rows or name == "mewslix" or not entry.train
        assert entry.tokens
        assert bool(entry.train) == bool(entry.selection) == (name not in ("tatoeba", "bucc2018"))
        width = {"span": 2, "choice": 1, "text": 1, "retrieval": 0}.get(entry.format, len(entry.labels))
        assert FORMATS[entry.format].outputs(entry) == width
        assert bool(entry.languages) == (entry.test is not None)
        assert entry.stride < entry.max_length
        assert set(entry.elsewhere) <= set(entry.languages)
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
    targets = ("xnli", "pawsx", "xcopa", "xquad", "mlqa", "tydiqa", "lareqa", "tatoeba")
    meets = {b: {a for a in HEADED if sources_of(task(a)) & sources_of(task(b))} for b in targets}
    squad = {"squad_v1", "squad_v2", "xquad", "mlqa", "lareqa"}
    assert meets == {
        "xnli": {"mnli", "anli_plus", "xnli"},
        "pawsx": {"pawsx"},
        "xcopa": {"socialiqa", "copa", "xcopa"},
        "xquad": squad,
        "mlqa": squad,
        "tydiqa": {"tydiqa"},
        "lareqa": squad,
        "tatoeba": set(),
    }


def test_four_arms_of_each_family_share_no_data() -> None:
    """What a claim about families needs: arms that are not the same rows under several names."""
    for names in (("mnli", "snli", "anli", "wanli"), ("squad_v1", "newsqa", "triviaqa", "natural_questions")):
        held = [sources_of(task(name)) for name in names]
        assert len(frozenset().union(*held)) == sum(map(len, held))
        assert len({task(name).family for name in names}) == 1


def test_published_sizes() -> None:
    parts = [task(name).rows or 0 for name in ("snli", "mnli", "anli")]
    assert sum(parts) == task("anli_plus").rows == 1_104_934
    assert task("squad_v2").rows == 130_319


def test_tydiqa_keeps_a_tenth_of_its_english_apart() -> None:
    entry = task("tydiqa")
    assert {fold for data in entry.train for fold in data.folds} == set(range(1, 10))
    assert [data.folds for data in entry.selection] == [(0,)]
    assert {data.where["id"] for data in (*entry.train, *entry.selection)} == {"english-"}


def test_xtremes_languages_are_all_there() -> None:
    """48 and 38 languages in XTREME-R; XCOPA's eleven, and English."""
    panx, udpos, xcopa = (task(name) for name in ("panx", "udpos", "xcopa"))
    assert (len(panx.languages), len(udpos.languages), len(xcopa.languages)) == (48, 38, 12)
    assert set(udpos.languages) - set(panx.languages) == {"wo"}
    for entry in (panx, udpos, xcopa):
        found = [part_data(entry, "test", code) for code in entry.languages]
        assert len(set(map(str, found))) == len(entry.languages)
    assert part_data(udpos, "test", "zh")[0].config == "udpos.Chinese"
    assert part_data(udpos, "test", "wo")[0] == udpos.elsewhere["wo"]
