from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.tasks.made import Mirror, answers
from xsweep.errors import DataError
from xsweep.tasks import ranking
from xsweep.tasks.catalog import task
from xsweep.tasks.examples import Match, cached_fingerprint, fingerprint, load_split
from xsweep.tasks.retrieval import FORMAT, sides
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data, Task

PAIRS = {"query": ["eins", "zwei", "drei"], "candidate": ["one", "two", "three"]}
ENTITIES = {"entity_id": ["Q1", "Q2", "Q3"], "description": ["a city", "a river", "a hill"], "title": ["C", "R", "H"]}


def retrieval_task(test: Data | None = None, **changes: Any) -> Task:
    declared = {"name": "toy", "family": "retrieval", "format": "retrieval", "metric": "accuracy", "train": ()}
    rows = test or Data(dataset="org/set", split="train")
    return Task.model_validate({**declared, "selection": (), "test": rows, "languages": ("de",), **changes})


def matches(mirror: Mirror, of: Task, language: str = "de") -> list[Match]:
    return load_split(of, "test", mirror.sources, language).examples


def test_each_pair_is_one_match(mirror: Mirror) -> None:
    mirror.write(PAIRS)
    found = matches(mirror, retrieval_task())
    assert [(match.query, match.candidate, match.keys) for match in found] == [
        ("eins", "one", ("0",)),
        ("zwei", "two", ("1",)),
        ("drei", "three", ("2",)),
    ]


def corpora(mirror: Mirror, gold: dict[str, list[Any]]) -> Task:
    mirror.write({"id": ["z1", "z2", "z3"], "text": ["eins", "zwei", "drei"]}, at="org--set/de/zh.parquet")
    mirror.write({"id": ["e1", "e2"], "text": ["one", "two"]}, at="org--set/de/en.parquet")
    mirror.write(gold, at="org--set/de/gold.parquet")
    side = {name: Data(dataset="org/set", config="{language}", split=split) for name, split in
            (("queries", "zh"), ("candidates", "en"))}  # fmt: skip
    columns = {"query_id": "source_id", "candidate_id": "target_id"}
    return retrieval_task(Data(dataset="org/set", config="{language}", split="gold", columns=columns, **side))


def test_corpora_are_searched_whole_and_the_gold_names_their_rows(mirror: Mirror) -> None:
    found = matches(mirror, corpora(mirror, {"source_id": ["z2"], "target_id": ["e1"]}))
    assert [match.id for match in found] == [1, 2, 3, 4, 5], "the one gold row comes first"
    pool = ranking.pool(found, merge=True)
    assert pool.gold == [(), (0,), ()]
    assert len(pool.candidate_rows) == 2


def test_a_change_in_a_corpus_changes_the_fingerprint(mirror: Mirror) -> None:
    of = corpora(mirror, {"source_id": ["z2"], "target_id": ["e1"]})
    before = fingerprint(of, "test", mirror.sources, "de")
    assert cached_fingerprint(of, "test", mirror.sources, "de") == before
    mirror.write({"id": ["e1", "e2"], "text": ["one", "2"]}, at="org--set/de/en.parquet")
    assert cached_fingerprint(of, "test", mirror.sources, "de") is None
    assert fingerprint(of, "test", mirror.sources, "de") != before


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        ({"source_id": ["z1", "z9"], "target_id": ["e1", "e1"]}, "gold row 1: the query 'z9' is not among the queries"),
        ({"source_id": ["z1"], "target_id": ["e9"]}, "gold row 0: the candidate 'e9' is not among the candidates"),
        ({"source_id": ["z1"], "target_id": [None]}, "gold row 0: the candidate_id None is neither text nor integer"),
        ({"source_id": ["z1"]}, "no column 'target_id'"),
    ],
)
def test_gold_that_names_nothing_is_an_error(mirror: Mirror, gold: dict[str, list[Any]], said: str) -> None:
    with pytest.raises(DataError, match=said):
        matches(mirror, corpora(mirror, gold))


def test_a_side_without_ids_is_an_error(mirror: Mirror) -> None:
    of = corpora(mirror, {"source_id": ["z1"], "target_id": ["e1"]})
    mirror.write({"text": ["one", "two"]}, at="org--set/de/en.parquet")
    with pytest.raises(DataError, match="org/set de en: candidates need the columns `id` and `text`; it has text"):
        matches(mirror, of)


def test_mewslix_rows_find_entities_by_name(mirror: Mirror) -> None:
    """Rows made by hand in the hub's schema: mentions marked in their sentence, entities by description."""
    mentions = {"mention": ["Fluss: am { Fluss }", "Stadt: in der { Stadt }"], "entity_id": ["Q2", "Q1"]}
    mirror.write(mentions, at="izhx--mewsli-x/de/test.parquet")
    mirror.write(ENTITIES, at="izhx--mewsli-x/candidate_entities/test.parquet")
    pairs = {"mention": ["a: { a }", "b: { b }"], "entity": ["the letter a", "the letter b"]}
    mirror.write(pairs, at="izhx--mewsli-x/wikipedia_pairs/train.parquet")
    found = matches(mirror, task("mewslix"))
    pool = ranking.pool(found, merge=False)
    assert pool.gold == [(1,), (0,)]
    assert [match.candidate for match in found if match.candidate] == ENTITIES["description"]
    trained = load_split(task("mewslix"), "train", mirror.sources).examples
    assert [(match.query, match.candidate) for match in trained] == list(zip(*pairs.values(), strict=True))


def questions(**changes: Any) -> dict[str, list[Any]]:
    text = "Anna came. Bob left. Carl stayed."
    rows = {"id": ["q1", "q2"], "question": ["Who left?", "Who came?"], "context": [text, text]}
    return {**rows, "answers": [answers("Bob", 11), answers("Anna", 0)], **changes}


def test_questions_search_every_sentence_of_every_context(mirror: Mirror) -> None:
    mirror.write(questions())
    found = matches(mirror, retrieval_task())
    assert [(match.query, match.candidate, match.keys) for match in found] == [
        ("Who left?", "Bob left.", ("q1",)),
        ("Who came?", "Anna came.", ("q2",)),
        ("", "Carl stayed.", ()),
    ]
    assert {match.context for match in found} == {"Anna came. Bob left. Carl stayed."}
    assert len({match.uid for match in found}) == 3


def test_declared_sentences_come_before_computed_ones(mirror: Mirror) -> None:
    rows = questions()
    mirror.write(rows)
    breaks = {"context": rows["context"][:1], "sentence_breaks": [[[0, 20], [21, 33]]]}
    mirror.write(breaks, at="org--set/default/breaks.parquet")
    data = Data(dataset="org/set", split="train", candidates=Data(dataset="org/set", split="breaks"))
    found = matches(mirror, retrieval_task(data))
    assert [match.candidate for match in found] == ["Anna came. Bob left.", "Anna came. Bob left.", "Carl stayed."]
    mirror.write({**breaks, "sentence_breaks": [[[0, 99]]]}, at="org--set/default/breaks.parquet")
    with pytest.raises(DataError, match="breaks row 0: sentence_breaks lie outside"):
        matches(mirror, retrieval_task(data))


def test_an_answer_out_of_place_is_an_error(mirror: Mirror) -> None:
    mirror.write(questions(answers=[answers("Bob", 12), answers("Anna", 0)]))
    with pytest.raises(DataError, match="org/set default train row 0: the answer 'Bob' is not at its offset 12"):
        matches(mirror, retrieval_task())


def test_queries_then_candidates_with_their_context(mirror: Mirror, toy: Any) -> None:
    mirror.write(questions())
    found = matches(mirror, retrieval_task())
    features = FORMAT.encode(found, retrieval_task(max_length=24), toy)
    texts = sides(features)
    first = [toy.decode(features.ids[texts.span(row)]).replace(" ", "") for row in range(len(texts))]
    assert first[0] == "<s>Wholeft?</s>"
    assert first[1].startswith("<s>Bobleft.</s></s>Annacame")
    assert first[4] == "", "a candidate that no row asks for"
    assert texts.lengths.max() == 24
    assert features.truncated == 3
    assert texts.lengths.sum() == len(features.ids)


def test_one_pool_is_scored_from_its_vectors(mirror: Mirror, toy: Any) -> None:
    mirror.write(PAIRS)
    of = retrieval_task()
    found = matches(mirror, of)
    features = FORMAT.encode(found, of, toy)
    outputs = [np.stack([np.eye(3)[row], np.eye(3)[place]]) for row, place in enumerate((0, 2, 1))]
    table = FORMAT.predict(features, outputs, found, of)
    assert table.column("correct").to_pylist() == [1, 0, 0]
    assert FORMAT.score(table) == {"accuracy": pytest.approx(100 / 3)}


# Real rows


def test_tatoeba_has_a_thousand_pairs_in_most_languages(real: Sources) -> None:
    of = task("tatoeba")
    for language, count in (("de", 1000), ("zh", 1000), ("ta", 307), ("th", 548)):
        found = load_split(of, "test", real, language).examples
        assert len(found) == count
        assert ranking.pool(found, merge=False).gold == [(row,) for row in range(count)], "no sentence comes twice"


def test_bucc_is_mined_from_its_corpora_where_they_are_declared(real: Sources) -> None:
    def side(split: str) -> Data:
        return Data(dataset="bucc2018-mining", config="zh-en", split=split)

    columns = {"query_id": "source_id", "candidate_id": "target_id"}
    gold = side("dev_gold").model_copy(
        update={"columns": columns, "queries": side("dev_zh"), "candidates": side("dev_en")}
    )
    of = retrieval_task(gold, metric="f1", languages=("zh",))
    pool = ranking.pool(load_split(of, "test", real, "zh").examples, merge=True)
    assert (len(pool.ids), len(pool.candidate_rows)) == (8615, 13575), "equal sentences are one"
    assert sum(map(len, pool.gold)) == 257
    pairs = task("bucc2018").model_copy(update={"test": Data(
        dataset="google/xtreme", config="bucc18.{language}", split="validation",
        columns={"query": "source_sentence", "candidate": "target_sentence"},
    )})  # fmt: skip
    assert len(load_split(pairs, "test", real, "zh").examples) == 257


def test_lareqa_questions_have_an_answer_in_every_language(real: Sources) -> None:
    of, languages = task("lareqa"), ("en", "de", "zh")
    found = [match for language in languages for match in load_split(of, "test", real, language).examples]
    pool = ranking.pool(found, merge=False)
    assert len(pool.ids) == 3 * 1190
    assert {len(gold) for gold in pool.gold} == {3}
    assert 3 * 1100 < len(pool.candidate_rows) < 3 * 1350


def test_lareqa_chooses_by_no_paragraph_that_it_scores(real: Sources) -> None:
    """The mirror's held-out rows are those on XQuAD's paragraphs, so nothing may be left of them."""
    of = task("lareqa")
    with pytest.raises(DataError, match=r"no rows are left of 1190 \(without"):
        load_split(of, "selection", real)
    swapped = of.selection[0].model_copy(update={"split": "train"})
    kept = load_split(of.model_copy(update={"selection": (swapped,)}), "selection", real)
    scored = {match.group for match in load_split(of, "test", real, "en").examples}
    assert not {match.group for match in kept.examples} & scored
