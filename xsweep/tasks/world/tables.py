"""The data sets of the artificial world, as tables in the schemas of the real ones.

``world/nli`` and ``world/qa`` are the intermediate tasks, ``world/nli-small`` and ``world/qa-small`` the small targets,
``world/tags`` tagging, ``world/text`` raw text. The configuration is a language; row i means the same in each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from xsweep.errors import DataError
from xsweep.tasks.world import frames, grammar
from xsweep.tasks.world.languages import LANGUAGES

if TYPE_CHECKING:
    import pyarrow as pa

Meaning = frames.Inference | frames.Inquiry | grammar.Clause
Row = Mapping[str, object]


@dataclass(frozen=True)
class _Dataset:
    """How one data set comes about: its meanings, their words, its columns, and rows per split."""

    meanings: Callable[[str, str, int], Sequence[Meaning]]
    """Address, pool, rows -> meanings."""
    row: Callable[[Any, str], Row]
    """A meaning and a language -> the row, without its id."""
    features: Mapping[str, object]
    """Columns in the notation of ``datasets``."""
    rows: Mapping[str, int]
    small: bool = False
    ids: bool = False


def _pair_row(meaning: frames.Inference, language: str) -> Row:
    first, second = (grammar.text(grammar.statement(language, part)) for part in (meaning.premise, meaning.hypothesis))
    return {"premise": first, "hypothesis": second, "label": frames.LABELS.index(meaning.label)}


def _span_row(meaning: frames.Inquiry, language: str) -> Row:
    context, clause = grammar.statement(language, meaning.context), meaning.context
    asked = grammar.question(language, clause.subject, clause.verb, meaning.category)
    answer, start = grammar.span(context, meaning.answer)
    answers = {"text": [answer], "answer_start": [start]}
    return {"context": grammar.text(context), "question": grammar.text(asked), "answers": answers}


def _tags_row(meaning: grammar.Clause, language: str) -> Row:
    tokens = grammar.statement(language, meaning)
    return {"tokens": [token.form for token in tokens], "tags": [grammar.TAGS.index(token.tag) for token in tokens]}


def _text_row(meaning: grammar.Clause, language: str) -> Row:
    return {"text": grammar.text(grammar.statement(language, meaning)), "lang": language}


def _value(kind: str) -> dict[str, str]:
    return {"dtype": kind, "_type": "Value"}


def _names(names: Sequence[str]) -> dict[str, object]:
    return {"names": list(names), "_type": "ClassLabel"}


def _list(feature: object) -> dict[str, object]:
    return {"feature": feature, "_type": "List"}


_STRING = _value("string")
_PAIR = {"premise": _STRING, "hypothesis": _STRING, "label": _names(frames.LABELS)}
_SPAN = {
    "id": _STRING,
    "context": _STRING,
    "question": _STRING,
    "answers": {"text": _list(_STRING), "answer_start": _list(_value("int32"))},
}
_TAGGED = {"id": _STRING, "tokens": _list(_STRING), "tags": _list(_names(grammar.TAGS))}
_LARGE = {"train": 1500, "validation": 200, "test": 300}
_SMALL = {"train": 120, "validation": 200, "test": 300}
_TEXT = {"train": 2000, "validation": 200, "test": 200}

_DATASETS: Mapping[str, _Dataset] = MappingProxyType(
    {
        "world/nli": _Dataset(frames.inferences, _pair_row, _PAIR, _LARGE),
        "world/nli-small": _Dataset(frames.inferences, _pair_row, _PAIR, _SMALL, small=True),
        "world/qa": _Dataset(frames.inquiries, _span_row, _SPAN, _LARGE, ids=True),
        "world/qa-small": _Dataset(frames.inquiries, _span_row, _SPAN, _SMALL, small=True, ids=True),
        "world/tags": _Dataset(frames.statements, _tags_row, _TAGGED, _LARGE, ids=True),
        "world/text": _Dataset(frames.statements, _text_row, {"text": _STRING, "lang": _STRING}, _TEXT),
    }
)

DATASETS = tuple(_DATASETS)
SPLITS = ("train", "validation", "test")


def is_world(dataset: str) -> bool:
    """Whether a data set's or a model's id is of the artificial world, which no hub and no mirror has."""
    return dataset.startswith("world/")


@cache
def world_state() -> str:
    """A digest of the code that makes the world: its rows are the same while that is."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _declared(dataset: str, split: str) -> _Dataset:
    if dataset not in _DATASETS:
        raise DataError(f"{dataset}: no such data set in the artificial world; there are {', '.join(DATASETS)}")
    if split not in SPLITS:
        raise DataError(f"{dataset}: no split {split!r}; there are {', '.join(SPLITS)}")
    return _DATASETS[dataset]


@cache
def meanings(dataset: str, split: str) -> tuple[Meaning, ...]:
    """Return what the rows of a split mean, the same for every language; raises DataError for an unknown name."""
    declared = _declared(dataset, split)
    pool = f"small-{split}" if declared.small and split != "test" else split
    return tuple(declared.meanings(f"{dataset}/{split}", pool, declared.rows[split]))


def world_table(dataset: str, config: str, split: str) -> pa.Table:
    """Return one split of a data set of the world in the language ``config``, always the same rows.

    Row i has the same meaning, and where the schema has ids the same id, in every language. Names of class labels are
    in the schema's metadata, as ``datasets`` writes them. Raises DataError for an unknown data set, language or split.
    """
    import pyarrow as pa

    declared = _declared(dataset, split)
    if config not in LANGUAGES:
        raise DataError(f"{dataset}: no configuration {config!r}; there are {', '.join(LANGUAGES)}")
    rows = [dict(declared.row(meaning, config)) for meaning in meanings(dataset, split)]
    if declared.ids:
        rows = [{"id": f"{split}-{place:04d}", **row} for place, row in enumerate(rows)]
    info = json.dumps({"info": {"features": declared.features}})
    fields = [pa.field(name, _arrow(feature)) for name, feature in declared.features.items()]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields, metadata={b"huggingface": info.encode()}))


def _arrow(feature: Any) -> pa.DataType:
    """Return the Arrow type of a column declared in the notation of ``datasets``."""
    import pyarrow as pa

    kind = feature.get("_type")
    if kind == "List":
        return pa.list_(_arrow(feature["feature"]))
    if kind == "ClassLabel":
        return pa.int64()
    if kind == "Value":
        return {"string": pa.string(), "int32": pa.int32()}[feature["dtype"]]
    return pa.struct([pa.field(name, _arrow(part)) for name, part in feature.items()])
