"""Translated copies: the same examples in another language, or no comparison of the two says anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from xsweep.errors import DataError
from xsweep.tasks.rows import Place
from xsweep.tasks.task import Data, Task

TRANSLATED: Mapping[str, Callable[[Any, Task], str]] = {
    "pair": lambda example, task: f"the label {task.labels[example.label]}",
    "choice": lambda example, _: f"choice {example.label + 1} of {len(example.choices)} as the right one",
    "span": lambda example, _: "an answer" if example.answers else "no answer",
}
"""Format -> what of an example a translation keeps; the words and places of others change with the language."""


def originals(data: Data) -> Iterator[Data]:
    """The rows themselves and, of a translated copy, those that it was made from."""
    while data.translation_of is not None:
        yield data
        data = data.translation_of
    yield data


def check_aligned(
    copies: Sequence[Any], originals: Sequence[Any], place: Place, there: Place, task: Task, by_id: bool
) -> None:
    """Every example of ``place`` stands beside its original of ``there``, with an equal label.

    They meet by their ids where both data sets have any (``by_id``), else by row number. Raises ``DataError`` naming
    the first row that differs, and how many examples there are of each.
    """
    kept = TRANSLATED[task.format]
    for copy, known in zip_longest(copies, originals):
        if copy is None or known is None:
            what = "has no original" if known is None else "has no translation"
        elif by_id and copy.uid != known.uid:
            what = f"has the id {copy.uid!r:.40}, the original at its place {known.uid!r:.40}"
        elif not by_id and copy.id != known.id:
            what = f"is labelled, but the next labelled row of the original is {known.id - there.first_id}"
        elif kept(copy, task) != kept(known, task):
            what = f"has {kept(copy, task)}, its original {kept(known, task)}"
        else:
            continue
        raise _differs(copy, known, what, (len(copies), len(originals)), place, there)


def _differs(copy: Any, known: Any, what: str, counts: tuple[int, int], place: Place, there: Place) -> DataError:
    where, row = (there, known.id - there.first_id) if copy is None else (place, copy.id - place.first_id)
    data = there.data
    here = f"{counts[0]} labelled rows here, {counts[1]} in {data.dataset} {data.config} {data.split}"
    return where.fault(f"{what}; a translated copy has the same rows in the same order ({here})", row)
