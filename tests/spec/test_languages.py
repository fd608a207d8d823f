"""Languages by other names: each of XTREME-R's is known by its ISO 639-3 code, and said back in the code used here."""

from __future__ import annotations

import pytest

from xsweep.spec.words import language

XTREME_R = {
    "af": "afr", "ar": "ara", "az": "aze", "bg": "bul", "bn": "ben", "de": "deu", "el": "ell", "en": "eng",
    "es": "spa", "et": "est", "eu": "eus", "fa": "fas", "fi": "fin", "fr": "fra", "gu": "guj", "he": "heb",
    "hi": "hin", "ht": "hat", "hu": "hun", "id": "ind", "it": "ita", "ja": "jpn", "jv": "jav", "ka": "kat",
    "kk": "kaz", "ko": "kor", "lt": "lit", "ml": "mal", "mr": "mar", "ms": "msa", "my": "mya", "nl": "nld",
    "pa": "pan", "pl": "pol", "pt": "por", "qu": "que", "ro": "ron", "ru": "rus", "sw": "swa", "ta": "tam",
    "te": "tel", "th": "tha", "tl": "tgl", "tr": "tur", "uk": "ukr", "ur": "urd", "vi": "vie", "wo": "wol",
    "yo": "yor", "zh": "zho",
}  # fmt: skip


def test_all_of_xtreme_r() -> None:
    assert len(XTREME_R) == 50
    for code, long in XTREME_R.items():
        assert language(code) == language(long) == language(code.upper()) == language(f"{code}-XX") == code


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("iw", "he"), ("in", "id"), ("jw", "jv"), ("zh-CN", "zh"), ("zh_Hant", "zh"), ("pt-BR", "pt"), ("EN", "en"),
        ("cmn", "zh"), ("swh", "sw"), ("arb", "ar"), ("pes", "fa"), ("fil", "tl"), ("nb", "no"), ("nob", "no"),
        ("no", "no"), ("ger", "de"), ("chi", "zh"), ("jp", "ja"), ("xx", "xx"),
    ],
)  # fmt: skip
def test_other_names(said: str, meant: str) -> None:
    assert language(said) == meant
