"""Tagged sentences from a text file: a word, a tab and its tag a line, a blank line between sentences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xsweep.errors import DataError

if TYPE_CHECKING:
    import pyarrow


def read_conll(path: Path) -> pyarrow.Table:
    """The columns ``tokens`` and ``tags``, lists of texts, a row a sentence.

    Raises ``DataError`` naming file and line for a line of another form, and for a file that is not UTF-8.
    """
    import pyarrow

    sentences: list[tuple[list[str], list[str]]] = [([], [])]
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 (byte {error.start})") from error
    for number, line in enumerate(lines, 1):
        fields = line.rstrip("\r").split("\t")
        if fields == [""]:
            if sentences[-1][0]:
                sentences.append(([], []))
        elif len(fields) != 2 or not all(field.strip() for field in fields):
            raise DataError(f"{path}:{number}: must be a word, a tab and its tag; not {line!r:.60}")
        else:
            for column, field in zip(sentences[-1], fields, strict=True):
                column.append(field)
    whole = [sentence for sentence in sentences if sentence[0]]
    words = pyarrow.list_(pyarrow.string())
    return pyarrow.table(
        {
            "tokens": pyarrow.array([tokens for tokens, _ in whole], words),
            "tags": pyarrow.array([tags for _, tags in whole], words),
        }
    )
