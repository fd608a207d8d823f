"""The catalogue of tasks: one declarative entry each. A sweep file declares its own in the same words."""

from __future__ import annotations

from collections.abc import Mapping

from xsweep.tasks import retrieval_tasks
from xsweep.tasks.task import Data, Task

NLI = ("entailment", "neutral", "contradiction")
ENGLISH_XQUAD = Data(dataset="google/xquad", config="xquad.en", split="validation")
SQUAD_TRAIN = Data(dataset="rajpurkar/squad", config="plain_text", split="train")
SQUAD_HELD_OUT = Data(dataset="rajpurkar/squad", config="plain_text", split="validation", without=ENGLISH_XQUAD)
"""SQuAD's development set without the paragraphs that XQuAD scores in translation."""


def _mnli(split: str) -> Data:
    return Data(dataset="nyu-mll/multi_nli", split=split)


def _snli(split: str) -> Data:
    return Data(dataset="stanfordnlp/snli", config="plain_text", split=split)


def _anli(part: str) -> tuple[Data, ...]:
    return tuple(Data(dataset="facebook/anli", config="plain_text", split=f"{part}_r{n}") for n in (1, 2, 3))


_TASKS = (
    Task(
        name="snli",
        family="nli",
        format="pair",
        labels=NLI,
        metric="accuracy",
        train=(_snli("train"),),
        selection=(_snli("validation"),),
        licence="CC BY-SA 4.0",
        rows=549_367,
        tokens=31,
    ),
    Task(
        name="anli",
        family="nli",
        format="pair",
        labels=NLI,
        metric="accuracy",
        train=_anli("train"),
        selection=_anli("dev"),
        max_length=256,
        licence="CC BY-NC 4.0",
        rows=162_865,
        tokens=98,
    ),
    Task(
        name="mnli",
        family="nli",
        format="pair",
        labels=NLI,
        metric="accuracy",
        train=(_mnli("train"),),
        selection=(_mnli("validation_matched"),),
        licence="OANC, CC BY 3.0, CC BY-SA 3.0",
        rows=392_702,
        tokens=43,
    ),
    Task(
        name="squad_v1",
        family="qa",
        format="span",
        metric="f1",
        train=(SQUAD_TRAIN,),
        selection=(SQUAD_HELD_OUT,),
        max_length=384,
        stride=128,
        licence="CC BY-SA 4.0",
        rows=87_599,
        tokens=200,
    ),
    Task(
        name="xnli",
        family="nli",
        format="pair",
        labels=NLI,
        metric="accuracy",
        train=(_mnli("train"),),
        selection=(Data(dataset="facebook/xnli", config="en", split="validation"),),
        test=Data(dataset="facebook/xnli", config="{language}", split="test"),
        languages=("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
        licence="CC BY-NC 4.0",
        rows=392_702,
        tokens=43,
    ),
    Task(
        name="xquad",
        family="qa",
        format="span",
        metric="f1",
        train=(SQUAD_TRAIN,),
        selection=(SQUAD_HELD_OUT,),
        test=Data(dataset="google/xquad", config="xquad.{language}", split="validation"),
        languages=("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
        max_length=384,
        stride=128,
        licence="CC BY-SA 4.0",
        rows=87_599,
        tokens=200,
    ),
)

CATALOG: Mapping[str, Task] = {task.name: task for task in (*_TASKS, *retrieval_tasks.TASKS)}

_HOLDS: Mapping[tuple[str, str, str], tuple[str, ...]] = {
    ("facebook/xnli", "*", "train"): ("nyu-mll/multi_nli",),
    ("nyu-mll/glue", "mnli", "*"): ("nyu-mll/multi_nli",),
    ("rajpurkar/squad_v2", "*", "*"): ("rajpurkar/squad",),
    ("google/xtreme", "SQuAD", "*"): ("rajpurkar/squad",),
    ("google/xtreme", "XNLI", "train"): ("nyu-mll/multi_nli",),
}
"""(data set, configuration, split) -> data sets whose rows lie inside, under another name or in translation."""


def task(name: str) -> Task:
    """The catalogue's task ``name``; raises ``KeyError``."""
    return CATALOG[name]


def sources_of(task: Task) -> frozenset[str]:
    """Data sets that a task trains on, those held inside others included: ``same-data`` is where they meet."""
    return frozenset(name for data in task.train for name in (data.dataset, *_held(data)))


def _held(data: Data) -> list[str]:
    place = (data.dataset, data.config, data.split)
    return [
        held
        for pattern, names in _HOLDS.items()
        if all(want in ("*", have) for want, have in zip(pattern, place, strict=True))
        for held in names
    ]
