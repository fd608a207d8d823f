from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tasks.made import Mirror, answers, pair_task, pairs, span_task
from xsweep.errors import DataError
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import Pair, cached_fingerprint, fingerprint, load_split, subset
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data


def test_labels_meet_by_name_not_by_number(mirror: Mirror) -> None:
    mirror.write(pairs(3), names=("contradiction", "entailment", "neutral"))
    split = load_split(pair_task(), "train", mirror.sources)
    assert [example.label for example in split.examples] == [2, 0, 1]


def test_label_names_as_text(mirror: Mirror) -> None:
    mirror.write(pairs(3, label=["neutral", "entailment", "contradiction"]), names=())
    assert [e.label for e in load_split(pair_task(), "train", mirror.sources).examples] == [1, 0, 2]


def test_declared_names_for_bare_integers_and_for_meaningless_names(mirror: Mirror) -> None:
    named = Data(dataset="org/set", split="train", labels=("neutral", "entailment", "contradiction"))
    for names in ((), ("0", "1", "2")):
        mirror.write(pairs(3), names=names)
        assert [e.label for e in load_split(pair_task(named), "train", mirror.sources).examples] == [1, 0, 2]


def test_columns_by_the_data_sets_own_names(mirror: Mirror) -> None:
    mirror.write({"s1": ["a"], "s2": ["b"], "label": [1], "key": ["k7"]})
    data = Data(dataset="org/set", split="train", columns={"premise": "s1", "hypothesis": "s2", "id": "key"})
    [example] = load_split(pair_task(data), "train", mirror.sources).examples
    assert (example.first, example.second, example.uid) == ("a", "b", "k7")


def test_unlabelled_rows_are_dropped_and_counted_and_keep_their_numbers(mirror: Mirror) -> None:
    mirror.write(pairs(4, label=[0, -1, 2, -1], hypothesis=["a", "", "b", None]))
    split = load_split(pair_task(), "train", mirror.sources)
    assert split.dropped == {"unlabelled": 2}
    assert [(e.id, e.uid) for e in split.examples] == [(0, "0"), (2, "2")]


def test_several_data_sets_share_neither_ids_nor_uids(mirror: Mirror) -> None:
    for part in "ab":
        mirror.write(pairs(3, id=["x", "y", "z"]), at=f"org--set/{part}/train.parquet")
    task = pair_task(*(Data(dataset="org/set", config=part, split="train") for part in "ab"))
    examples = load_split(task, "train", mirror.sources).examples
    assert [e.id for e in examples] == list(range(6))
    assert [e.uid for e in examples] == ["0/x", "0/y", "0/z", "1/x", "1/y", "1/z"]


BAD_PAIRS: list[tuple[dict[str, Any], str]] = [
    ({"hypothesis": None}, "org/set default train: no column 'hypothesis'; it has premise, label"),
    ({"premise": ["a", None, "c"]}, "org/set default train row 1: premise is missing"),
    ({"premise": ["a", "b", " \t"]}, "row 2: premise is empty"),
    ({"hypothesis": [1, 2, 3]}, "row 0: hypothesis is no text but 1"),
    ({"label": [0, 1, 3]}, "row 2: the label 3 has no name; there are 3: entailment, neutral, contradiction"),
    ({"label": ["neutral", "maybe", "neutral"]}, "row 1: the label 'maybe' is none of the task's entailment"),
    ({"label": [0, None, 1]}, "row 1: the label None is neither"),
    ({"label": [0.0, 0.5, 1.0]}, "row 0: the label 0.0 is neither"),
    ({"label": [-1, -1, -1]}, r"no rows are left of 3 \(unlabelled 3\)"),
    ({"id": ["a", "b", "a"]}, "row 2: the id 'a' stands at row 0 too"),
    ({"id": ["a", None, "b"]}, "row 1: the id None is neither"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_PAIRS)
def test_bad_pairs_are_named_in_a_line_each(mirror: Mirror, changes: dict[str, Any], message: str) -> None:
    mirror.write({name: values for name, values in pairs(3, **changes).items() if values is not None})
    with pytest.raises(DataError, match=message) as caught:
        load_split(pair_task(), "train", mirror.sources)
    for line in str(caught.value).splitlines():
        assert line.startswith("org/set default train")


def test_integers_without_names_are_not_guessed(mirror: Mirror) -> None:
    mirror.write(pairs(3), names=())
    with pytest.raises(DataError, match=r"integers without names; `labels: \[\.\.\.\]` names them"):
        load_split(pair_task(), "train", mirror.sources)


@pytest.mark.parametrize("labels", [("neutral", "entailment", "contradiction"), ("no", "yes")])
def test_declared_names_cannot_contradict_the_data_set(mirror: Mirror, labels: tuple[str, ...]) -> None:
    mirror.write(pairs(3))
    with pytest.raises(DataError, match="but the data set says entailment, neutral, contradiction"):
        load_split(pair_task(Data(dataset="org/set", split="train", labels=labels)), "train", mirror.sources)


def test_empty_split(mirror: Mirror) -> None:
    mirror.write({name: [] for name in ("premise", "hypothesis", "label")})
    with pytest.raises(DataError, match="no rows are left of 0"):
        load_split(pair_task(), "train", mirror.sources)


def test_language_that_is_not_there(mirror: Mirror) -> None:
    mirror.write(pairs(1), at="org--set/de/test.parquet")
    task = pair_task(test=Data(dataset="org/set", config="{language}", split="test"), language_names={"ger": "de"})
    assert len(load_split(task, "test", mirror.sources, "ger").examples) == 1
    with pytest.raises(DataError, match=r"org/set fr test: no configuration 'fr' .* it has de"):
        load_split(task, "test", mirror.sources, "fr")


def test_intermediate_tasks_have_no_test_rows(mirror: Mirror) -> None:
    with pytest.raises(DataError, match="task toy has no test rows"):
        load_split(pair_task(), "test", mirror.sources, "de")


BAD_ANSWERS: list[tuple[Any, str]] = [
    (answers("Rome", 4), "row 1: the answer 'Rome' is not at its offset 4, where 's Ro' stands"),
    (answers("Rome", -4), "row 1: the answer 'Rome' is not at its offset -4"),
    (answers("", 0), "row 1: the answer ''"),
    ({"text": [], "answer_start": []}, "row 1: the question has no answer"),
    ({"text": ["Rome"], "answer_start": []}, "row 1: 1 answer texts, but 0 offsets"),
]


@pytest.mark.parametrize(("bad", "message"), BAD_ANSWERS)
def test_bad_answers_are_named(mirror: Mirror, bad: Any, message: str) -> None:
    rows: dict[str, list[Any]] = {
        "question": ["where?"] * 2,
        "context": ["He is Rome"] * 2,
        "answers": [answers("Rome", 6), bad],
    }
    mirror.write(rows)
    with pytest.raises(DataError, match="org/set default train " + message):
        load_split(span_task(), "train", mirror.sources)


def test_offsets_count_code_points(mirror: Mirror) -> None:
    context = "👩‍👩‍👧 in Zürich"
    rows: dict[str, list[Any]] = {
        "question": ["where?"],
        "context": [context],
        "answers": [answers("Zürich", context.index("Z"))],
    }
    mirror.write(rows)
    [example] = load_split(span_task(), "train", mirror.sources).examples
    assert example.answers == ((9, "Zürich"),)


def test_folds_split_groups_and_are_counted(mirror: Mirror) -> None:
    mirror.write(pairs(60, premise=[f"premise {i // 3}" for i in range(60)]))
    parts = [Data(dataset="org/set", split="train", folds=folds) for folds in ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))]
    low, high = (load_split(pair_task(part), "train", mirror.sources) for part in parts)
    assert len(low.examples) + len(high.examples) == 60
    assert low.dropped == {"folds": len(high.examples)}
    assert not {e.group for e in low.examples} & {e.group for e in high.examples}
    assert sorted(e.id for e in low.examples + high.examples) == list(range(60))


def test_without_drops_groups_whatever_their_spacing(mirror: Mirror) -> None:
    mirror.write(pairs(4, premise=["It rains .", "Dogs bark", "It  rains.", "Birds sing"]))
    mirror.write(pairs(1, premise=["it rains."], label=[-1]), at="org--set/default/scored.parquet")
    data = Data(dataset="org/set", split="train", without=Data(dataset="org/set", split="scored"))
    split = load_split(pair_task(data), "train", mirror.sources)
    assert [e.first for e in split.examples] == ["Dogs bark", "Birds sing"]
    assert split.dropped == {"without": 2}


def test_fingerprint_follows_the_examples_alone(mirror: Mirror) -> None:
    mirror.write(pairs(5))
    task = pair_task()
    before = fingerprint(task, "train", mirror.sources)
    mirror.write(pairs(5, label=[2, 1, 0, 2, 1]), names=("contradiction", "neutral", "entailment"))
    assert fingerprint(task, "train", mirror.sources) == before  # other numbers, the same names
    mirror.write({**pairs(5), "more": [1] * 5})
    assert fingerprint(task, "train", mirror.sources) == before
    mirror.write(pairs(5, premise=["premise 0", "premise 1", "premise 2", "premise 3", "premise 5"]))
    assert fingerprint(task, "train", mirror.sources) != before
    mirror.write(pairs(5, label=[1, 1, 2, 0, 1]))
    assert fingerprint(task, "train", mirror.sources) != before


def test_fingerprint_is_remembered_while_nothing_changes(mirror: Mirror) -> None:
    path = mirror.write(pairs(5))
    task, sources = pair_task(), mirror.sources
    assert cached_fingerprint(task, "train", sources) is None
    made = load_split(task, "train", sources).fingerprint
    path.chmod(0)  # root may read on, so the file's bytes are also spoilt below
    assert cached_fingerprint(task, "train", sources) is None  # the change time moved
    path.chmod(0o644)
    assert fingerprint(task, "train", sources) == made == cached_fingerprint(task, "train", sources)
    filtered = pair_task(Data(dataset="org/set", split="train", folds=(1, 2)))
    assert cached_fingerprint(filtered, "train", sources) is None
    stat = path.stat()
    path.write_bytes(b"x" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert cached_fingerprint(task, "train", sources) is None


def test_fingerprint_of_a_part_watches_what_it_excludes(mirror: Mirror) -> None:
    mirror.write(pairs(4))
    data = Data(dataset="org/set", split="train", without=Data(dataset="org/set", split="scored"))
    task = pair_task(data)
    mirror.write(pairs(1), at="org--set/default/scored.parquet")
    before = fingerprint(task, "train", mirror.sources)
    mirror.write(pairs(2), at="org--set/default/scored.parquet")
    assert cached_fingerprint(task, "train", mirror.sources) is None
    assert fingerprint(task, "train", mirror.sources) != before


def test_known_fingerprint(mirror: Mirror) -> None:
    """Fingerprints stand in stage keys: a change of this one voids every store."""
    mirror.write(pairs(2))
    assert fingerprint(pair_task(), "train", mirror.sources) == "51787b31477db74bc50f2ad1dc35dd1f"
    mirror.write({"question": ["q?"], "context": ["a b"], "answers": [answers("b", 2)]})
    assert fingerprint(span_task(), "train", mirror.sources) == "8f8304395a7352f4ebbdc661ca440fac"


def made(uids: list[str]) -> list[Pair]:
    return [Pair(i, uid, "0", "a", "b", 0) for i, uid in enumerate(uids)]


@settings(deadline=None)
@given(st.sets(st.text(max_size=4), max_size=30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 9))
def test_subsets_are_nested_and_in_order(uids: set[str], few: int, many: int, seed: int) -> None:
    few, many = sorted((few, many))
    examples = made(sorted(uids))
    small, large = subset(examples, few, seed), subset(examples, many, seed)
    assert len(small) == min(few, len(examples))
    assert {e.uid for e in small} <= {e.uid for e in large}
    assert [e.id for e in large] == sorted(e.id for e in large)
    assert subset(examples, None, seed) == examples


@settings(deadline=None)
@given(st.sets(st.text(max_size=4), min_size=1, max_size=30), st.integers(1, 30), st.integers(0, 9), st.randoms())
def test_subsets_are_parallel_whatever_the_order_of_rows(uids: set[str], n: int, seed: int, random: Any) -> None:
    other = sorted(uids)
    random.shuffle(other)
    chosen = {e.uid for e in subset(made(sorted(uids)), n, seed)}
    assert chosen == {e.uid for e in subset(made(other), n, seed)}


def test_other_seeds_choose_other_rows() -> None:
    examples = made([str(i) for i in range(100)])
    assert subset(examples, 10, 0) != subset(examples, 10, 1)


@pytest.mark.parametrize(("name", "languages", "rows"), [("xnli", "ar de en zh", 5010), ("xquad", "ar de en zh", 1190)])
def test_real_targets_are_parallel(real: Sources, name: str, languages: str, rows: int) -> None:
    chosen = set()
    for language in languages.split():
        examples = load_split(CATALOG[name], "test", real, language).examples
        assert len(examples) == rows
        chosen.add(tuple(sorted(example.uid for example in subset(examples, 50, 3))))
    assert len(chosen) == 1


def test_real_xnli_labels_are_balanced_and_squad_selection_leaves_xquad_out(real: Sources) -> None:
    labels = [e.label for e in load_split(CATALOG["xnli"], "selection", real).examples]
    assert [labels.count(label) for label in range(3)] == [830] * 3
    train, scored = Data(dataset="rajpurkar/squad", config="plain_text", split="train"), CATALOG["xquad"].selection[0]
    assert scored.without is not None
    kept = load_split(span_task(train.model_copy(update={"without": scored.without})), "train", real)
    assert (len(kept.examples), kept.dropped) == (9380, {})
    with pytest.raises(DataError, match=r"no rows are left of 1190 \(without 1190\)"):  # the copy holds just those
        load_split(CATALOG["xquad"], "selection", real)


def test_real_rows_of_the_catalogue_load(real: Sources) -> None:
    counts = {name: len(load_split(CATALOG[name], "selection", real).examples) for name in ("snli", "anli", "mnli")}
    assert counts == {"snli": 9842, "anli": 3198, "mnli": 1000}


def test_real_label_out_of_place_is_seen(real: Sources, tmp_path: Path) -> None:
    copied = Mirror(tmp_path)
    table = real.table(Data(dataset="facebook/xnli", config="de", split="test"))
    columns = table.to_pydict()
    columns["label"][17] = 7
    copied.write(columns, at="facebook--xnli/de/test.parquet")
    with pytest.raises(DataError, match="facebook/xnli de test row 17: the label 7 has no name"):
        load_split(CATALOG["xnli"], "test", copied.sources, "de")
