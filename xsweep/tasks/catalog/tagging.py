"""Tagging: parts of speech, named entities, and CCG supertags."""

from __future__ import annotations

from xsweep.tasks.catalog.supertags import OTHER, SUPERTAGS
from xsweep.tasks.task import Data, Task

UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
    "VERB", "X",
)  # fmt: skip
ENTITIES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")

_UD_NAMES = {
    "af": "Afrikaans", "ar": "Arabic", "bg": "Bulgarian", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
    "kk": "Kazakh", "ko": "Korean", "mr": "Marathi", "nl": "Dutch", "pt": "Portuguese", "ru": "Russian",
    "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "ur": "Urdu", "vi": "Vietnamese",
    "yo": "Yoruba", "zh": "Chinese",
}  # fmt: skip
"""XTREME's languages, from Universal Dependencies 2.5."""
_UD_NEWER = ("lt", "pl", "ro", "uk", "wo")
"""Languages that XTREME-R adds, from Universal Dependencies 2.7."""

_CCG_RECIPE = (
    "CCGbank is licensed (LDC2005T13): write its sentences as train.conll (sections 02 to 21) and validation.conll "
    "(section 00), a word, a tab and its category a line, a blank line between sentences, with "
    f"{OTHER} for a category that is not among the task's labels, into the folder ldc--ccgbank of a mirror"
)


def _udpos(config: str, split: str) -> Data:
    return Data(dataset="google/xtreme", config=f"udpos.{config}", split=split, columns={"tags": "pos_tags"})


def _udpos_newer(config: str) -> Data:
    return Data(dataset="izhx/xtreme-r-udpos", config=config, split="test", columns={"tags": "pos_tags"})


def _wikiann(config: str, split: str) -> Data:
    return Data(dataset="unimelb-nlp/wikiann", config=config, split=split, columns={"tags": "ner_tags"})


def _ccg(split: str) -> Data:
    return Data(dataset="ldc/ccgbank", split=split, recipe=_CCG_RECIPE)


TASKS = (
    Task(
        name="ccg",
        family="tagging",
        format="tag",
        labels=(*SUPERTAGS, OTHER),
        metric="accuracy",
        train=(_ccg("train"),),
        selection=(_ccg("validation"),),
        licence="LDC User Agreement (CCGbank)",
        rows=39_604,
        tokens=30,
    ),
    Task(
        name="udpos",
        family="tagging",
        format="tag",
        labels=UPOS,
        metric="f1",
        train=(_udpos("English", "train"),),
        selection=(_udpos("English", "validation"),),
        test=_udpos("{language}", "test"),
        elsewhere={code: _udpos_newer(code) for code in _UD_NEWER},
        languages=tuple(sorted([*_UD_NAMES, *_UD_NEWER])),
        language_names=_UD_NAMES,
        licence="CC BY-SA 4.0 and others, by treebank",
        rows=21_253,
        tokens=23,
    ),
    Task(
        name="panx",
        family="tagging",
        format="tag",
        labels=ENTITIES,
        metric="f1",
        train=(_wikiann("en", "train"),),
        selection=(_wikiann("en", "validation"),),
        test=_wikiann("{language}", "test"),
        languages=(
            "af", "ar", "az", "bg", "bn", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "gu", "he", "hi", "hu",
            "id", "it", "ja", "jv", "ka", "kk", "ko", "lt", "ml", "mr", "ms", "my", "nl", "pa", "pl", "pt", "qu", "ro",
            "ru", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi", "yo", "zh",
        ),
        licence="ODC-BY",
        rows=20_000,
        tokens=14,
    ),
)  # fmt: skip
