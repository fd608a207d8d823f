"""Official metrics: accuracy, and exact match and F1 as SQuAD v1.1 defines them."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(a|an|the)\b")


def mean_points(values: Sequence[float]) -> float:
    """The mean of values between 0 and 1, in points; NaN of none."""
    return 100.0 * math.fsum(values) / len(values) if values else math.nan


def normalise(answer: str) -> str:
    """Lower case, without ASCII punctuation, without English articles, single spaces: in this order."""
    return " ".join(_ARTICLE.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, golds: Sequence[str]) -> int:
    """1 when the normalised prediction equals any normalised gold answer."""
    return int(normalise(prediction) in {normalise(gold) for gold in golds})


def f1(prediction: str, golds: Sequence[str]) -> float:
    """The best F1, 0 to 1, over the gold answers, of the bags of whitespace tokens."""
    return max(_f1(normalise(prediction).split(), normalise(gold).split()) for gold in golds)


def _f1(prediction: list[str], gold: list[str]) -> float:
    common = sum((Counter(prediction) & Counter(gold)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(prediction), common / len(gold)
    return 2 * precision * recall / (precision + recall)
