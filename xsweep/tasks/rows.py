"""Examples as checked values, and the words in which a bad row is reported."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from xsweep.errors import DataError
from xsweep.tasks.task import Data

if TYPE_CHECKING:
    import pyarrow

FAULTS_SHOWN = 10
"""Wrong rows of one split that are named one by one; the rest is counted."""


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
    """Start (in code points of the context) and text of each answer; the first one is trained on. May be empty."""
    language: str = "en"
    """Language of the answers, which some evaluations have rules for."""


@dataclass(frozen=True, slots=True)
class Text:
    """Running text."""

    id: int
    uid: str
    group: str
    """Digest of the text: copies fall into one fold."""
    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A context, a question about it if there is one, and choices of which one is right."""

    id: int
    uid: str
    group: str
    """Digest of the context: rows of one group fall into one fold."""
    context: str
    question: str
    """Empty where the choices go on from the context itself."""
    choices: tuple[str, ...]
    label: int
    """Position of the right choice."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A sentence of words, each with a label."""

    id: int
    uid: str
    group: str
    """Digest of the words: copies fall into one fold."""
    words: tuple[str, ...]
    labels: tuple[int, ...]
    """Index into the task's labels, for each word."""


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


Example: TypeAlias = Pair | Span | Text | Choice | Tagged | Match


@dataclass(frozen=True)
class Place:
    """One split of one data set as it is read: where ids start, and how faults in it are named."""

    data: Data
    first_id: int = 0
    prefix: str = ""
    """Put before each uid, so that data sets of one part cannot share one."""
    language: str = "en"
    sides: dict[str, pyarrow.Table] = field(default_factory=dict, compare=False)
    """Tables of the data set's ``queries`` and ``candidates``, where it declares them."""
    noted: list[tuple[int, str]] = field(default_factory=list, compare=False)
    """(row, what is wrong with it), until ``settle``."""
    blank: set[int] = field(default_factory=set, compare=False)
    """Rows to leave out because a text of theirs is empty."""
    beside: list[Place] = field(default_factory=list, compare=False)
    """Where ``sides`` were read."""

    def side(self, name: str, first_id: int) -> Place:
        """Where the data set's ``queries`` or ``candidates`` are read."""
        place = Place(self.data.sides()[name], first_id, self.prefix)
        self.beside.append(place)
        return place

    def fault(self, what: str, row: int | None = None) -> DataError:
        """An error that names data set, configuration, split and, counted from 0, the row."""
        where = f"{self.data.dataset} {self.data.config} {self.data.split}"
        return DataError(f"{where}: {what}" if row is None else f"{where} row {row}: {what}")

    def note(self, what: str, row: int) -> None:
        """Remember that a row is wrong and read on, so that one reading finds them all."""
        self.noted.append((row, what))

    def settle(self) -> None:
        """Raise ``DataError`` for the rows noted, a line each up to ``FAULTS_SHOWN``, and forget them."""
        for place in self.beside:
            place.settle()
        wrong = sorted(self.noted)
        self.noted.clear()
        lines = [str(self.fault(what, row)) for row, what in wrong[:FAULTS_SHOWN]]
        if len(wrong) > FAULTS_SHOWN:
            lines.append(str(self.fault(f"and {len(wrong) - FAULTS_SHOWN} more faults of this kind or others")))
        if lines:
            raise DataError("\n".join(lines))

    def column(self, table: pyarrow.Table, name: str) -> list[Any]:
        """The values of the format's column ``name`` under the data set's own name for it; lists of several."""
        actual = self.data.columns.get(name, name)
        if isinstance(actual, str):
            return self._values(table, name, actual)
        return [list(row) for row in zip(*(self._values(table, name, one) for one in actual), strict=True)]

    def has(self, table: pyarrow.Table, name: str) -> bool:
        """Whether there is a column ``name``: declared, or of that name and not declared to be another."""
        if name in self.data.columns:
            return True
        return name in table.column_names and name not in self.data.columns.values()

    def _values(self, table: pyarrow.Table, name: str, actual: str) -> list[Any]:
        """One column of the data set, or one field of a struct, which stands for the format's ``name``."""
        outer, _, inner = actual.partition(".")
        if actual in table.column_names:
            return self._read(table, actual)
        if inner and outer in table.column_names:
            return [value.get(inner) if isinstance(value, dict) else None for value in self._read(table, outer)]
        has = ", ".join(table.column_names)
        hint = "" if name in self.data.columns else f"; `columns: {{{name}: ITS NAME}}` says which one it is"
        raise self.fault(f"no column {actual!r}; it has {has}{hint}")

    def _read(self, table: pyarrow.Table, column: str) -> list[Any]:
        """The values of a column; text that is not UTF-8 is noted."""
        found: list[Any] = []
        try:
            found = table.column(column).to_pylist()
        except UnicodeDecodeError:
            for row, cell in enumerate(table.column(column)):
                try:
                    found.append(cell.as_py())
                except UnicodeDecodeError as error:
                    found.append("?")
                    self.note(f"{column} is not UTF-8 ({error.reason} at byte {error.start})", row)
        return found

    def texts(self, table: pyarrow.Table, name: str, skip: Set[int] = frozenset()) -> list[str]:
        """A column of texts; one that is missing or empty is noted and becomes "", as all rows to ``skip`` do."""
        values = self.column(table, name)
        for row, value in enumerate(values):
            if row in skip:
                values[row] = ""
            elif not isinstance(value, str) or not value or value.isspace():
                values[row] = ""
                self._empty(name, value, row)
        return values

    def _empty(self, name: str, value: Any, row: int) -> None:
        if value is None or isinstance(value, str):
            if self.data.blank == "drop":
                self.blank.add(row)
                return
            what = "is missing" if value is None else "is empty"
            self.note(f"{name} {what}; mend the row, or leave such rows out with `blank: drop`", row)
        else:
            self.note(f"{name} is no text but {value!r:.40}", row)

    def uids(self, table: pyarrow.Table) -> list[str]:
        """The data set's own ids where it has them (column ``id``, or as declared), else row numbers."""
        if "id" not in self.data.columns and "id" not in table.column_names:
            return [f"{self.prefix}{row}" for row in range(table.num_rows)]
        seen: dict[Any, int] = {}
        values = self.column(table, "id")
        for row, value in enumerate(values):
            if value is None or isinstance(value, float | list | dict):
                self.note(f"the id {value!r:.40} is neither text nor integer", row)
            elif seen.setdefault(value, row) != row:
                self.note(f"the id {value!r} stands at row {seen[value]} too; ids must be unique", row)
        return [f"{self.prefix}{value}" for value in values]

    def wanted(self, table: pyarrow.Table) -> list[bool]:
        """Which rows the declaration's ``where`` keeps."""
        kept = [True] * table.num_rows
        for name, start in self.data.where.items():
            if name not in table.column_names:
                raise self.fault(f"`where` names no column {name!r}; it has {', '.join(table.column_names)}")
            for row, value in enumerate(self._read(table, name)):
                kept[row] = kept[row] and str(value).startswith(start)
        return kept


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
