"""Faults in plain words: what a value must be, what it is, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any, TypeVar, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from xsweep.spec.node import Findings, Node, shown
from xsweep.tasks.task import Declared

T = TypeVar("T")

_ALIASES = {
    # Out of date, regional, or of a country.
    "iw": "he", "in": "id", "jw": "jv", "ji": "yi", "mo": "ro", "nb": "no", "nn": "no", "fil": "tl",
    "cn": "zh", "gr": "el", "jp": "ja", "kr": "ko", "cz": "cs", "dk": "da", "ua": "uk", "vn": "vi",
    # Of three letters: ISO 639-3, then the bibliographic and the narrower codes of the same languages.
    "afr": "af", "ara": "ar", "aze": "az", "bul": "bg", "ben": "bn", "deu": "de", "ell": "el", "eng": "en",
    "spa": "es", "est": "et", "eus": "eu", "fas": "fa", "fin": "fi", "fra": "fr", "guj": "gu", "heb": "he",
    "hin": "hi", "hat": "ht", "hun": "hu", "ind": "id", "ita": "it", "jpn": "ja", "jav": "jv", "kat": "ka",
    "kaz": "kk", "kor": "ko", "lit": "lt", "mal": "ml", "mar": "mr", "msa": "ms", "mya": "my", "nld": "nl",
    "nor": "no", "pan": "pa", "pol": "pl", "por": "pt", "que": "qu", "ron": "ro", "rus": "ru", "swa": "sw",
    "tam": "ta", "tel": "te", "tha": "th", "tgl": "tl", "tur": "tr", "ukr": "uk", "urd": "ur", "vie": "vi",
    "wol": "wo", "yor": "yo", "zho": "zh",
    "baq": "eu", "bur": "my", "chi": "zh", "dut": "nl", "fre": "fr", "geo": "ka", "ger": "de", "gre": "el",
    "may": "ms", "per": "fa", "rum": "ro", "arb": "ar", "azj": "az", "cmn": "zh", "pes": "fa", "quy": "qu",
    "quz": "qu", "swh": "sw", "zsm": "ms", "nob": "no", "nno": "no", "ekk": "et",
}  # fmt: skip
"""Codes that are out of date, of three letters, or of a country -> the code used here."""


def validated(kind: Any, node: Node, found: Findings, *, partial: bool = False) -> Any:
    """``node`` as a value of type ``kind``, or None when something is wrong with it, which goes to ``found``.

    ``partial``: something is known to be wrong already, and fields may be missing for it.
    """
    try:
        # Strict, so that neither `true` nor "3" passes for a number.
        value = TypeAdapter(kind).validate_python(node.plain(), strict=True)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if not (partial and detail["type"] == "missing"):
                _add(detail, kind, node, found)
        return None
    return None if partial else value


def _add(detail: ErrorDetails, kind: Any, node: Node, found: Findings) -> None:
    steps = detail["loc"]
    if detail["type"] == "extra_forbidden":
        unknown_field(node.at(*steps[:-1]), str(steps[-1]), _fields_at(kind, steps[:-1]), found)
    else:
        found.add(node, _explained(detail), *steps)


def unknown_field(mapping: Node, name: str, known: Collection[str], found: Findings) -> None:
    """Say that ``mapping`` may not have the field ``name``."""
    line, column = mapping.keys.get(name, (mapping.line, mapping.column))
    path = mapping.at(name).path
    found.add_at(line, column, path, f"there is no such field{did_you_mean(name, known)}")


def _fields_at(kind: Any, steps: tuple[str | int, ...]) -> list[str]:
    """Names of the fields of the declaration that ``steps`` lead to."""
    for step in steps:
        if get_origin(kind) is Mapping:
            kind = get_args(kind)[1]
        elif isinstance(step, str):
            kind = _declaration(kind).model_fields[step].annotation
    return list(_declaration(kind).model_fields)


def _declaration(kind: Any) -> type[Declared]:
    """The declared class inside ``tuple[X, ...]``, ``X | None`` or ``X``."""
    if isinstance(kind, type) and issubclass(kind, Declared):
        return kind
    return next(found for part in kind.__args__ if part not in (Ellipsis, type(None)) for found in [_declaration(part)])


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The nearest of ``known`` as the end of a sentence, or all of them when none is near and they are few."""
    return _nearest(name, known) or (f"; known: {', '.join(sorted(known))}" if 0 < len(known) <= 20 else "")


def _nearest(name: object, known: Collection[str]) -> str:
    by_lower = {other.lower(): other for other in sorted(known)}
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def language(code: str) -> str:
    """The code used here for a language that may go by an old, long, regional or upper-case one."""
    short = code.replace("_", "-").split("-")[0].lower()
    return _ALIASES.get(short, short)


_WANTED: Mapping[str, str] = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of fields",
    "mapping_type": "must be a mapping of fields",
    "dict_type": "must be a mapping of fields",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
}


def _explained(detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        choices = context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        return f"must be one of {', '.join(choices)}; not {shown(value)}{_nearest(value, choices)}"
    wanted = _WANTED.get(kind)
    if wanted is None:
        return f"{detail['msg'][0].lower()}{detail['msg'][1:]}, not {shown(value)}"
    if value is None:
        return f"{wanted}; it is empty"
    limits = {name: f"{limit:.10g}" for name, limit in context.items() if isinstance(limit, int | float)}
    hint = "; put it in quotes" if kind == "string_type" and isinstance(value, bool | int | float) else ""
    return f"{wanted.format(**limits)}, not {shown(value)}{hint}"
