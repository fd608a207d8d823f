"""Numbers and sentences as the page prints them: one decimal, a real minus sign, a dash where nothing is defined."""

from __future__ import annotations

import math
from collections.abc import Iterable

DASH = "–"
MINUS = "\N{MINUS SIGN}"
BILLION = 10**9

_FAMILIES = {"nli": "NLI", "qa": "QA"}


def family_name(family: str) -> str:
    """``NLI``, ``QA``, ``QA minus NLI``, else the family as it is."""
    return " minus ".join(_FAMILIES.get(part, part) for part in family.split(" - "))


def points(value: float | None, signed: bool = False) -> str:
    """Points to one decimal; ``signed`` marks gains with their sign."""
    return decimals(value, 1, signed)


def decimals(value: float | None, digits: int, signed: bool = False) -> str:
    """A number to ``digits`` decimals with a real minus sign; zero has no sign."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def signed(value: float) -> str:
    """A tick of an axis through zero: ``−0.5``, ``0``, ``+2``."""
    return f"{value:+g}".replace("-", MINUS) if abs(value) > 1e-9 else "0"


def p_value(value: float | None) -> str:
    """A p to three decimals, ``<.001`` below."""
    if value is None:
        return DASH
    return "<.001" if value < 0.001 else f"{value:.3f}"


def interval(low: float | None, high: float | None) -> str:
    """``−0.2 to +2.8``, or a dash where there is no interval."""
    return DASH if low is None or high is None else f"{points(low, True)} to {points(high, True)}"


def size(params: int | None) -> str:
    """A parameter count to three digits: ``103M``, ``1.28B``."""
    if params is None:
        return "size unknown"
    for unit, letter in ((BILLION, "B"), (10**6, "M"), (10**3, "k")):
        # Three digits could round 999.9M up to 1000M, which belongs to the next unit.
        if float(f"{params / unit:.3g}") >= 1:
            value = float(f"{params / unit:.3g}")
            return f"{value:g}{letter}"
    return str(params)


def factor(value: float) -> str:
    """A ratio to two digits: ``9.7``, ``100``."""
    return f"{float(f'{value:.2g}'):g}"


def count(number: int, one: str, many: str = "") -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def draws(number: int, unit: str) -> str:
    """What an interval is over, by the design's unit: ``3 seeds``, ``3 repeats of the search``."""
    if unit == "repeat":
        return count(number, "repeat of the search", "repeats of the search")
    return count(number, unit)


def listed(parts: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    words = list(parts)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
