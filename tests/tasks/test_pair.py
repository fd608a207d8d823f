from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tasks.made import pair_task
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import Pair, load_split
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.source import Sources

PAIR = FORMATS["pair"]


def example(first: str, second: str, label: int = 0, number: int = 0) -> Pair:
    return Pair(number, str(number), "0", first, second, label)


def test_template_and_layout(toy: Any) -> None:
    features = PAIR.encode([example("ab", "c", 2, 5), example("d", "ef", 1, 9)], pair_task(), toy)
    decoded = [toy.convert_ids_to_tokens(features.ids[features.span(i)].tolist()) for i in range(2)]
    assert decoded == [["<s>", "a", "b", "</s>", "</s>", "c", "</s>"], ["<s>", "d", "</s>", "</s>", "e", "f", "</s>"]]
    assert features.offsets.tolist() == [0, 7, 14]
    assert features.lengths.tolist() == [7, 7]
    assert features.example.tolist() == [0, 1]
    assert features.targets.tolist() == [2, 1]
    assert features.allowed is None
    assert features.chars is None
    assert {features.ids.dtype, features.example.dtype, features.targets.dtype} == {np.dtype(np.int32)}


def test_segment_ids_only_for_models_that_take_them(toy: Any) -> None:
    assert (features := PAIR.encode([example("ab", "c")], pair_task(), toy)).type_ids is None or (
        features.type_ids.tolist() == [0, 0, 0, 0, 0, 1, 1]
    )
    names = toy.model_input_names
    try:
        toy.model_input_names = ["input_ids", "attention_mask"]
        assert PAIR.encode([example("ab", "c")], pair_task(), toy).type_ids is None
        toy.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
        types = PAIR.encode([example("ab", "c")], pair_task(), toy).type_ids
        assert types is not None
        assert types.tolist() == [0, 0, 0, 0, 0, 1, 1]
    finally:
        toy.model_input_names = names


def test_the_longer_side_is_cut_and_counted(toy: Any) -> None:
    cut = [example("a" * 30, "bb"), example("a", "b"), example("aa", "b" * 30), example("a" * 30, "b" * 30)]
    features = PAIR.encode(cut, pair_task(max_length=12), toy)
    assert features.truncated == 3
    kept = [toy.decode(features.ids[features.span(i)].tolist()).replace(" ", "") for i in range(4)]
    assert [(text.count("a"), text.count("b")) for text in kept] == [(6, 2), (1, 1), (2, 6), (4, 4)]


def test_no_examples_make_no_features(toy: Any) -> None:
    features = PAIR.encode([], pair_task(), toy)
    assert (len(features), features.ids.shape, features.offsets.tolist()) == (0, (0,), [0])


@settings(deadline=None)
@given(st.lists(st.tuples(st.text("abc 漢é", max_size=20), st.text("xyz 👩", max_size=20)), max_size=6))
def test_nothing_is_lost_below_the_longest_length(texts: list[tuple[str, str]]) -> None:
    toy = _toy()
    examples = [example(first, second, i % 3, i) for i, (first, second) in enumerate(texts)]
    features = PAIR.encode(examples, pair_task(), toy)
    assert features.truncated == 0
    for i, (first, second) in enumerate(texts):
        tokens = len("".join(first.split())) + len("".join(second.split())) + toy.num_special_tokens_to_add(pair=True)
        assert features.lengths[i] == tokens


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=20))
def test_perfect_logits_score_100_and_shifted_ones_0(labels: list[int]) -> None:
    examples = [example("a", "b", label, 3 * i) for i, label in enumerate(labels)]
    features = PAIR.encode(examples, pair_task(), _toy())
    right = PAIR.predict(features, list(np.eye(3)[labels]), examples, pair_task())
    wrong = PAIR.predict(features, list(np.eye(3)[[(label + 1) % 3 for label in labels]]), examples, pair_task())
    assert right["id"].to_pylist() == [e.id for e in examples]
    assert right["prediction"].to_pylist() == labels
    assert (PAIR.score(right), PAIR.score(wrong)) == ({"accuracy": 100.0}, {"accuracy": 0.0})


def test_score_and_ties_by_hand(toy: Any) -> None:
    examples = [example("a", "b", label) for label in (0, 1, 2)]
    features = PAIR.encode(examples, pair_task(), toy)
    table = PAIR.predict(features, [np.zeros(3, np.float32)] * 3, examples, pair_task())
    assert table["prediction"].to_pylist() == [0, 0, 0]
    assert table["correct"].to_pylist() == [1, 0, 0]
    assert PAIR.score(table)["accuracy"] == pytest.approx(100 / 3)
    assert [str(kind) for kind in table.schema.types] == ["int32", "int16", "int8"]


def test_real_pairs_equal_the_tokenizers_own(real: Sources, real_tokenizer: Any) -> None:
    task = CATALOG["xnli"].model_copy(update={"max_length": 48})
    examples = load_split(task, "test", real, "zh").examples[:1200]
    features = PAIR.encode(examples, task, real_tokenizer)
    cut = 0
    for i, e in enumerate(examples):
        one = real_tokenizer(e.first, e.second, truncation="longest_first", max_length=48)["input_ids"]
        assert features.ids[features.span(i)].tolist() == one
        cut += len(real_tokenizer(e.first, e.second)["input_ids"]) > 48
    assert features.truncated == cut > 0


def _toy() -> Any:
    from tests.tasks.made import character_tokenizer

    return character_tokenizer()
