from __future__ import annotations

import pytest

from xsweep.tasks.sentences import holding, sentence_breaks
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two!  Three", ["One.", "Two!", "Three"]),
        ("He said “no.” Then he left.", ["He said “no.”", "Then he left."]),
        ("The U.S. Army came. It left.", ["The U.S. Army came.", "It left."]),
        ("About approx. four of them. Yes.", ["About approx. four of them.", "Yes."]),
        ("3.5 percent", ["3.5 percent"]),
        ("他来了。她走了！好", ["他来了。", "她走了！", "好"]),
        ("वह आया। वह गया।", ["वह आया।", "वह गया।"]),
        ("هل جاء؟ نعم.", ["هل جاء؟", "نعم."]),
        ("Heading\n\nText here.", ["Heading", "Text here."]),
        ("...", ["..."]),
        ("", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert [text[first:last] for first, last in sentence_breaks(text)] == sentences


def test_a_place_between_two_sentences_is_the_first_ones() -> None:
    breaks = [(0, 4), (5, 9)]
    assert [holding(breaks, place) for place in (0, 3, 4, 5, 8)] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(("language", "share"), [("en", 0.96), ("de", 0.95), ("ru", 0.96), ("hi", 0.96), ("zh", 0.87)])
def test_answers_stand_in_the_sentences_that_lareqa_declares(real: Sources, language: str, share: float) -> None:
    """The rest are mostly splits in the published breaks that no reader would make, such as behind "E."."""
    declared = real.table(Data(dataset="google-research-datasets/lareqa", config=language, split="candidates"))
    rows = real.table(Data(dataset="google-research-datasets/xquad_r", config=language, split="validation"))
    breaks = {row["context"]: [tuple(ends) for ends in row["sentence_breaks"]] for row in declared.to_pylist()}
    same = 0
    for row in rows.to_pylist():
        place, ours, theirs = row["answers"]["answer_start"][0], sentence_breaks(row["context"]), breaks[row["context"]]
        same += ours[holding(ours, place)] == theirs[holding(theirs, place)]
    assert same / rows.num_rows > share
