"""The examples of one part of a task: loaded, checked, filtered and fingerprinted."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from xsweep.errors import DataError
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.rows import Example, Match, Pair, Place, Span, fold_of
from xsweep.tasks.source import Sources, concrete
from xsweep.tasks.task import Data, Part, Task
from xsweep.tasks.translated import check_aligned

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "Example",
    "Match",
    "Pair",
    "Span",
    "Split",
    "cached_fingerprint",
    "data_of",
    "fingerprint",
    "load_split",
    "part_data",
    "subset",
]

E = TypeVar("E", bound=Example)

ROWS_VERSION = 1
"""Raised when a change here changes which examples a declaration yields: remembered fingerprints are void then."""


@dataclass(frozen=True, eq=False)
class Split:
    """The examples of one part, in order."""

    examples: list[Any]
    """``Pair``, ``Span``, ... values, by the task's format; ids ascend."""
    fingerprint: str
    dropped: dict[str, int]
    """Rows left out, by reason: ``unlabelled``, ``blank``, ``where``, ``folds``, ``without``, if any."""


def part_data(task: Task, part: Part, language: str | None = None) -> tuple[Data, ...]:
    """The data sets of a part, with the language filled in as each data set calls it."""
    if part == "test":
        if task.test is None:
            raise DataError(f"task {task.name} has no test rows: it can serve as an intermediate task only")
        declared: tuple[Data, ...] = (task.elsewhere.get(language or "", task.test),)
    else:
        declared = task.train if part == "train" else task.selection
    name = None if language is None else task.language_names.get(language, language)
    return tuple(_filled(data, name) for data in declared)


def data_of(task: Task, part: Part, language: str | None = None) -> Iterator[Data]:
    """Every split that a part reads: its data sets, and the other rows that they name."""
    left = list(part_data(task, part, language))
    while left:
        data = left.pop(0)
        yield data
        left += _inner(data).values()


def load_split(task: Task, part: Part, sources: Sources, language: str | None = None) -> Split:
    """All rows of a part, checked; ``language`` says which test rows.

    Raises ``DataError`` naming data set, configuration, split and row for all that is not as declared,
    and when no row is left; ``EnvironmentProblem`` when a source cannot be reached.
    """
    declared = part_data(task, part, language)
    examples: list[Any] = []
    dropped: Counter[str] = Counter()
    faults: list[str] = []
    first_id = 0
    for index, data in enumerate(declared):
        place = Place(data, first_id, f"{index}/" if len(declared) > 1 else "", language or "en")
        try:
            rows, kept = _read(place, task, sources, dropped)
        except DataError as fault:
            faults.append(str(fault))
            continue
        examples += kept
        first_id += rows
    if faults:
        raise DataError("\n".join(faults))
    digest = _digest(examples, task)
    sources.remember("fingerprints", _address(task, declared, sources), lambda: digest)
    return Split(examples, digest, {name: n for name, n in sorted(dropped.items()) if n})


def _read(place: Place, task: Task, sources: Sources, dropped: Counter[str]) -> tuple[int, list[Any]]:
    """Rows of one data set and the examples kept of them; what is left out is counted in ``dropped``."""
    table = sources.table(place.data)
    place.sides.update({name: sources.table(side) for name, side in place.data.sides().items()})
    found = FORMATS[task.format].examples(table, task, place)
    place.settle()
    # In retrieval every row is labelled, and a row may hold more than one text that can be found.
    lost = Counter(unlabelled=0 if task.format == "retrieval" else table.num_rows - len(found))
    if place.data.translation_of is None:
        kept = _filtered(found, table, task, place, sources, lost)
    else:
        kept = _translated(found, table, task, place, sources, lost)
    if not kept:
        why = ", ".join(f"{name} {n}" for name, n in lost.items() if n) or "the split is empty"
        raise place.fault(f"no rows are left of {table.num_rows} ({why})")
    dropped.update(lost)
    return table.num_rows + sum(side.num_rows for side in place.sides.values()), kept


def fingerprint(task: Task, part: Part, sources: Sources, language: str | None = None) -> str:
    """A digest of the canonical examples, the same from hub and mirror; loads only what is not remembered."""
    return cached_fingerprint(task, part, sources, language) or load_split(task, part, sources, language).fingerprint


def cached_fingerprint(task: Task, part: Part, sources: Sources, language: str | None = None) -> str | None:
    """The remembered fingerprint while declaration and source stay as they were, else None; reads no rows.

    Files are looked at by size and time. Hub data sets without a pinned commit cost one request each.
    """
    return sources.recall("fingerprints", _address(task, part_data(task, part, language), sources))


def subset(examples: Sequence[E], n: int | None, seed: int) -> list[E]:
    """At most ``n`` examples in their own order, chosen by a hash of ``seed`` and uid.

    Nested (10 lie inside 100) and parallel: equal uids are chosen in every language.
    """
    if n is None or n >= len(examples):
        return list(examples)

    def rank(position: int) -> bytes:
        return hashlib.sha256(f"{seed}:{examples[position].uid}".encode()).digest()

    return [examples[position] for position in sorted(heapq.nsmallest(n, range(len(examples)), key=rank))]


def _filled(data: Data, language: str | None) -> Data:
    data = concrete(data, language)
    return data.model_copy(update={name: _filled(other, language) for name, other in _inner(data).items()})


def _inner(data: Data) -> dict[str, Data]:
    """The other rows that a declaration names."""
    others = {"without": data.without, "translation_of": data.translation_of}
    return data.sides() | {name: other for name, other in others.items() if other is not None}


def _filtered(
    found: list[Any], table: pyarrow.Table, task: Task, place: Place, sources: Sources, lost: Counter[str]
) -> list[Any]:
    """The examples inside ``where`` and ``folds`` and outside ``without``; the others are counted in ``lost``."""
    data, kept = place.data, found
    if place.blank:
        kept = [example for example in kept if example.id - place.first_id not in place.blank]
        lost["blank"] = len(found) - len(kept)
    if data.where:
        wanted = place.wanted(table)
        before, kept = len(kept), [example for example in kept if wanted[example.id - place.first_id]]
        lost["where"] = before - len(kept)
    if data.folds:
        before, kept = len(kept), [example for example in kept if fold_of(example.group) in data.folds]
        lost["folds"] = before - len(kept)
    if data.without is not None:
        barred = _groups(task, data.without, sources)
        before, kept = len(kept), [example for example in kept if example.group not in barred]
        lost["without"] = before - len(kept)
    return kept


def _translated(
    found: list[Any], table: pyarrow.Table, task: Task, place: Place, sources: Sources, lost: Counter[str]
) -> list[Any]:
    """The examples whose originals are kept, under the originals' uids, so that subsets of both are the same."""
    assert place.data.translation_of is not None
    there = Place(place.data.translation_of, place.first_id, place.prefix)
    theirs = sources.table(there.data)
    originals = FORMATS[task.format].examples(theirs, task, there)
    there.settle()
    by_id = place.has(table, "id") and there.has(theirs, "id")
    check_aligned(found, originals, place, there, task, by_id)
    kept = {example.id for example in _filtered(originals, theirs, task, there, sources, lost)}
    pairs = zip(found, originals, strict=True)
    return [replace(copy, uid=known.uid) for copy, known in pairs if known.id in kept]


def _groups(task: Task, data: Data, sources: Sources) -> set[str]:
    """The groups of the rows that ``data`` declares."""
    place, table = Place(data), sources.table(data)
    rows = zip(FORMATS[task.format].groups(table, place), place.wanted(table), strict=True)
    groups = {group for group, wanted in rows if wanted}
    place.settle()
    if data.folds:
        groups = {group for group in groups if fold_of(group) in data.folds}
    return groups if data.without is None else groups - _groups(task, data.without, sources)


def _digest(examples: list[Any], task: Task) -> str:
    """SHA-256, first 32 hex digits, of the examples as JSON lines under a line with format and labels."""
    canonical = FORMATS[task.format].canonical
    hasher = hashlib.sha256(json.dumps([task.format, task.labels]).encode())
    for example in examples:
        hasher.update(b"\n" + json.dumps(canonical(example), ensure_ascii=False).encode())
    return hasher.hexdigest()[:32]


def _address(task: Task, declared: Sequence[Data], sources: Sources) -> dict[str, Any]:
    """What a fingerprint depends on, known without reading rows."""
    return {
        "version": ROWS_VERSION,
        "format": task.format,
        "labels": task.labels,
        "scoring": task.scoring,
        "data": [data.model_dump(mode="json") for data in declared],
        "state": [state for data in declared for state in _states(data, sources)],
    }


def _states(data: Data, sources: Sources) -> list[dict[str, Any]]:
    return [sources.state(data), *(state for other in _inner(data).values() for state in _states(other, sources))]
