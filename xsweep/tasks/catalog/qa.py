"""Extractive question answering."""

from __future__ import annotations

from xsweep.tasks.task import Data, Task

ENGLISH_XQUAD = Data(dataset="google/xquad", config="xquad.en", split="validation")
SQUAD_TRAIN = Data(dataset="rajpurkar/squad", config="plain_text", split="train")
SQUAD_HELD_OUT = Data(dataset="rajpurkar/squad", config="plain_text", split="validation", without=ENGLISH_XQUAD)
"""SQuAD's development set without the paragraphs that XQuAD scores in translation."""

TASKS = (
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
