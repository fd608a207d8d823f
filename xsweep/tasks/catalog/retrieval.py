"""Retrieval: sentences and their translations, questions and answering sentences, mentions and entities."""

from __future__ import annotations

from xsweep.tasks.task import Data, Task

_ENGLISH_XQUAD_R = Data(dataset="google-research-datasets/xquad_r", config="en", split="validation")
_ENTITIES = Data(
    dataset="izhx/mewsli-x",
    config="candidate_entities",
    split="test",
    columns={"id": "entity_id", "text": "description"},
)
_TRANSLATIONS = {"query": "source_sentence", "candidate": "target_sentence"}
_MENTIONS = {"query": "mention", "candidate": "entity"}

_TATOEBA_NAMES = {
    "af": "afr", "ar": "ara", "bg": "bul", "bn": "ben", "de": "deu", "el": "ell", "es": "spa", "et": "est",
    "eu": "eus", "fa": "pes", "fi": "fin", "fr": "fra", "he": "heb", "hi": "hin", "hu": "hun", "id": "ind",
    "it": "ita", "ja": "jpn", "jv": "jav", "ka": "kat", "kk": "kaz", "ko": "kor", "ml": "mal", "mr": "mar",
    "nl": "nld", "pt": "por", "ru": "rus", "sw": "swh", "ta": "tam", "te": "tel", "th": "tha", "tl": "tgl",
    "tr": "tur", "ur": "urd", "vi": "vie", "zh": "cmn",
}  # fmt: skip

"""XTREME's languages."""
_TATOEBA_NEWER = {"az": "aze", "lt": "lit", "pl": "pol", "ro": "ron", "uk": "ukr"}
"""Languages that XTREME-R adds; they lie in another copy of the same release."""


def _tatoeba_newer(name: str) -> Data:
    columns = {"query": "sentence1", "candidate": "sentence2"}
    return Data(dataset="mteb/tatoeba-bitext-mining", config=f"{name}-eng", split="test", columns=columns)


TASKS = (
    Task(
        name="tatoeba",
        family="retrieval",
        format="retrieval",
        metric="accuracy",
        train=(),
        selection=(),
        test=Data(dataset="google/xtreme", config="tatoeba.{language}", split="validation", columns=_TRANSLATIONS),
        elsewhere={code: _tatoeba_newer(name) for code, name in _TATOEBA_NEWER.items()},
        languages=tuple(sorted([*_TATOEBA_NAMES, *_TATOEBA_NEWER])),
        language_names=_TATOEBA_NAMES,
        max_length=512,
        licence="CC BY 2.0 FR",
        tokens=12,
    ),
    # The hub has BUCC's gold pairs alone. To mine the whole corpora, declare them as `queries` and `candidates`.
    Task(
        name="bucc2018",
        family="retrieval",
        format="retrieval",
        metric="f1",
        train=(),
        selection=(),
        test=Data(dataset="google/xtreme", config="bucc18.{language}", split="test", columns=_TRANSLATIONS),
        languages=("de", "fr", "ru", "zh"),
        max_length=512,
        licence="BUCC 2018 shared task",
        tokens=60,
    ),
    Task(
        name="lareqa",
        family="retrieval",
        format="retrieval",
        metric="map20",
        train=(Data(dataset="rajpurkar/squad", config="plain_text", split="train"),),
        selection=(Data(dataset="rajpurkar/squad", config="plain_text", split="validation", without=_ENGLISH_XQUAD_R),),
        test=Data(dataset="google-research-datasets/xquad_r", config="{language}", split="validation"),
        languages=("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
        max_length=256,
        pool="all",
        licence="CC BY-SA 4.0",
        rows=87_599,
        tokens=200,
    ),
    Task(
        name="mewslix",
        family="retrieval",
        format="retrieval",
        metric="map20",
        train=(Data(dataset="izhx/mewsli-x", config="wikipedia_pairs", split="train", columns=_MENTIONS),),
        selection=(Data(dataset="izhx/mewsli-x", config="wikipedia_pairs", split="validation", columns=_MENTIONS),),
        test=Data(
            dataset="izhx/mewsli-x",
            config="{language}",
            split="test",
            columns={"query": "mention", "candidate_id": "entity_id"},
            candidates=_ENTITIES,
        ),
        languages=("ar", "de", "en", "es", "fa", "ja", "pl", "ro", "ta", "tr", "uk"),
        max_length=64,
        pool="all",
        licence="Apache-2.0",
        tokens=100,
    ),
)
