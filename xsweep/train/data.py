"""The rows of a stage as features, kept in memory between stages and on disk between runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from xsweep.errors import DataError
from xsweep.store.keys import content_key
from xsweep.tasks.examples import cached_fingerprint, load_split, subset
from xsweep.tasks.features import Features, Tokenizer
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.rows import Match
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Part, Task
from xsweep.train.batches import concat
from xsweep.train.cache import Recent
from xsweep.train.tokenised import Entry, Tokenised

SUBSET_SEED = 0
"""Subsets are the same for every stage's seed, so that seeds of one cell differ in training alone."""

SHUFFLE_SEED = 0
"""So are shuffled labels."""


Chosen: TypeAlias = list[tuple[Task, list[Any], dict[str, int]]]
"""Of each task, the examples chosen, and the rows dropped before, by reason."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """One part of one task, or of several pooled ones."""

    features: Features
    count: int
    """Examples behind the features."""
    dropped: dict[str, int]
    read: Callable[[], list[Any]]

    @cached_property
    def examples(self) -> list[Any]:
        """The examples in order; those of train rows are read when they are first asked for."""
        return self.read()

    @property
    def bytes(self) -> int:
        """Memory, roughly: the texts weigh about what the features do."""
        return 2 * sum(value.nbytes for value in vars(self.features).values() if isinstance(value, np.ndarray))


@dataclass(frozen=True)
class Reader:
    """Reads parts with one tokenizer; ``prints`` are the fingerprints that the stage's key was made from."""

    sources: Sources
    tokenizer: Tokenizer
    tokenizer_print: str
    prints: Mapping[str, str]

    def languages(self, task: Task, count: int | None, languages: Sequence[str]) -> dict[str, Loaded]:
        """At most ``count`` test rows of each language; a list of candidates for all comes with the first alone."""
        listed = [not (task.one_list and number) for number in range(len(languages))]
        return {
            language: self.part((task,), "test", count, language, both)
            for language, both in zip(languages, listed, strict=True)
        }

    def parts(self, tasks: Sequence[Task], part: Part, count: int | None) -> list[Loaded]:
        """Each task's own rows of at most ``count`` over all ``tasks``; raises ``DataError`` as ``part`` does."""
        if count is None:
            return [self.part((task,), part, None) for task in tasks]
        return [self.part(tasks, part, count, only=task.name) for task in tasks]

    def part(
        self,
        tasks: Sequence[Task],
        part: Part,
        count: int | None,
        language: str | None = None,
        listed: bool = True,
        only: str = "",
    ) -> Loaded:
        """At most ``count`` rows over all ``tasks``; raises ``DataError`` when the data is not what was planned.

        Without ``listed``, candidates that stand in a list of their own are left out. With ``only``, the rows are
        chosen over all tasks, but only those of the one of that name are given.
        """
        shapes = [[t.format, t.labels, t.max_length, t.stride, self._print(t, part, language)] for t in tasks]
        key: dict[str, Any] = {"tokenizer": self.tokenizer_print, "shapes": shapes, "count": count, "seed": SUBSET_SEED}
        if any(task.format == "retrieval" for task in tasks):
            # Which texts are asked for and which are only searched differs from part to part.
            key |= {"listed": listed, "part": part}
        if only:
            key |= {"only": [task.name == only for task in tasks]}
        # The language and the scoring are no matter of the features, but of the examples beside them.
        held = (content_key(key), part, language, *(task.scoring for task in tasks))

        def choose() -> Chosen:
            found = zip(tasks, self._chosen(tasks, part, count, language, listed), strict=True)
            return [(task, *own) for task, own in found if only in ("", task.name)]

        return _PARTS.get(held, lambda: self._load(tasks, part, language, key, choose))

    def _load(
        self, tasks: Sequence[Task], part: Part, language: str | None, key: Any, choose: Callable[[], Chosen]
    ) -> Loaded:
        disk = Tokenised(self.sources.cache / "features")

        def read() -> list[Any]:
            return [example for _, group, _ in choose() for example in group]

        # Training looks at no example, so that what is tokenised already need not be read again.
        if part == "train" and self._unchanged(tasks, part, language) and (found := disk.find(key)):
            return Loaded(found.features, found.examples, found.dropped, read)
        chosen = choose()
        examples = [example for _, group, _ in chosen for example in group]
        if not examples:
            raise DataError(f"{chosen[0][0].name}: the arm's `examples` are so few that none is of this task")
        dropped: Counter[str] = Counter()
        for _, _, lost in chosen:
            dropped.update(lost)

        def make() -> Entry:
            parts = [FORMATS[task.format].encode(group, task, self.tokenizer) for task, group, _ in chosen if group]
            return Entry(concat(parts), len(examples), dict(dropped))

        entry = disk.get(key, make)
        return Loaded(entry.features, len(examples), dict(dropped), lambda: examples)

    def _chosen(
        self, tasks: Sequence[Task], part: Part, count: int | None, language: str | None, listed: bool
    ) -> list[tuple[list[Any], dict[str, int]]]:
        """Of each task, the examples chosen over all tasks, and the rows dropped before."""
        splits = [load_split(task, part, self.sources, language) for task in tasks]
        for task, split in zip(tasks, splits, strict=True):
            if split.fingerprint != self._print(task, part, language):
                where = " ".join(filter(None, (task.name, part, language)))
                raise DataError(f"{where}: the data has changed since it was planned; run again")
        pooled = [example for split in splits for example in split.examples if _counts(example, part)]
        chosen = {id(example) for example in subset(pooled, count, SUBSET_SEED)}
        left = [[kept for example in s.examples if (kept := _left(example, chosen, part, listed))] for s in splits]
        return [(kept, split.dropped) for kept, split in zip(left, splits, strict=True)]

    def _unchanged(self, tasks: Sequence[Task], part: Part, language: str | None) -> bool:
        prints = ((task, self._print(task, part, language)) for task in tasks)
        return all(cached_fingerprint(task, part, self.sources, language) == known for task, known in prints)

    def _print(self, task: Task, part: Part, language: str | None) -> str:
        return self.prints["/".join(filter(None, (part, task.name, language)))]


def _counts(example: Any, part: Part) -> bool:
    """Whether an example is one of those counted: in retrieval the matches trained on, or the queries scored."""
    if not isinstance(example, Match):
        return True
    return bool(example.query and (example.candidate or part != "train"))


def _left(example: Any, chosen: Set[int], part: Part, listed: bool) -> Any:
    """What a subset leaves of an example: all or nothing, and the candidate of a match whose query is not scored.

    So a subset asks fewer queries, but searches the same candidates.
    """
    if id(example) in chosen:
        return example
    if part != "train" and isinstance(example, Match) and example.candidate and (listed or example.context):
        return replace(example, query="")
    return None


_PARTS: Recent[Loaded] = Recent(1 << 30, lambda loaded: loaded.bytes)
