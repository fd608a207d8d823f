"""Translated copies: the same examples as their originals, or a fault that names the first that is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tasks.made import Mirror, answers, choice_task, pair_task, pairs, span_task
from xsweep.errors import DataError
from xsweep.tasks.catalog import CATALOG, sources_of
from xsweep.tasks.examples import cached_fingerprint, fingerprint, load_split, subset
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data, Task

SET, MT = Data(dataset="org/set", split="train"), Data(dataset="org/mt", split="train")
AT = "org--mt/default/train.parquet"


def copy_of(original: Data = SET, **changes: Any) -> Data:
    return MT.model_copy(update={"translation_of": original, **changes})


def german(n: int, **changes: Any) -> dict[str, Any]:
    return {**pairs(n), "premise": [f"Satz {i}" for i in range(n)], **changes}


def test_a_copy_has_its_own_texts_and_the_originals_ids(mirror: Mirror) -> None:
    mirror.write(pairs(4, id=["a", "b", "c", "d"]))
    mirror.write(german(4), at=AT)
    examples = load_split(pair_task(copy_of()), "train", mirror.sources).examples
    assert [(e.id, e.uid, e.first, e.label) for e in examples] == [
        (0, "a", "Satz 0", 0),
        (1, "b", "Satz 1", 1),
        (2, "c", "Satz 2", 2),
        (3, "d", "Satz 3", 0),
    ]


HERE = "4 labelled rows here, 4 in org/set default train"
CASES: list[tuple[dict[str, Any], str]] = [
    ({"label": [0, 1, 0, 0]}, f"org/mt default train row 2: has the label entailment, its original the label "
                              f"contradiction; a translated copy has the same rows in the same order ({HERE})"),
    ({"id": ["a", "c", "b", "d"]}, "org/mt default train row 1: has the id 'c', the original at its place 'b'"),
    ({"label": [0, 1, -1, 0]}, "org/mt default train row 3: has the id 'd', the original at its place 'c'"),
    ({"label": [0, 1, 2, -1]}, "org/set default train row 3: has no translation; a translated copy has the same rows "
                               "in the same order (3 labelled rows here, 4 in org/set default train)"),
    (german(5, id=[*"abcde"]), "org/mt default train row 4: has no original; a translated copy has the same rows in "
                               "the same order (5 labelled rows here, 4 in org/set default train)"),
    (german(3, id=[*"abc"]), "org/set default train row 3: has no translation"),
    ({"premise": ["x", "y", "", "z"]}, "org/mt default train row 2: premise is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), CASES)
def test_the_first_row_that_differs_is_named(mirror: Mirror, changes: dict[str, Any], said: str) -> None:
    mirror.write(pairs(4, id=[*"abcd"]))
    mirror.write({**german(4, id=[*"abcd"]), **changes}, at=AT)
    with pytest.raises(DataError, match=re.escape(said)):
        fingerprint(pair_task(copy_of()), "train", mirror.sources)


def test_without_ids_rows_meet_by_number(mirror: Mirror) -> None:
    mirror.write(pairs(4, label=[0, -1, 2, 0]))
    mirror.write(german(4, label=[0, 2, -1, 0]), at=AT)
    with pytest.raises(DataError, match="row 1: is labelled, but the next labelled row of the original is 2"):
        load_split(pair_task(copy_of()), "train", mirror.sources)


def test_labels_meet_by_name(mirror: Mirror) -> None:
    mirror.write(pairs(3))
    mirror.write(german(3, label=[1, 2, 0]), names=("contradiction", "entailment", "neutral"), at=AT)
    assert [e.label for e in load_split(pair_task(copy_of()), "train", mirror.sources).examples] == [0, 1, 2]


def test_what_the_original_leaves_out_the_copy_leaves_out(mirror: Mirror) -> None:
    mirror.write(pairs(200, split=["a" if i % 7 else "b" for i in range(200)]))
    mirror.write(german(200), at=AT)
    mirror.write(pairs(5), at="org--barred/default/train.parquet")
    barred = Data(dataset="org/barred", split="train")
    chosen = SET.model_copy(update={"folds": (0, 1, 2, 3, 4, 5), "where": {"split": "a"}, "without": barred})
    original, copy = (load_split(pair_task(d), "train", mirror.sources) for d in (chosen, copy_of(chosen)))
    assert 50 < len(original.examples) < 150
    assert [(e.id, e.uid, e.label) for e in original.examples] == [(e.id, e.uid, e.label) for e in copy.examples]
    assert original.dropped == copy.dropped
    assert all(e.first == f"Satz {e.id}" for e in copy.examples)


def test_a_copy_in_parts_meets_its_original_in_parts(mirror: Mirror) -> None:
    for name in ("one", "two"):
        mirror.write(pairs(9, id=[f"{name}{i}" for i in range(9)]), at=f"org--set/{name}/train.parquet")
        mirror.write(german(9), at=f"org--mt/{name}/train.parquet")
    parts = [SET.model_copy(update={"config": name}) for name in ("one", "two")]
    copies = [copy_of(part, config=part.config) for part in parts]
    original, copy = (load_split(pair_task(*data), "train", mirror.sources).examples for data in (parts, copies))
    assert [(e.id, e.uid) for e in original] == [(e.id, e.uid) for e in copy]


def test_answers_and_choices(mirror: Mirror) -> None:
    spans: dict[str, Any] = {"question": ["q"] * 3, "context": ["ab c"] * 3, "answers": [answers("c", 3)] * 3}
    other: dict[str, Any] = {"question": ["F"] * 3, "context": ["x yz"] * 3, "answers": [answers("x", 0)] * 3}
    mirror.write(spans)
    mirror.write(other, at=AT)
    assert len(load_split(span_task(copy_of()), "train", mirror.sources).examples) == 3
    nothing: dict[str, Any] = {"text": [], "answer_start": []}
    mirror.write({**other, "answers": [answers("x", 0), nothing, nothing]}, at=AT)
    with pytest.raises(DataError, match="row 1: has no answer, its original an answer"):
        load_split(span_task(copy_of(), scoring="squad_v2"), "train", mirror.sources)
    choices: dict[str, Any] = {"context": ["c"] * 2, "choices": [["a", "b"]] * 2, "label": [0, 1]}
    mirror.write(choices, names=())
    mirror.write({**choices, "label": [0, 0]}, names=(), at=AT)
    with pytest.raises(DataError, match="row 1: has choice 1 of 2 as the right one, its original choice 2 of 2"):
        load_split(choice_task(copy_of()), "train", mirror.sources)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 5), st.booleans())
def test_subsets_are_of_the_same_rows_and_nested(
    tmp_path_factory: pytest.TempPathFactory, some: int, more: int, seed: int, ids: bool
) -> None:
    mirror = Mirror(tmp_path_factory.mktemp("mt"))
    mirror.write(pairs(60, **({"id": [f"k{i}" for i in range(60)]} if ids else {})))
    mirror.write(german(60), at=AT)
    original, copy = (load_split(pair_task(d), "train", mirror.sources).examples for d in (SET, copy_of()))
    few, many = sorted((some, more))
    rows = {n: [e.id for e in subset(original, n, seed)] for n in (few, many)}
    assert [e.id for e in subset(copy, few, seed)] == rows[few]
    assert len(rows[few]) == few
    assert set(rows[few]) <= set(rows[many])


def test_the_check_is_paid_once_and_again_when_the_original_changes(mirror: Mirror) -> None:
    mirror.write(pairs(4))
    mirror.write(german(4), at=AT)
    task = pair_task(copy_of())
    known = fingerprint(task, "train", mirror.sources)
    assert cached_fingerprint(task, "train", mirror.sources) == known
    mirror.write(pairs(4, label=[2, 2, 2, 2]))
    assert cached_fingerprint(task, "train", mirror.sources) is None
    with pytest.raises(DataError, match="row 0: has the label entailment, its original the label contradiction"):
        fingerprint(task, "train", mirror.sources)


def test_a_copy_holds_the_rows_of_its_original() -> None:
    copy = pair_task(copy_of(Data(dataset="nyu-mll/glue", config="mnli", split="train")))
    assert sources_of(copy) == {"org/mt", "nyu-mll/glue", "nyu-mll/multi_nli"}
    assert sources_of(copy) & sources_of(CATALOG["xnli"])


@pytest.mark.parametrize(("dataset", "config"), [("facebook/xnli", "de"), ("kakaobrain/kor_nli", "xnli")])
def test_real_translations_are_aligned(real: Sources, dataset: str, config: str) -> None:
    """XNLI's development rows in translation; its English test rows are refused as their original."""
    english = Data(dataset="facebook/xnli", config="en", split="validation")
    data = Data(dataset=dataset, config=config, split="validation", translation_of=english)
    task = CATALOG["xnli"].model_copy(update={"train": (data,)})
    original = load_split(Task.model_validate({**task.model_dump(), "train": [english]}), "train", real).examples
    copy = load_split(task, "train", real).examples
    assert len(copy) == 2490
    assert [(e.uid, e.label) for e in copy] == [(e.uid, e.label) for e in original]
    assert sum(one.first == other.first for one, other in zip(copy, original, strict=True)) < 100
    wrong = english.model_copy(update={"split": "test"})
    wrong_task = task.model_copy(update={"train": (data.model_copy(update={"translation_of": wrong}),)})
    with pytest.raises(DataError, match=r"validation row \d+: .* \(2490 labelled rows here, 5010 in facebook/xnli en"):
        load_split(wrong_task, "train", real)


def test_the_mirror_is_named_when_the_original_is_not_there(mirror: Mirror, tmp_path: Path) -> None:
    mirror.write(german(4), at=AT)
    with pytest.raises(DataError, match="org/set default train: no folder org--set"):
        load_split(pair_task(copy_of()), "train", mirror.sources)
