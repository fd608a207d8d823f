"""Examples as checked values, and the words in which a bad row is reported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from xsweep.errors import DataError
from xsweep.tasks.task import Data

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts and a label."""

    id: int
    """Row number in the part, before anything was filtered."""
    uid: str
    """The data set's own id, else the row number; equal for parallel rows of other languages."""
    group: str
    """Digest of the premise: rows of one group fall into one fold."""
    first: str
    second: str
    label: int
    """Index into the task's labels."""


@dataclass(frozen=True, slots=True)
class Span:
    """A question, a context and the answers' places in it."""

    id: int
    uid: str
    group: str
    """Digest of the context: rows of one group fall into one fold."""
    question: str
    context: str
    answers: tuple[tuple[int, str], ...]
    """Start (in code points of the context) and text of each answer; the first one is trained on."""


@dataclass(frozen=True, slots=True)
class Text:
    """Running text."""

    id: int
    uid: str
    group: str
    """Digest of the text: copies fall into one fold."""
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """A text to search with, a text that may be found, or both."""

    id: int
    uid: str
    group: str
    """Digest of the candidate or of its context: rows of one group fall into one fold."""
    query: str
    """"" for a candidate that no row asks for."""
    candidate: str
    """"" where the candidate is a row of its own."""
    context: str
    """What the candidate stands in; "" where it stands alone."""
    keys: tuple[str, ...]
    """What the query asks for, or what the candidate answers: a candidate is right when they share a key."""


Example: TypeAlias = Pair | Span | Text | Match


@dataclass(frozen=True)
class Place:
    """One split of one data set as it is read: where ids start, and how a fault in it is named."""

    data: Data
    first_id: int = 0
    prefix: str = ""
    """Put before each uid, so that data sets of one part cannot share one."""
    sides: Mapping[str, pyarrow.Table] = field(default_factory=dict)
    """Tables of the data set's ``queries`` and ``candidates``, where it declares them."""

    def side(self, name: str, first_id: int) -> Place:
        """Where the data set's ``queries`` or ``candidates`` are read."""
        return Place(self.data.sides()[name], first_id, self.prefix)

    def fault(self, what: str, row: int | None = None) -> DataError:
        """An error that names data set, configuration, split and, counted from 0, the row."""
        where = f"{self.data.dataset} {self.data.config} {self.data.split}"
        return DataError(f"{where}: {what}" if row is None else f"{where} row {row}: {what}")

    def column(self, table: pyarrow.Table, name: str) -> list[Any]:
        """The values of the format's column ``name`` under the data set's own name for it."""
        actual = self.data.columns.get(name, name)
        if actual not in table.column_names:
            has = ", ".join(table.column_names)
            hint = "" if name in self.data.columns else f"; `columns: {{{name}: ITS NAME}}` says which one it is"
            raise self.fault(f"no column {actual!r}; it has {has}{hint}")
        values: list[Any] = table.column(actual).to_pylist()
        return values

    def texts(self, table: pyarrow.Table, name: str, skip: Set[int] = frozenset()) -> list[str]:
        """A column of texts, none of them missing or blank but in the rows to ``skip``, which become ""."""
        values = self.column(table, name)
        for row in skip:
            values[row] = ""
        for row, value in enumerate(values):
            if row in skip:
                continue
            if not isinstance(value, str):
                what = "is missing" if value is None else f"is no text but {value!r:.40}"
                raise self.fault(f"{name} {what}; mend the row or leave it out of the data set", row)
            if not value or value.isspace():
                raise self.fault(f"{name} is empty; mend the row or leave it out of the data set", row)
        return values

    def uids(self, table: pyarrow.Table) -> list[str]:
        """The data set's own ids where it has them (column ``id``, or as declared), else row numbers."""
        if "id" not in self.data.columns and "id" not in table.column_names:
            return [f"{self.prefix}{row}" for row in range(table.num_rows)]
        seen: dict[Any, int] = {}
        for row, value in enumerate(self.column(table, "id")):
            if value is None or isinstance(value, float | list | dict):
                raise self.fault(f"the id {value!r:.40} is neither text nor integer", row)
            if seen.setdefault(value, row) != row:
                raise self.fault(f"the id {value!r} stands at row {seen[value]} too; ids must be unique", row)
        return [f"{self.prefix}{value}" for value in seen]


def groups_of(texts: Sequence[str]) -> list[str]:
    """A digest of each text by its letters and digits alone, so that copies with other spacing still meet."""
    known: dict[str, str] = {}
    for text in texts:
        if text not in known:
            bare = "".join(char for char in text.casefold() if char.isalnum()) or text
            known[text] = hashlib.sha256(bare.encode()).hexdigest()
    return [known[text] for text in texts]


def fold_of(group: str) -> int:
    """The fold, 0 to 9, of a group."""
    return int(group, 16) % 10
