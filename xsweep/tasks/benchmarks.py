"""XTREME and XTREME-R: their tasks, in which group and which languages each counts, and by which metrics.

As in ``evaluate.py`` and the data of google-research/xtreme. There XCOPA stands in two of XTREME-R's groups, and
LAReQA has no languages: here XCOPA is classification, and LAReQA's languages are those of its data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import part_data
from xsweep.tasks.task import Task

Group = Literal["classification", "structured prediction", "question answering", "retrieval"]


@dataclass(frozen=True)
class Entry:
    """One task of a benchmark."""

    task: str
    """Its name in the catalogue."""
    group: Group
    languages: tuple[str, ...]
    """English among them where the benchmark has it."""
    metrics: tuple[str, ...]
    """The task's score is their mean."""
    official: tuple[str, ...] = ()
    """The metrics of the benchmark's own procedure, where what counts here is another."""
    unofficial: str = ""
    """Why a score from the catalogue's rows is not the benchmark's own, if it is not."""

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """The metrics that the benchmark itself counts."""
        return self.official or self.metrics


_UDPOS = "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh"
_PANX = (
    "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur vi "
    "yo zh"
)
_XQUAD = "ar de el en es hi ru th tr vi zh"
_TATOEBA = "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te th tl tr ur vi zh"


def _classes(name: str, languages: str) -> Entry:
    return Entry(name, "classification", tuple(languages.split()), ("accuracy",))


def _tagging(name: str, languages: str) -> Entry:
    return Entry(name, "structured prediction", tuple(sorted(languages.split())), ("f1",))


def _answers(name: str, languages: str) -> Entry:
    return Entry(name, "question answering", tuple(sorted(languages.split())), ("exact_match", "f1"))


def _translations(languages: str) -> Entry:
    # XTREME-R reads Tatoeba from an encoder trained on SQuAD; its script for that is not complete, so that its own
    # number cannot be had, and XTREME's procedure stands in.
    return Entry("tatoeba", "retrieval", tuple(sorted(languages.split())), ("accuracy",), ("accuracy_xtreme",))


def _ranked(name: str, languages: str) -> Entry:
    return Entry(name, "retrieval", tuple(languages.split()), ("map20",))


_XNLI = _classes("xnli", "ar bg de el en es fr hi ru sw th tr ur vi zh")
_MLQA = _answers("mlqa", "ar de en es hi vi zh")
_TYDIQA = _answers("tydiqa", "ar bn en fi id ko ru sw te")

BENCHMARKS: Mapping[str, tuple[Entry, ...]] = {
    "XTREME": (
        _XNLI,
        _classes("pawsx", "de en es fr ja ko zh"),
        _tagging("udpos", _UDPOS),
        _tagging("panx", _PANX),
        _answers("xquad", _XQUAD),
        _MLQA,
        _TYDIQA,
        # The hub has the gold pairs alone, where the benchmark mines whole corpora.
        Entry("bucc2018", "retrieval", ("de", "fr", "ru", "zh"), ("f1",), unofficial="mined in its gold pairs alone"),
        _translations(_TATOEBA),
    ),
    "XTREME-R": (
        _XNLI,
        _classes("xcopa", "et ht id it qu sw ta th tr vi zh"),
        _tagging("udpos", f"{_UDPOS} lt pl ro uk wo"),
        _tagging("panx", f"{_PANX} az gu lt pa pl qu ro uk"),
        _answers("xquad", f"{_XQUAD} ro"),
        _MLQA,
        _TYDIQA,
        _translations(f"{_TATOEBA} az lt pl ro uk"),
        _ranked("mewslix", "ar de en es fa ja pl ro ta tr uk"),
        _ranked("lareqa", _XQUAD),
    ),
}
"""Benchmark -> its tasks, group by group."""

_SCORED = ("format", "labels", "metric", "scoring", "pool")


def scored_as(task: Task) -> str:
    """The benchmark task whose test rows ``task`` scores, by the same metric; "" for none.

    A sweep file's own task counts where it is trained on other rows, but not where it is scored on others.
    """
    for name in dict.fromkeys(entry.task for entries in BENCHMARKS.values() for entry in entries):
        known = CATALOG[name]
        same = all(getattr(task, field) == getattr(known, field) for field in _SCORED)
        if same and task.test is not None and set(task.languages) <= set(known.languages):
            rows = ((part_data(task, "test", code), part_data(known, "test", code)) for code in task.languages)
            if all(own == theirs for own, theirs in rows):
                return name
    return ""
