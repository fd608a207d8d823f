"""Paraphrases: do two sentences, or two questions, say the same?"""

from __future__ import annotations

from xsweep.tasks.task import Data, Task

PARAPHRASE = ("different", "paraphrase")


def _qqp(split: str) -> Data:
    columns = {"premise": "question1", "hypothesis": "question2", "id": "idx"}
    # Its own names of the same labels are `not_duplicate` and `duplicate`.
    # A few of its questions are known to be empty.
    return Data(dataset="nyu-mll/glue", config="qqp", split=split, columns=columns, labels=PARAPHRASE, blank="drop")


def _pawsx(config: str, split: str) -> Data:
    columns = {"premise": "sentence1", "hypothesis": "sentence2"}
    # The hub calls the labels "0" and "1", and keeps a place for sentences that were not translated.
    return Data(
        dataset="google-research-datasets/paws-x",
        config=config,
        split=split,
        columns=columns,
        labels=PARAPHRASE,
        blank="drop",
    )


TASKS = (
    Task(
        name="qqp",
        family="paraphrase",
        format="pair",
        labels=PARAPHRASE,
        metric="accuracy",
        train=(_qqp("train"),),
        selection=(_qqp("validation"),),
        licence="Quora's terms of service",
        rows=363_846,
        tokens=34,
    ),
    Task(
        name="pawsx",
        family="paraphrase",
        format="pair",
        labels=PARAPHRASE,
        metric="accuracy",
        train=(_pawsx("en", "train"),),
        selection=(_pawsx("en", "validation"),),
        test=_pawsx("{language}", "test"),
        languages=("de", "en", "es", "fr", "ja", "ko", "zh"),
        licence="free for any purpose, with acknowledgement of Google LLC",
        rows=49_401,
        tokens=63,
        test_rows=2000,
    ),
)
