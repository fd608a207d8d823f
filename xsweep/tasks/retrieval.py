"""The format of retrieval: texts to search with, texts to be found, and which of them belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xsweep.tasks import ranking, span
from xsweep.tasks.features import Features, FloatArray, Ragged, Tokenizer, batches, wants_type_ids
from xsweep.tasks.rows import Match, Place, groups_of
from xsweep.tasks.sentences import Break, holding, sentence_breaks
from xsweep.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow


class RetrievalFormat:
    """Rows in one of three shapes, told apart by what the data set has and declares.

    Pairs: columns ``query`` and ``candidate``; each row's candidate is the one right answer (Tatoeba).
    Names: ``query_id`` or ``query``, and ``candidate_id``, with the texts in the data sets declared as
    ``queries`` and ``candidates`` (columns ``id`` and ``text``); texts that no row names are searched too (BUCC with
    its corpora, Mewsli-X). Questions: ``question``, ``context``, ``answers``; every sentence of every context is
    searched, and right is the one that holds the first answer (LAReQA). Where sentences end is computed, or
    declared by ``candidates`` with the columns ``context`` and ``sentence_breaks``. Each shape may have ``id``s.
    """

    def examples(self, table: pyarrow.Table, task: Task, place: Place) -> list[Match]:
        """Everything to search with and to be found, checked."""
        if _has(table, place, "answers"):
            return _questions(table, task, place)
        return _named(table, place) if place.sides else _pairs(table, place)

    def groups(self, table: pyarrow.Table, place: Place) -> list[str]:
        """The group of each row: its context, else its candidate."""
        name = next((name for name in ("context", "candidate") if _has(table, place, name)), "candidate_id")
        return groups_of([str(value) for value in place.column(table, name)])

    def canonical(self, example: Match) -> list[Any]:
        """What an example is, for its fingerprint."""
        return [example.id, example.uid, example.query, example.candidate, example.context, list(example.keys)]

    def outputs(self, task: Task) -> int:
        """None: the vectors of the texts are compared, no logits are made."""
        return 0

    def encode(self, examples: Sequence[Match], task: Task, tokenizer: Tokenizer) -> Features:
        """One feature a match: the query's tokens, then the candidate's; ``targets`` says how many are the query's.

        A candidate is followed by its context, as a pair. Texts that are too long are cut and counted.
        """
        ids, types, queries, truncated = Ragged(), Ragged(), [], 0
        typed = wants_type_ids(tokenizer)
        for _, batch in batches(examples):
            sides = [
                _coded([(match.query, "") for match in batch], task, tokenizer, typed),
                _coded([(match.candidate, match.context) for match in batch], task, tokenizer, typed),
            ]
            for query, candidate in zip(*sides, strict=True):
                ids.add(query.ids + candidate.ids)
                types.add(query.types + candidate.types)
                queries.append(len(query.ids))
                truncated += query.cut + candidate.cut
        return Features(
            ids=ids.values(),
            offsets=ids.offsets(),
            example=np.arange(len(examples), dtype=np.int32),
            targets=np.array(queries, dtype=np.int32),
            type_ids=types.values() if typed else None,
            truncated=truncated,
        )

    def predict(
        self, features: Features, outputs: Sequence[FloatArray], examples: Sequence[Match], task: Task
    ) -> pyarrow.Table:
        """Per query, in order: ``id``, ``prediction`` and what the metric is made of (see ``ranking``).

        ``outputs`` holds, for each feature, (2, width) the vectors of the query and of the candidate.
        """
        found = ranking.pool(examples, merge=task.metric == "f1")
        vectors = np.stack([np.asarray(pair, dtype=np.float32) for pair in outputs]).reshape(2 * len(features), -1)
        return ranking.RANK[task.metric](found, vectors[found.query_rows], vectors[found.candidate_rows])

    def score(self, predictions: pyarrow.Table) -> dict[str, float]:
        """``accuracy``, ``f1`` or ``map20`` in points, 0 to 100."""
        return ranking.score(predictions)


FORMAT = RetrievalFormat()


def sides(features: Features) -> Features:
    """The texts of matches as features of their own: 2 i the query of match i, 2 i + 1 its candidate.

    A text that a match has not got has no tokens.
    """
    offsets = np.empty(2 * len(features) + 1, dtype=np.int64)
    offsets[0::2] = features.offsets
    offsets[1::2] = features.offsets[:-1] + features.targets
    count = np.arange(2 * len(features), dtype=np.int32)
    return Features(features.ids, offsets, count, np.zeros_like(count), type_ids=features.type_ids)


def _has(table: pyarrow.Table, place: Place, name: str) -> bool:
    return place.data.columns.get(name, name) in table.column_names


def _pairs(table: pyarrow.Table, place: Place) -> list[Match]:
    queries, candidates = place.texts(table, "query"), place.texts(table, "candidate")
    uids, groups = place.uids(table), groups_of(candidates)
    return [
        Match(place.first_id + row, uids[row], groups[row], queries[row], candidates[row], "", (uids[row],))
        for row in range(table.num_rows)
    ]


# Names


def _named(table: pyarrow.Table, place: Place) -> list[Match]:
    if "candidates" not in place.sides:
        raise place.fault("`queries` are declared without `candidates`; declare both, or candidates alone")
    names = _names(table, place, "candidate_id")
    first = place.first_id + table.num_rows
    matches = _asking(table, place, names, first)
    first += place.sides["queries"].num_rows if "queries" in place.sides else 0
    candidates = _side(place, "candidates", first)
    for row, name in enumerate(names):
        if name not in candidates:
            raise place.fault(f"the candidate {name!r:.40} is not among the candidates", row)
    groups = groups_of(list(candidates))
    return matches + [
        Match(first + row, f"{place.prefix}{name}", groups[row], "", text, "", (name,))
        for row, (name, text) in enumerate(candidates.items())
    ]


def _asking(table: pyarrow.Table, place: Place, names: list[str], first: int) -> list[Match]:
    """The queries: the table's own, each asking for one name, or the side's, asking for none, one or more."""
    groups = groups_of(names)
    if "queries" not in place.sides:
        texts, uids = place.texts(table, "query"), place.uids(table)
        return [
            Match(place.first_id + row, uids[row], groups[row], texts[row], "", "", (names[row],))
            for row in range(table.num_rows)
        ]
    queries = _side(place, "queries", first)
    asked: dict[str, list[str]] = {}
    for row, (query, name) in enumerate(zip(_names(table, place, "query_id"), names, strict=True)):
        if query not in queries:
            raise place.fault(f"the query {query!r:.40} is not among the queries", row)
        asked.setdefault(query, []).append(name)
    own = groups_of(list(queries))
    return [
        Match(first + row, f"{place.prefix}{name}", own[row], text, "", "", tuple(asked.get(name, ())))
        for row, (name, text) in enumerate(queries.items())
    ]


def _names(table: pyarrow.Table, place: Place, column: str) -> list[str]:
    names = place.column(table, column)
    for row, name in enumerate(names):
        if name is None or isinstance(name, float | list | dict):
            raise place.fault(f"the {column} {name!r:.40} is neither text nor integer", row)
    return [str(name) for name in names]


def _side(place: Place, name: str, first_id: int) -> dict[str, str]:
    """Id -> text of the data set's ``queries`` or ``candidates``."""
    table, there = place.sides[name], place.side(name, first_id)
    if not _has(table, there, "id"):
        raise there.fault(f"{name} need the columns `id` and `text`; it has {', '.join(table.column_names)}")
    uids = [uid.removeprefix(place.prefix) for uid in there.uids(table)]
    return dict(zip(uids, there.texts(table, "text"), strict=True))


# Questions


def _questions(table: pyarrow.Table, task: Task, place: Place) -> list[Match]:
    """Each question with the sentence that answers it, and the sentences that answer none."""
    rows = span.FORMAT.examples(table, task, place)
    place.settle()
    declared = _declared_breaks(place)
    breaks = {row.context: declared.get(row.context) or sentence_breaks(row.context) for row in rows}
    answering: dict[str, set[int]] = {}
    matches = []
    for row in rows:
        number = holding(breaks[row.context], row.answers[0][0])
        answering.setdefault(row.context, set()).add(number)
        sentence = _cut(row.context, breaks[row.context][number])
        matches.append(Match(row.id, row.uid, row.group, row.question, sentence, row.context, (row.uid,)))
    first = {row.context: row for row in reversed(rows)}
    return matches + [
        Match(first[text].id, f"{first[text].uid}#{start}", first[text].group, "", _cut(text, (start, end)), text, ())
        for text in answering
        for number, (start, end) in enumerate(breaks[text])
        if number not in answering[text]
    ]


def _declared_breaks(place: Place) -> dict[str, list[Break]]:
    """Context -> breaks, from the data set's ``candidates``."""
    if "candidates" not in place.sides:
        return {}
    table, there = place.sides["candidates"], place.side("candidates", 0)
    found: dict[str, list[Break]] = {}
    contexts = there.texts(table, "context")
    for row, (text, value) in enumerate(zip(contexts, there.column(table, "sentence_breaks"), strict=True)):
        try:
            found[text] = [(int(first), int(last)) for first, last in value]
        except (TypeError, ValueError) as error:
            raise there.fault("sentence_breaks must be pairs of whole numbers", row) from error
        if not found[text] or any(not 0 <= first < last <= len(text) for first, last in found[text]):
            raise there.fault("sentence_breaks lie outside the context, or there are none", row)
    return found


def _cut(text: str, ends: Break) -> str:
    return text[ends[0] : ends[1]].strip()


# Tokens


@dataclass(frozen=True, slots=True)
class _Coded:
    ids: list[int]
    types: list[int]
    cut: bool


def _coded(texts: list[tuple[str, str]], task: Task, tokenizer: Tokenizer, typed: bool) -> list[_Coded]:
    """The tokens of each (text, context); none where the text is empty."""
    found = [_Coded([], [], False)] * len(texts)
    for paired in (False, True):
        rows = [row for row, (text, context) in enumerate(texts) if text and bool(context) == paired]
        if not rows:
            continue
        coded = tokenizer(
            [texts[row][0] for row in rows],
            [texts[row][1] for row in rows] if paired else None,
            truncation="longest_first",
            max_length=task.max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=typed,
        )
        for number, row in enumerate(rows):
            types = coded["token_type_ids"][number] if typed else []
            found[row] = _Coded(coded["input_ids"][number], types, bool(coded.encodings[number].overflowing))
    return found
