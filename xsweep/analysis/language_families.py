"""Families of the languages that the benchmarks score: of Indo-European its branches, of Afro-Asiatic Semitic."""

from __future__ import annotations

_SPOKEN = {
    "Germanic": "af da de is nl no sv",
    "Semitic": "ar he mt am",
    "Turkic": "az kk ky tr tt ug uz",
    "Slavic": "bg bs cs hr mk pl ru sk sl sr uk",
    "Indo-Aryan": "bn gu hi mr ne pa si ur",
    "Greek": "el",
    "Romance": "ca es fr gl it la pt ro",
    "Uralic": "et fi hu",
    "Basque": "eu",
    "Iranian": "fa ku ps tg",
    "Creole": "ht",
    "Armenian": "hy",
    "Austronesian": "id jv mg ms su tl",
    "Japonic": "ja",
    "Kartvelian": "ka",
    "Koreanic": "ko",
    "Baltic": "lt lv",
    "Dravidian": "kn ml ta te",
    "Sino-Tibetan": "my zh",
    "Quechuan": "qu",
    "Niger-Congo": "sw wo yo zu ig",
    "Kra-Dai": "lo th",
    "Austroasiatic": "km vi",
    "Mongolic": "mn",
    "Celtic": "br cy ga",
    "Albanian": "sq",
}

LANGUAGE_FAMILIES = {code: family for family, codes in _SPOKEN.items() for code in codes.split()}
"""ISO 639-1 code -> family, as Glottolog and the tables of XTREME-R have it; a language that is not here is in none."""
