from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest

from xsweep.errors import DataError
from xsweep.tasks.world.catalog import TASKS
from xsweep.tasks.world.languages import LANGUAGES, lexicons, vocabulary
from xsweep.tasks.world.tables import DATASETS, SPLITS, meanings, world_table

GOLDEN = "97b2d4b0bc06819699306b664d22411ede7727eb70fe9e8472e8145e65305364"


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def test_the_world_is_the_same_on_every_machine() -> None:
    digest = hashlib.sha256()
    for dataset in DATASETS:
        for code in ("en", "c40", "sov60"):
            rows = world_table(dataset, code, "test").to_pylist()
            digest.update(json.dumps(rows, ensure_ascii=False, sort_keys=True).encode())
    assert digest.hexdigest() == GOLDEN


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
@pytest.mark.parametrize("dataset", DATASETS)
def test_row_i_means_the_same_in_every_language(dataset: str, code: str) -> None:
    back = {form: word for word, form in lexicons()[code].items()}
    ours, english = (world_table(dataset, language, "test").to_pylist() for language in (code, "en"))
    assert len(ours) == len(english)
    for mine, theirs in zip(ours, english, strict=True):
        assert mine.keys() == theirs.keys()
        for column in ("id", "label"):
            assert mine.get(column) == theirs.get(column)
        for column in {"premise", "hypothesis", "context", "question", "text"} & mine.keys():
            assert sorted(back[word] for word in words(mine[column])) == sorted(words(theirs[column]))
        if "answers" in mine:
            answers = [row["answers"]["text"][0].split() for row in (mine, theirs)]
            assert sorted(back[word] for word in answers[0]) == sorted(answers[1])
        if "tags" in mine:
            pairs = [sorted(zip(row["tokens"], row["tags"], strict=True)) for row in (mine, theirs)]
            assert sorted((back[token], tag) for token, tag in pairs[0]) == pairs[1]


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("dataset", ["world/qa", "world/qa-small"])
def test_answers_stand_at_their_offsets_once(dataset: str, code: str) -> None:
    for row in world_table(dataset, code, "test").to_pylist():
        [answer], [start] = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start : start + len(answer)] == answer
        assert re.findall(rf"\b{answer}\b", row["context"]) == [answer]


@pytest.mark.parametrize("name", TASKS)
def test_declared_tasks_find_their_columns_labels_languages_and_rows(name: str) -> None:
    task = TASKS[name]
    assert task.test is not None
    [train] = task.train
    table = world_table(train.dataset, train.config, train.split)
    assert table.num_rows == task.rows
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == table.column_names
    if task.labels:
        named = features["label"] if task.format == "pair" else features["tags"]["feature"]
        assert tuple(named["names"]) == task.labels
    for code in task.languages:
        table = world_table(task.test.dataset, task.test.config.format(language=code), task.test.split)
        assert max(tokens(row) for row in table.to_pylist()) <= task.max_length
        assert table.num_rows == 300


def tokens(row: dict[str, Any]) -> int:
    """Tokens of a row in XLM-R's template, of a pair of texts or of a sentence of words."""
    if "tokens" in row:
        return len(row["tokens"]) + 2
    return sum(len(words(text)) for key, text in row.items() if isinstance(text, str) and key != "id") + 4


def test_declared_mean_lengths_are_near_the_truth() -> None:
    for task in TASKS.values():
        [train] = task.train
        rows = world_table(train.dataset, "en", "train").to_pylist()
        mean = sum(map(tokens, rows)) / len(rows)
        assert task.tokens is not None
        assert abs(mean - task.tokens) < 1


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_vocabulary_covers_raw_text(code: str) -> None:
    known = set(vocabulary())
    table = world_table("world/text", code, "train").to_pylist()
    assert {word for row in table for word in words(row["text"])} <= known
    assert {row["lang"] for row in table} == {code}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (("world/nlu", "en", "test"), "world/nli"),
        (("world/nli", "fr", "test"), "sov60"),
        (("world/nli", "en", "dev"), "validation"),
    ],
)
def test_an_unknown_name_is_answered_with_what_there_is(address: tuple[str, str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        world_table(*address)


@pytest.mark.parametrize("dataset", DATASETS)
def test_splits_have_rows_and_say_different_things(dataset: str) -> None:
    seen = [set(meanings(dataset, split)) for split in SPLITS]
    assert all(seen)
    assert not seen[2] & (seen[0] | seen[1]) or dataset in ("world/text", "world/tags")
