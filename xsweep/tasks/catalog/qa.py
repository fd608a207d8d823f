"""Extractive question answering."""

from __future__ import annotations

from xsweep.tasks.task import Data, Task

ENGLISH_XQUAD = Data(dataset="google/xquad", config="xquad.en", split="validation")
SQUAD_TRAIN = Data(dataset="rajpurkar/squad", config="plain_text", split="train")
SQUAD_HELD_OUT = Data(dataset="rajpurkar/squad", config="plain_text", split="validation", without=ENGLISH_XQUAD)
"""SQuAD's development set without the paragraphs that XQuAD scores in translation."""


def _squad_v2(split: str, without: Data | None = None) -> Data:
    return Data(dataset="rajpurkar/squad_v2", config="squad_v2", split=split, without=without)


def _tydiqa(split: str, language: str, *folds: int) -> Data:
    """TyDiQA-GoldP: one file for all languages, whose ids begin with the language's name."""
    where = {"id": f"{language}-"}
    return Data(
        dataset="google-research-datasets/tydiqa", config="secondary_task", split=split, where=where, folds=folds
    )


def _span(name: str, *, rows: int, tokens: int, licence: str, train: tuple[Data, ...], selection: tuple[Data, ...],
          **more: object) -> Task:  # fmt: skip
    """An entry with the windows that the field uses: 384 tokens, 128 of them shared."""
    fixed = {"family": "qa", "format": "span", "metric": "f1", "max_length": 384, "stride": 128}
    given = {"name": name, "rows": rows, "tokens": tokens, "licence": licence, "train": train, "selection": selection}
    return Task.model_validate({**fixed, **given, **more})


def _mrqa(name: str, dataset: str, *, rows: int, tokens: int, licence: str) -> Task:
    """A data set in the form of the MRQA 2019 shared task, whose answers are given by first and last character.

    Declared from the cards of its copies on the hub and not read here: columns ``context``, ``question`` and
    ``labels`` (the places of each answer), splits ``train`` and ``validation``. Answers are scored by the text
    at those places.
    """
    data = Data(dataset=dataset, split="train", columns={"answers": "labels"})
    held_out = data.model_copy(update={"split": "validation"})
    return _span(name, rows=rows, tokens=tokens, licence=licence, train=(data,), selection=(held_out,))


TASKS = (
    _span(
        "squad_v1", rows=87_599, tokens=200, licence="CC BY-SA 4.0", train=(SQUAD_TRAIN,), selection=(SQUAD_HELD_OUT,)
    ),
    _span(
        "squad_v2",
        scoring="squad_v2",
        rows=130_319,
        tokens=200,
        licence="CC BY-SA 4.0",
        train=(_squad_v2("train"),),
        selection=(_squad_v2("validation", without=ENGLISH_XQUAD),),
    ),
    _mrqa("newsqa", "lucadiliello/newsqa", rows=74_160, tokens=750, licence="MSR NewsQA, CNN's own for the articles"),
    _mrqa("triviaqa", "lucadiliello/triviaqa", rows=61_688, tokens=950, licence="Apache-2.0"),
    _mrqa(
        "natural_questions",
        "lucadiliello/naturalquestionsshortqa",
        rows=104_071,
        tokens=230,
        licence="CC BY-SA 3.0",
    ),
    _mrqa("hotpotqa", "lucadiliello/hotpotqa", rows=72_928, tokens=280, licence="CC BY-SA 4.0"),
    _span(
        "xquad",
        rows=87_599,
        tokens=200,
        licence="CC BY-SA 4.0",
        train=(SQUAD_TRAIN,),
        selection=(SQUAD_HELD_OUT,),
        test=Data(dataset="google/xquad", config="xquad.{language}", split="validation"),
        # Romanian is XTREME-R's.
        languages=("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"),
    ),
    _span(
        "mlqa",
        scoring="mlqa",
        rows=87_599,
        tokens=200,
        licence="CC BY-SA 3.0",
        train=(SQUAD_TRAIN,),
        selection=(SQUAD_HELD_OUT,),
        test=Data(dataset="facebook/mlqa", config="mlqa.{language}.{language}", split="test"),
        languages=("ar", "de", "en", "es", "hi", "vi", "zh"),
    ),
    _span(
        "tydiqa",
        rows=3_696,
        tokens=180,
        licence="Apache-2.0",
        train=(_tydiqa("train", "english", 1, 2, 3, 4, 5, 6, 7, 8, 9),),
        selection=(_tydiqa("train", "english", 0),),
        test=_tydiqa("validation", "{language}"),
        languages=("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te"),
        language_names={
            "ar": "arabic",
            "bn": "bengali",
            "en": "english",
            "fi": "finnish",
            "id": "indonesian",
            "ko": "korean",
            "ru": "russian",
            "sw": "swahili",
            "te": "telugu",
        },
    ),
)
