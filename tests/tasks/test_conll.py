from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tasks.made import Mirror, tag_task
from xsweep.errors import DataError
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.catalog.supertags import SUPERTAGS
from xsweep.tasks.conll import read_conll
from xsweep.tasks.examples import fingerprint, load_split
from xsweep.tasks.source import Sources


@pytest.mark.parametrize(
    "text",
    [
        "Mr.\tB\nVinken\tI\n\nHi\tO\n",
        "\ufeffMr.\tB\r\nVinken\tI\r\n\r\nHi\tO",
        "\n\nMr.\tB\nVinken\tI\n\n\n\nHi\tO\n\n\n",
    ],
)
def test_sentences_whatever_the_line_ends(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.conll"
    path.write_bytes(text.encode())
    assert read_conll(path).to_pydict() == {"tokens": [["Mr.", "Vinken"], ["Hi"]], "tags": [["B", "I"], ["O"]]}


@pytest.mark.parametrize(
    ("text", "line"), [("a\tB\nb B\n", 2), ("a\tB\tC\n", 1), ("a\tB\n\n\tB\n", 3), ("a\tB\n\nb\t\n", 3), (" \n", 1)]
)
def test_other_lines_are_named(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "x.conll"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}:{line}: must be a word, a tab and its tag"):
        read_conll(path)


def test_other_encodings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    path.write_bytes("Zürich\tB\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"is not UTF-8 \(byte 1\)"):
        read_conll(path)


def test_a_mirror_may_hold_it_and_the_fingerprint_is_that_of_the_rows(mirror: Mirror, tmp_path: Path) -> None:
    other = Mirror(tmp_path / "other")
    other.write({"tokens": [["Rome", "is"], ["old"]], "tags": [["B-LOC", "O"], ["O"]]})
    path = mirror.root / "org--set/default/train.conll"
    path.parent.mkdir(parents=True)
    path.write_text("Rome\tB-LOC\nis\tO\n\nold\tO\n")
    assert fingerprint(tag_task(), "train", mirror.sources) == fingerprint(tag_task(), "train", other.sources)
    path.write_text("Rome\tO\nis\tO\n\nold\tO\n")
    assert fingerprint(tag_task(), "train", mirror.sources) != fingerprint(tag_task(), "train", other.sources)


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_no_hub_has_says_how_to_make_it(tmp_path: Path, mirrored: bool) -> None:
    sources = Sources((tmp_path,) if mirrored else (), tmp_path / "cache")
    with pytest.raises(DataError, match=r"ldc/ccgbank default train: no folder ldc--ccgbank .*no hub has") as caught:
        load_split(CATALOG["ccg"], "train", sources)
    assert "write its sentences as train.conll" in str(caught.value)


def test_supertags_are_categories_and_a_rarer_one_must_be_written_other(tmp_path: Path) -> None:
    assert len(set(SUPERTAGS)) == 425
    assert all(tag.count("(") == tag.count(")") for tag in SUPERTAGS)
    folder = tmp_path / "ldc--ccgbank"
    folder.mkdir()
    (folder / "train.conll").write_text("We\tNP\nare\t(S[dcl]\\NP)/(S[adj]\\NP)\n.\t.\n\noh\tOTHER\n")
    assert len(load_split(CATALOG["ccg"], "train", Sources((tmp_path,), tmp_path / "c")).examples) == 2
    (folder / "train.conll").write_text("We\tNP\n\nare\tNP/(S/S)\n")
    with pytest.raises(DataError, match=r"row 1: the label 'NP/\(S/S\)' is none of the task's .*426 in all"):
        load_split(CATALOG["ccg"], "train", Sources((tmp_path,), tmp_path / "c"))
