"""The rows of a stage as features, kept in memory between stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from xsweep.errors import DataError
from xsweep.tasks.examples import load_split, subset
from xsweep.tasks.features import Features, Tokenizer
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.rows import Match
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Part, Task
from xsweep.train.batches import concat
from xsweep.train.cache import Recent

SUBSET_SEED = 0
"""Subsets are the same for every stage's seed, so that seeds of one cell differ in training alone."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """One part of one task, or of several pooled ones."""

    examples: list[Any]
    features: Features
    dropped: dict[str, int]

    @property
    def bytes(self) -> int:
        """Memory, roughly: the texts weigh about what the features do."""
        arrays = (self.features.ids, self.features.chars, self.features.type_ids, self.features.offsets)
        return 2 * sum(array.nbytes for array in arrays if array is not None)


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

    def part(
        self, tasks: Sequence[Task], part: Part, count: int | None, language: str | None = None, listed: bool = True
    ) -> Loaded:
        """At most ``count`` rows over all ``tasks``; raises ``DataError`` when the data is not what was planned.

        Without ``listed``, candidates that stand in a list of their own are left out.
        """
        shapes = tuple((t.format, t.labels, t.max_length, t.stride, self._print(t, part, language)) for t in tasks)
        key = (self.tokenizer_print, part, count, listed, shapes)
        return _PARTS.get(key, lambda: self._load(tasks, part, count, language, listed))

    def _load(self, tasks: Sequence[Task], part: Part, count: int | None, language: str | None, listed: bool) -> Loaded:
        splits = [load_split(task, part, self.sources, language) for task in tasks]
        for task, split in zip(tasks, splits, strict=True):
            planned = self._print(task, part, language)
            if split.fingerprint != planned:
                where = " ".join(filter(None, (task.name, part, language)))
                raise DataError(f"{where}: the data has changed since it was planned; run again")
        pooled = [example for split in splits for example in split.examples if _counts(example, part)]
        chosen = {id(example) for example in subset(pooled, count, SUBSET_SEED)}
        examples: list[Any] = []
        features: list[Features] = []
        for task, split in zip(tasks, splits, strict=True):
            kept = [left for example in split.examples if (left := _left(example, chosen, part, listed))]
            if kept:
                examples += kept
                features.append(FORMATS[task.format].encode(kept, task, self.tokenizer))
        dropped: dict[str, int] = {}
        for split in splits:
            dropped |= {why: dropped.get(why, 0) + n for why, n in split.dropped.items()}
        return Loaded(examples, concat(features), dropped)

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
