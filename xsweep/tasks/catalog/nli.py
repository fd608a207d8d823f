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


_WANLI = Data(dataset="alisawuffles/WANLI", split="train", columns={"label": "gold"})
"""Its labels are names in the column ``gold``; it has no split between train and test, so folds make one.

Declared from its card, on which it is JSON rather than Parquet; a mirror holds it as Parquet. Its rows were written
anew after the pattern of MultiNLI's, and are none of them.
"""

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
        # Phang et al. 2020: all five training sets under one head.
        name="anli_plus",
        family="nli",
        format="pair",
        labels=NLI,
        metric="accuracy",
        train=(_snli("train"), _mnli("train"), *_anli("train")),
        selection=(_snli("validation"), _mnli("validation_matched"), *_anli("dev")),
        max_length=256,
        licence="CC BY-SA 4.0 (SNLI), OANC and others (MultiNLI), CC BY-NC 4.0 (ANLI)",
        rows=1_104_934,
        tokens=45,
    ),
    Task(
        name="wanli",
        family="nli",
        format="pair",
        labels=NLI,
        metric="accuracy",
        train=(_WANLI.model_copy(update={"folds": tuple(range(1, 10))}),),
        selection=(_WANLI.model_copy(update={"folds": (0,)}),),
        licence="CC BY 4.0",
        rows=102_885,
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
        test_rows=5010,
    ),
)
