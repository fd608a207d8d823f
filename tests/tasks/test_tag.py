from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score

from tests.tasks.made import Mirror, character_tokenizer, tag_task
from xsweep.errors import DataError
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.catalog.tagging import ENTITIES
from xsweep.tasks.examples import load_split
from xsweep.tasks.features import NO_LABEL, Features
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.rows import Tagged
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data, Task

TAG = FORMATS["tag"]
TOY = character_tokenizer()


def example(words: list[str], labels: list[int] | None = None, number: int = 0) -> Tagged:
    return Tagged(number, str(number), "0", tuple(words), tuple(labels or [i % 7 for i in range(len(words))]))


def shown(features: Features, tokenizer: Any = TOY) -> list[str]:
    texts = [tokenizer.convert_ids_to_tokens(features.ids[features.span(i)].tolist()) for i in range(len(features))]
    return ["".join(tokens).replace("<s>", "[").replace("</s>", "]") for tokens in texts]


def logits(features: Features, labels: list[list[int]], width: int = 7) -> list[Any]:
    """Outputs for which each word has the label that ``labels`` gives."""
    assert features.words is not None
    rows = []
    for feature in range(len(features)):
        numbers = features.words[features.span(feature)]
        mine = labels[int(features.example[feature])]
        rows.append(np.eye(width)[[mine[n] for n in numbers[numbers >= 0]]].reshape(-1, width))
    return rows


def test_the_first_piece_of_a_word_is_labelled() -> None:
    features = TAG.encode([example(["ab", "c"], [3, 4]), example(["def"], [5])], tag_task(), TOY)
    assert shown(features) == ["[abc]", "[def]"]
    none = NO_LABEL
    assert features.labels is not None
    assert features.labels.tolist() == [none, 3, none, 4, none, none, 5, none, none, none]
    assert features.weights.tolist() == [2, 1]
    assert features.example.tolist() == [0, 1]
    assert (features.truncated, features.unread) == (0, 0)


def test_long_sentences_become_windows_cut_between_words() -> None:
    words = ["abc", "de", "fghi", "j", "klmnopqrst", "u"]
    features = TAG.encode([example(words), example(["v"])], tag_task(max_length=8), TOY)
    assert shown(features) == ["[abcde]", "[fghij]", "[klmnop]", "[u]", "[v]"]
    assert features.example.tolist() == [0, 0, 0, 0, 1]
    assert features.truncated == 1  # the sentence with the word that no window holds


def test_words_that_the_tokenizer_drops_are_wrong_outside_and_counted() -> None:
    rows = [example(["a", " ", "b", ""], [1, 2, 3, 0]), example([" "], [0])]
    features = TAG.encode(rows, tag_task(), TOY)
    assert shown(features) == ["[ab]", "[]"]
    assert features.unread == 3
    table = TAG.predict(features, logits(features, [[1, 2, 3, 0], [0]]), rows, tag_task())
    assert table["prediction"].to_pylist() == [[1, -1, 3, -1], [-1]]
    assert table["unread"].to_pylist() == [2, 1]
    assert table["correct"].to_pylist() == [2, 0]
    assert table["words"].to_pylist() == [4, 1]
    assert [table[name].to_pylist() for name in ("tp", "fp", "fn")] == [[1, 0], [1, 0], [1, 0]]
    assert TAG.score(table)["accuracy"] == 40.0


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(st.sampled_from(["", " ", "a", "bc", "def", "ghijklmno"]), min_size=1, max_size=12), min_size=1),
    st.integers(3, 14),
    st.randoms(),
)
def test_every_word_is_scored_once_whatever_the_window(sentences: list[list[str]], longest: int, rng: Any) -> None:
    rows = [example(words, [rng.randrange(7) for _ in words], 2 * i) for i, words in enumerate(sentences)]
    features = TAG.encode(rows, tag_task(max_length=longest), TOY)
    assert features.words is not None
    assert features.lengths.max() <= longest
    assert set(features.example.tolist()) == set(range(len(rows)))
    for number, row in enumerate(rows):
        mine = [features.words[features.span(int(i))] for i in np.flatnonzero(features.example == number)]
        seen = [word for window in mine for word in window[window >= 0].tolist()]
        assert seen == [place for place, word in enumerate(row.words) if word.strip()]
    golds = [list(row.labels) for row in rows]
    table = TAG.predict(features, logits(features, golds), rows, tag_task())
    unread = sum(not word.strip() for words in sentences for word in words)
    assert sum(table["correct"].to_pylist()) == sum(map(len, sentences)) - unread == features.weights.sum()
    assert sum(table["unread"].to_pylist()) == unread == features.unread
    assert table["id"].to_pylist() == [row.id for row in rows]


def test_scores_of_parts_add_up() -> None:
    rng = random.Random(0)
    golds = [[rng.randrange(7) for _ in range(9)] for _ in range(40)]
    rows = [example(["a"] * 9, gold, i) for i, gold in enumerate(golds)]
    features = TAG.encode(rows, tag_task(), TOY)
    noisy = [[label if rng.random() < 0.7 else rng.randrange(7) for label in gold] for gold in golds]
    whole = TAG.predict(features, logits(features, noisy), rows, tag_task())
    half = whole.slice(0, 20)
    tp, fp, fn = (sum(half[name].to_pylist()) for name in ("tp", "fp", "fn"))
    assert TAG.score(half)["f1"] == pytest.approx(100 * 2 * tp / (2 * tp + fp + fn))
    assert TAG.score(pa.concat_tables([half, whole.slice(20)])) == TAG.score(whole)
    by_accuracy = TAG.predict(features, logits(features, noisy), rows, tag_task(metric="accuracy"))
    assert TAG.score(by_accuracy) == {"accuracy": TAG.score(whole)["accuracy"]}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"tokens": [["a"], None]}, "row 1: tokens must be a list of words, not None"),
    ({"tokens": [["a"], []]}, r"row 1: tokens must be a list of words, not \[\]"),
    ({"tokens": [["a"], ["b", None]]}, "row 1: token 1 is no text but None"),
    ({"tokens": ["a", "b"]}, "row 0: tokens must be a list of words, not 'a'"),
    ({"tags": [["O"], ["O", "O"]]}, "row 1: 1 tokens, but 2 tags"),
    ({"tags": [["O"], None]}, "row 1: 1 tokens, but tags None"),
    ({"tags": [["O"], ["B-GPE"]]}, "row 1: the label 'B-GPE' is none of the task's O, B-PER"),
    ({"tags": [["O"], [None]]}, "row 1: the label None is neither"),
    ({"tags": [[0], [1]]}, "integers without names"),
    ({"other": [1, 1], "tags": None}, "no column 'tags'; it has tokens, other"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_rows_are_named(mirror: Mirror, changes: dict[str, Any], message: str) -> None:
    rows = {"tokens": [["a"], ["b"]], "tags": [["O"], ["O"]], **changes}
    mirror.write({name: values for name, values in rows.items() if values is not None})
    with pytest.raises(DataError, match="org/set default train.*" + message):
        load_split(tag_task(), "train", mirror.sources)


@pytest.mark.parametrize(("tag", "said"), [(7, "the label 7 has no name; there are 7"), (-1, "token 1 has no label")])
def test_tag_numbers_out_of_place(real: Sources, mirror: Mirror, tag: int, said: str) -> None:
    table = real.table(Data(dataset="unimelb-nlp/wikiann", config="en", split="test")).slice(0, 3)
    tags = table["ner_tags"].to_pylist()
    tags[2][1] = tag
    changed = table.set_column(table.column_names.index("ner_tags"), "ner_tags", pa.array(tags))
    path = mirror.root / "unimelb-nlp--wikiann/en/test.parquet"
    path.parent.mkdir(parents=True)
    pa.parquet.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(DataError, match=f"unimelb-nlp/wikiann en test row 2: {said}"):
        load_split(CATALOG["panx"], "test", mirror.sources, "en")


def few(task: Task, part: Any, real: Sources, language: str | None, rows: int) -> list[Tagged]:
    found: list[Tagged] = load_split(task, part, real, language).examples[:rows]
    return found


@pytest.mark.parametrize("longest", [128, 12])
def test_real_entities_score_as_seqeval_scores_them(real: Sources, real_tokenizer: Any, longest: int) -> None:
    task = CATALOG["panx"].model_copy(update={"max_length": longest})
    rng = random.Random(1)
    for language in ("de", "en", "es", "ru"):
        rows = few(task, "test", real, language, 400)
        features = TAG.encode(rows, task, real_tokenizer)
        noisy = [[label if rng.random() < 0.8 else rng.randrange(7) for label in row.labels] for row in rows]
        table = TAG.predict(features, logits(features, noisy), rows, task)
        named = [[ENTITIES[label] if label >= 0 else "O" for label in row] for row in table["prediction"].to_pylist()]
        golds = [[ENTITIES[label] for label in row.labels] for row in rows]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert TAG.score(table)["f1"] == pytest.approx(100 * f1_score(golds, named), abs=1e-9)


@pytest.mark.parametrize(("name", "languages"), [("udpos", "ar hi ja th yo zh"), ("panx", "de en es ru")])
def test_real_words_are_scored_once(real: Sources, real_tokenizer: Any, name: str, languages: str) -> None:
    task = CATALOG[name].model_copy(update={"max_length": 32})
    for language in languages.split():
        rows = few(task, "test", real, language, 200)
        features = TAG.encode(rows, task, real_tokenizer)
        width = len(task.labels)
        table = TAG.predict(features, logits(features, [list(row.labels) for row in rows], width), rows, task)
        assert sum(table["correct"].to_pylist()) + features.unread == sum(len(row.labels) for row in rows)
        assert features.lengths.max() <= 32


def test_real_labels_are_those_of_the_task(real: Sources) -> None:
    sizes = {name: len(load_split(CATALOG[name], "train", real).examples) for name in ("udpos", "panx")}
    assert sizes == {"udpos": 12544, "panx": 20000}
    first = load_split(CATALOG["udpos"], "selection", real).examples[0]
    assert len(first.words) == len(first.labels)
