from __future__ import annotations

from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tasks.made import Mirror, character_tokenizer, choice_task
from xsweep.errors import DataError
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import load_split
from xsweep.tasks.features import Features
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.rows import Choice
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data

CHOICE = FORMATS["choice"]
TOY = character_tokenizer()


def example(context: str, question: str, *choices: str, label: int = 0, number: int = 0) -> Choice:
    return Choice(number, str(number), "0", context, question, choices, label)


def sequences(features: Features) -> list[list[str]]:
    """The sequences of each feature as text, its specials as brackets."""
    assert features.sequences is not None
    found = []
    for index in range(len(features)):
        start, end = features.offsets[index : index + 2]
        edges = [edge for edge in features.sequences if start <= edge <= end]
        texts = ["".join(TOY.convert_ids_to_tokens(features.ids[a:b].tolist())) for a, b in pairwise(edges)]
        found.append([text.removeprefix("<s>").removesuffix("</s>").replace("</s></s>", "|") for text in texts])
    return found


def rows(n: int, **changes: Any) -> dict[str, Any]:
    table = {"context": [f"context {i}" for i in range(n)], "question": ["why?"] * n, "choices": [["a", "b"]] * n}
    return {**table, "label": [i % 2 for i in range(n)], **changes}


def load(mirror: Mirror, table: dict[str, Any], **data: Any) -> list[Choice]:
    mirror.write(table, names=())
    found: list[Choice] = load_split(
        choice_task(Data(dataset="org/set", split="train", **data)), "train", mirror.sources
    ).examples
    return found


def test_a_feature_is_an_example_with_its_sequences_side_by_side() -> None:
    features = CHOICE.encode(
        [example("ab", "c?", "d", "ef", label=1), example("g", "", "h", "i", "jk")], choice_task(), TOY
    )
    assert sequences(features) == [["abc?|d", "abc?|ef"], ["g|h", "g|i", "g|jk"]]
    assert features.lengths.tolist() == [9 + 10, 6 + 6 + 7]
    assert features.widths.tolist() == [10 * 3, 7 * 3]  # as many sequences as the most
    assert features.targets.tolist() == [1, 0]
    assert features.weights.tolist() == [1, 1]


def test_the_context_loses_its_start_alike_for_all_choices_and_is_counted() -> None:
    long = example("abcdefghijklmnop", "qr?", "s", "tuvw")
    features = CHOICE.encode([long, example("a", "b?", "c", "d")], choice_task(max_length=16), TOY)
    assert sequences(features) == [["lmnopqr?|s", "lmnopqr?|tuvw"], ["ab?|c", "ab?|d"]]
    assert features.truncated == 1


@settings(deadline=None, max_examples=150)
@given(
    st.text("ab c", min_size=1, max_size=60).filter(lambda text: bool(text.strip())),
    st.text("de", max_size=6),
    st.lists(st.text("fg", min_size=1, max_size=8), min_size=2, max_size=5),
    st.integers(20, 40),
)
def test_choices_and_question_stay_whole(context: str, question: str, choices: list[str], longest: int) -> None:
    features = CHOICE.encode([example(context, question, *choices)], choice_task(max_length=longest), TOY)
    assert features.sequences is not None
    assert np.diff(features.sequences).max() <= longest
    bare = context.replace(" ", "")
    for text, choice in zip(sequences(features)[0], choices, strict=True):
        first, second = text.split("|")
        assert second == choice
        assert first.endswith(question)
        assert bare.endswith(first.removesuffix(question))
    whole = len(bare) + len(question) + max(map(len, choices)) + 4 <= longest
    assert features.truncated == (not whole)


def test_no_room_for_the_context_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"task toy: question and choices of row 4 \(4\) leave no room .*max_length \(12\)"
    ):
        CHOICE.encode([example("abc", "d?", "e", "f" * 12, number=4)], choice_task(max_length=12), TOY)


def test_perfect_scores_and_ties() -> None:
    examples = [example("a", "", "b", "c", "d", label=label, number=3 * label) for label in range(3)]
    features = CHOICE.encode(examples, choice_task(), TOY)
    right = CHOICE.predict(features, list(np.eye(3)[:, :, None]), examples, choice_task())
    assert right.to_pydict() == {"id": [0, 3, 6], "prediction": [0, 1, 2], "correct": [1, 1, 1]}
    assert CHOICE.score(right) == {"accuracy": 100.0}
    tied = CHOICE.predict(features, [np.zeros((3, 1))] * 3, examples, choice_task())
    assert tied["prediction"].to_pylist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        ({}, {}),
        ({"label": ["1", "2"]}, {"labels": ("1", "2")}),
        ({"label": [1, 2]}, {"labels": ("1", "2")}),
        ({"label": ["A", "B"]}, {"labels": ("A", "B")}),
        ({"choices": None, "x": ["a", "a"], "y": ["b", "b"]}, {"columns": {"choices": ("x", "y")}}),
        ({"choices": [{"text": ["a", "b"]}] * 2}, {"columns": {"choices": "choices.text"}}),
        ({"question": None, "ask": ["q", "q"]}, {"columns": {"question": "ask"}, "questions": {"q": "why?"}}),
    ],
)
def test_the_shapes_of_the_hub(mirror: Mirror, changes: dict[str, Any], data: dict[str, Any]) -> None:
    table = {name: values for name, values in rows(2, **changes).items() if values is not None}
    found = load(mirror, table, **data)
    assert [(e.context, e.question, e.choices, e.label) for e in found] == [
        ("context 0", "why?", ("a", "b"), 0),
        ("context 1", "why?", ("a", "b"), 1),
    ]


def test_a_column_is_read_once(mirror: Mirror) -> None:
    """CommonsenseQA's question is all the context there is."""
    [found] = load(mirror, {"question": ["q"], "choices": [["a", "b"]], "label": [0]}, columns={"context": "question"})
    assert (found.context, found.question) == ("q", "")


@pytest.mark.parametrize("hidden", [-1, "-1", ""])
def test_hidden_labels_are_left_out_and_counted(mirror: Mirror, hidden: Any) -> None:
    kind = type(hidden)
    mirror.write(rows(3, label=[kind(0), hidden, kind(1)], context=["a", None, "b"]), names=())
    data = Data(dataset="org/set", split="train", labels=("0", "1"))
    split = load_split(choice_task(data), "train", mirror.sources)
    assert [e.id for e in split.examples] == [0, 2]
    assert split.dropped == {"unlabelled": 1}


BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"context": ["a", " "]}, {}, "row 1: context is empty"),
    ({"question": ["a", None]}, {}, "row 1: question is missing"),
    ({"choices": [["a", "b"], ["a"]]}, {}, r"row 1: choices must be a list of two texts or more, not \['a'\]"),
    ({"choices": [["a", "b"], None]}, {}, "row 1: choices must be a list of two texts or more, not None"),
    ({"choices": [["a", "b"], ["a", None]]}, {}, "row 1: choice 2 is missing"),
    ({"choices": [["a", "b"], ["a", ""]]}, {}, "row 1: choice 2 is no text but ''"),
    ({"choices": [["a", "b"], ["a", "b", "c"]]}, {"labels": ("0", "1")}, "row 1: 3 choices, but 2 labels"),
    ({"label": [0, 2]}, {}, "row 1: the label 2 is no position of 2 choices, counted from 0"),
    ({"label": ["0", "1"]}, {}, r"row 0: its labels are text; `labels: \[...\]` says"),
    ({"label": ["0", "2"]}, {"labels": ("0", "1")}, "row 1: the label '2' is none of 0, 1"),
    ({"label": [0, None]}, {}, "row 1: the label None is neither"),
    ({}, {"questions": {"cause": "What?"}}, r"row 0: the question 'why\?' is none of cause"),
    ({}, {"columns": {"choices": ("a", "b")}}, "no column 'a'; it has context, question, choices, label"),
    ({}, {"columns": {"choices": "choices.text"}}, "row 0: choices must be a list of two texts or more, not None"),
]


@pytest.mark.parametrize(("changes", "data", "message"), BAD)
def test_bad_rows_are_named(mirror: Mirror, changes: dict[str, Any], data: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match="^org/set default train.*" + message):
        load(mirror, rows(2, **changes), **data)


def test_real_rows_of_the_catalogue(real: Sources) -> None:
    counts = {}
    for name in ("hellaswag", "cosmosqa", "commonsenseqa", "socialiqa", "copa", "xcopa"):
        examples = load_split(CATALOG[name], "selection", real).examples
        counts[name] = len(examples)
        positions = [example.label for example in examples]
        even = len(positions) / (max(positions) + 1)
        assert all(0.6 * even < positions.count(p) < 1.4 * even for p in set(positions))
    assert counts == {
        "hellaswag": 10042, "cosmosqa": 2985, "commonsenseqa": 1221, "socialiqa": 1954, "copa": 100, "xcopa": 2054
    }  # fmt: skip
    copa = load_split(CATALOG["copa"], "train", real).examples
    assert {example.question for example in copa} == {"What was the cause?", "What was the effect?"}


def test_real_xcopa_is_parallel(real: Sources) -> None:
    found = [load_split(CATALOG["xcopa"], "test", real, code).examples for code in ("ht", "id", "qu", "ta", "th", "zh")]
    assert [len(examples) for examples in found] == [500] * 6
    assert len({tuple((example.uid, example.label) for example in examples) for examples in found}) == 1


def test_real_rows_fit(real: Sources, real_tokenizer: Any) -> None:
    task = CATALOG["hellaswag"]
    examples = load_split(task, "selection", real).examples[:600]
    features = CHOICE.encode(examples, task, real_tokenizer)
    assert features.sequences is not None
    lengths = np.diff(features.sequences).reshape(-1, 4)
    assert len(lengths) == 600
    assert lengths.max() <= task.max_length
    for row in range(0, 600, 60):
        ids = [real_tokenizer(examples[row].context, choice)["input_ids"] for choice in examples[row].choices]
        if max(map(len, ids)) <= task.max_length:
            assert features.ids[features.span(row)].tolist() == list(chain(*ids))
