"""Natural language inference: does a premise entail, contradict or leave open a hypothesis?"""

from __future__ import annotations

from xsweep.tasks.task import Data, Task

NLI = ("entailment", "neutral", "contradiction")


def _mnli(split: str) -> Data:
    return Data(dataset="nyu-mll/multi_nli", split=split)


def _snli(split: str) -> Data:
    return Data(dataset="stanfordnlp/snli", config="plain_text", split=split)


def _anli(part: str) -> tuple[Data, ...]:
    return tuple(Data(dataset="facebook/anli", config="plain_text", split=f"{part}_r{n}") for n in (1, 2, 3))


TASKS = (
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
)
