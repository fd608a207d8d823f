"""XTREME and XTREME-R: their tasks, in which group and which languages each counts, and by which metrics.

Groups, languages and metrics are those of ``evaluate.py`` in google-research/xtreme; XTREME-R's other languages are
those that its data has (XCOPA's and LAReQA's lists are empty there, and XCOPA stands in two groups: here it is
classification alone, as in the paper's average over task types).
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

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """The metrics that the benchmark itself counts."""
        return self.official or self.metrics


_XNLI = Entry("xnli", "classification", tuple("ar bg de el en es fr hi ru sw th tr ur vi zh".split()), ("accuracy",))
_TYDIQA_LANGUAGES = "ar bn en fi id ko ru sw te"
_XQUAD_LANGUAGES = "ar de el en es hi ru th tr vi zh"
_UDPOS_LANGUAGES = (
    "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh"
)
_PANX_LANGUAGES = (
    "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur vi "
    "yo zh"
)
_TATOEBA_LANGUAGES = (
    "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te th tl tr ur vi zh"
)


def _tagging(name: str, languages: str) -> Entry:
    return Entry(name, "structured prediction", tuple(sorted(languages.split())), ("f1",))


def _answers(name: str, languages: str) -> Entry:
    return Entry(name, "question answering", tuple(sorted(languages.split())), ("exact_match", "f1"))


def _translations(languages: str) -> Entry:
    # XTREME-R reads Tatoeba from an encoder trained on SQuAD; its script for that is not complete, so that its own
    # number cannot be had, and XTREME's procedure stands in.
    return Entry("tatoeba", "retrieval", tuple(sorted(languages.split())), ("accuracy",), ("accuracy_xtreme",))


BENCHMARKS: Mapping[str, tuple[Entry, ...]] = {
    "XTREME": (
        _XNLI,
        Entry("pawsx", "classification", ("de", "en", "es", "fr", "ja", "ko", "zh"), ("accuracy",)),
        _tagging("udpos", _UDPOS_LANGUAGES),
        _tagging("panx", _PANX_LANGUAGES),
        _answers("xquad", _XQUAD_LANGUAGES),
        _answers("mlqa", "ar de en es hi vi zh"),
        _answers("tydiqa", _TYDIQA_LANGUAGES),
        Entry("bucc2018", "retrieval", ("de", "fr", "ru", "zh"), ("f1",), ("f1_xtreme",)),
        _translations(_TATOEBA_LANGUAGES),
    ),
    "XTREME-R": (
        _XNLI,
        Entry("xcopa", "classification", tuple("et ht id it qu sw ta th tr vi zh".split()), ("accuracy",)),
        _tagging("udpos", f"{_UDPOS_LANGUAGES} lt pl ro uk wo"),
        _tagging("panx", f"{_PANX_LANGUAGES} az gu lt pa pl qu ro uk"),
        _answers("xquad", f"{_XQUAD_LANGUAGES} ro"),
        _answers("mlqa", "ar de en es hi vi zh"),
        _answers("tydiqa", _TYDIQA_LANGUAGES),
        _translations(f"{_TATOEBA_LANGUAGES} az lt pl ro uk"),
        Entry("mewslix", "retrieval", tuple("ar de en es fa ja pl ro ta tr uk".split()), ("map20",)),
        Entry("lareqa", "retrieval", tuple(_XQUAD_LANGUAGES.split()), ("map20",)),
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
