"""Every split of a sweep, looked at closely: what was read, used, dropped, and what it is made of. Never Ray."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xsweep.errors import DataError
from xsweep.plan.prints import Reading, readings
from xsweep.spec.sweep import Sweep
from xsweep.tasks.catalog.show import aligned
from xsweep.tasks.examples import Split, load_split
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.rows import Span
from xsweep.tasks.source import Sources


@dataclass(frozen=True)
class Looked:
    """One split as it was found."""

    name: str
    language: str
    read: int
    """Rows of the data sets."""
    used: int
    dropped: dict[str, int]
    """Rows left out, by reason; empty texts among them as ``blank``."""
    duplicates: int
    """Used rows that say the same as an earlier one."""
    content: str
    """Labels with their counts, or the share of questions that have an answer."""
    fingerprint: str


@dataclass(frozen=True)
class Audit:
    """All splits that could be used, in file order, and every fault of the others."""

    splits: tuple[Looked, ...]
    faults: tuple[str, ...]


def audit(sweep: Sweep, sources: Sources, note: Callable[[str], None] = lambda _: None) -> Audit:
    """Load and check every split, whatever is remembered of it; raises ``EnvironmentProblem`` alone."""
    splits: list[Looked] = []
    faults: list[str] = []
    for reading in readings(sweep):
        note(f"checking {reading.name}")
        try:
            split = load_split(reading.task, reading.part, sources, reading.language)
        except DataError as fault:
            faults += str(fault).splitlines()
            continue
        splits.append(_looked(reading, split))
        labels = _labels(reading, split.examples)
        if reading.part == "train" and len(labels) == 1:
            faults.append(f"{reading.name}: all {len(split.examples)} rows have the label {next(iter(labels))!r}")
    return Audit(tuple(splits), tuple(dict.fromkeys(faults)))


def audit_text(found: Audit) -> str:
    """The splits as a table."""
    rows = [["split", "language", "read", "used", "duplicates", "dropped", "content", "fingerprint"]]
    for split in found.splits:
        numbers = (f"{number:,}" for number in (split.read, split.used, split.duplicates))
        dropped = ", ".join(f"{why} {count:,}" for why, count in split.dropped.items()) or "-"
        rows.append([split.name, split.language, *numbers, dropped, split.content, split.fingerprint[:16]])
    return aligned(rows)


def _looked(reading: Reading, split: Split) -> Looked:
    used = len(split.examples)
    return Looked(
        name=reading.name,
        language=reading.language or "en",
        read=used + sum(split.dropped.values()),
        used=used,
        dropped=split.dropped,
        duplicates=used - len(set(_sayings(reading, split.examples))),
        content=_content(reading, split.examples),
        fingerprint=split.fingerprint,
    )


def _sayings(reading: Reading, examples: Sequence[Any]) -> Iterator[str]:
    """What each example says: its canonical form without its number and its id, which come first."""
    canonical = FORMATS[reading.task.format].canonical
    return (json.dumps(canonical(example)[2:], ensure_ascii=False) for example in examples)


def _content(reading: Reading, examples: Sequence[Any]) -> str:
    if labels := _labels(reading, examples):
        return ", ".join(f"{label} {count:,}" for label, count in labels.items())
    if isinstance(examples[0], Span):
        answered = [len(example.answers) for example in examples if example.answers]
        mean = sum(answered) / max(1, len(answered))
        return f"{100 * len(answered) / len(examples):.1f} % with an answer, {mean:.1f} each"
    return "-"


def _labels(reading: Reading, examples: Sequence[Any]) -> dict[str, int]:
    """How often each label of the task occurs; empty where examples have none."""
    names = reading.task.labels
    if not names or not hasattr(examples[0], "label"):
        return {}
    counts = Counter(example.label for example in examples)
    return {name: counts[index] for index, name in enumerate(names) if counts[index]}
