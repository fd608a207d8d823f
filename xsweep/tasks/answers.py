"""Exact match and F1 of answers, as the official evaluation of each data set defines them.

SQuAD v1.1's rules serve XQuAD and TyDiQA-GoldP too, as in XTREME's evaluation: English articles and ASCII
punctuation are taken away in every language. MLQA's own evaluation knows each of its languages. SQuAD v2.0
adds questions without an answer.
"""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from xsweep.tasks.task import Scoring

Normalise = Callable[[str], str]

_ASCII = str.maketrans("", "", string.punctuation)


def _words(alternatives: str) -> Normalise:
    pattern = re.compile(rf"\b({alternatives})\b")
    return lambda text: pattern.sub(" ", text)


_without_english_articles = _words("a|an|the")

_MLQA: Mapping[str, Normalise] = {
    # The official expression for Arabic takes the letters of the article away wherever they stand, inside words too.
    "ar": lambda text: text.replace("ال", " "),
    "de": _words("ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des"),
    "en": _without_english_articles,
    "es": _words("un|una|unos|unas|el|la|los|las"),
    "hi": lambda text: text,
    "vi": _words("của|là|cái|chiếc|những"),
    # Chinese has no articles and no spaces: each ideograph is a token of its own, whatever else is split at spaces.
    "zh": lambda text: re.sub("([\u4e00-\u9fa5])", r" \1 ", text),
}

MLQA_LANGUAGES = tuple(_MLQA)
"""Languages that MLQA's evaluation has rules for."""


def normaliser(scoring: Scoring, language: str = "en") -> Normalise:
    """How answers are made comparable; ``language`` matters to MLQA's rules alone, which know seven.

    Raises ``KeyError`` for another language under MLQA's rules.
    """
    if scoring != "mlqa":
        return normalise
    bare = _MLQA[language]
    return lambda answer: _spaced(bare(answer.lower().translate(_every_punctuation())))


def normalise(answer: str) -> str:
    """SQuAD's: lower case, no ASCII punctuation, no English articles, single spaces, in this order."""
    return _spaced(_without_english_articles(answer.lower().translate(_ASCII)))


def exact_match(prediction: str, golds: Sequence[str], normalise: Normalise = normalise) -> int:
    """1 when the normalised prediction equals any normalised gold answer."""
    return int(normalise(prediction) in {normalise(gold) for gold in golds})


def f1(prediction: str, golds: Sequence[str], normalise: Normalise = normalise) -> float:
    """The best F1, 0 to 1, over the gold answers, of the bags of tokens between spaces."""
    ours = normalise(prediction).split()
    return max(_f1(ours, normalise(gold).split()) for gold in golds)


def exact_match_v2(prediction: str, golds: Sequence[str]) -> int:
    """SQuAD v2.0's exact match: without a gold answer, 1 for the empty prediction."""
    return exact_match(prediction, _golds_v2(golds))


def f1_v2(prediction: str, golds: Sequence[str]) -> float:
    """SQuAD v2.0's F1: where nothing is left on one side, 1 if nothing is left on the other either, else 0."""
    golds = _golds_v2(golds)
    if not normalise(prediction):
        return float(any(not normalise(gold) for gold in golds))
    return f1(prediction, golds)


def _golds_v2(golds: Sequence[str]) -> list[str]:
    """Gold answers of which something is left; [""] where there is none."""
    return [gold for gold in golds if normalise(gold)] or [""]


def _f1(prediction: list[str], gold: list[str]) -> float:
    common = sum((Counter(prediction) & Counter(gold)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(prediction), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def _spaced(text: str) -> str:
    return " ".join(text.split())


@cache
def _every_punctuation() -> dict[int, None]:
    """All that Unicode calls punctuation, and the ASCII signs that it calls symbols."""
    marks = {code for code in range(sys.maxunicode) if unicodedata.category(chr(code)).startswith("P")}
    return dict.fromkeys(marks | set(map(ord, string.punctuation)))
