"""Every way of getting a sweep file wrong: each is said in plain words at its own place, and nothing is written.

``bad_files.txt`` holds the cases: what differs from a good file, and what is said of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from xsweep.errors import SpecError, UsageError
from xsweep.spec.load import load_sweep

GOOD = {
    "name": "name: small",
    "models": "models: [xlmr-base]",
    "tasks": "",
    "arms": "arms: [none, mnli]",
    "targets": "targets: [xnli]",
    "seeds": "seeds: 3",
    "search": "search:",
    "search.intermediate": "  intermediate: {trials: 2, lr: {low: 1e-5, high: 5e-5}, epochs: [1, 3]}",
    "search.target": "  target: {trials: 2, lr: 1e-5, epochs: [1, 3]}",
}
HERE = "▶"


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    said: tuple[str, ...]
    """``line:column path: what`` of each problem, in file order; FOLDER stands for the file's folder."""


def cases() -> list[Case]:
    blocks = (Path(__file__).parent / "bad_files.txt").read_text(encoding="utf-8").split("\n== ")[1:]
    return [case(*block.split("\n", 1)) for block in blocks]


def case(name: str, body: str) -> Case:
    """A block is the sections that differ from GOOD, with the mark at each problem's place, then what is said."""
    lines = [line for line in body.splitlines() if line]
    said = [line.removeprefix("> ") for line in lines if line.startswith("> ")]
    own: dict[str, list[str]] = {}
    for line in lines[: len(lines) - len(said)]:
        if found := re.match(rf"{HERE}?([a-z0-9._]+):", line):
            key = found.group(1)
        own.setdefault(key, []).append("  " + line.replace("search.", "") if "." in key else line)
    good = {key: text for key, text in GOOD.items() if not ("search" in own and key.startswith("search."))}
    sections = {**good, **{key: "\n".join(text) for key, text in own.items()}}
    text, marks = places("\n".join(filter(None, sections.values())) + "\n")
    marks = marks * len(said) if len(marks) == 1 else marks
    return Case(name, text, tuple(f"{line}:{column} {what}" for (line, column), what in zip(marks, said, strict=True)))


def places(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its marks, and the line and column of each."""
    clean, marks = "", []
    for piece in text.split(HERE)[:-1]:
        clean += piece
        marks.append((clean.count("\n") + 1, len(clean) - clean.rfind("\n")))
    return clean + text.split(HERE)[-1], marks


SYNTAX = [
    ("empty", b"", "1:1 the file is empty"),
    ("comments alone", b"# nothing\n# here\n", "1:1 the file is empty"),
    ("only null", b"~\n", "1:1 the file is empty"),
    ("list at the top", b"- a\n- b\n", "1:1 a sweep file holds fields, such as 'name: my-sweep'; this is a list"),
    ("scalar at the top", b"\nhello\n", "2:1 a sweep file holds fields, such as 'name: my-sweep'; this is 'hello'"),
    ("two documents", b"name: a\n---\nname: b\n", "2:1 a second document starts here; a sweep file is one"),
    ("tab", b"search:\n\ttrials: 3\n", "2:1 a tab stands where spaces indent"),
    ("open bracket", b"name: a\nseeds: [1, 2\n", "2:8 this [ is not closed as it should be"),
    ("open brace", b"name: a\nsearch: {seed: 1\nkeep: all\n", "2:9 this { is not closed as it should be"),
    ("open quote", b"name: 'a\nseeds: 3\n", "1:7 this quote is never closed"),
    ("two colons", b"name: a: b\n", "1:8 a ':' too many; text that holds ': ' needs quotes"),
    ("bad indent", b"search:\n    a: 1\n  b: 2\n", "3:3 the indent does not fit the lines above"),
    ("no colon", b"name: a\nseeds\nkeep: all\n", "2:1 a field needs a ':' after its name"),
    ("bad escape", b'name: "\\q"\n', "1:9 this text in quotes is not as it should be"),
    ("huge escape", b'name: "\\UFFFFFFFF"\n', "1:1 this is not YAML"),
    ("bad UTF-8", b"name: a\ndescription: gr\xfc\xdfe\n", "2:16 the file is not UTF-8: byte 0xfc"),
    ("UTF-16", "name: a\n".encode("utf-16"), "1:1 the file is written in UTF-16; save it as UTF-8"),
    ("NUL", b"name: a\nkeep: \0\n", "2:7 character U+0000 cannot stand here"),
    ("too large", b"#" + b"x" * (1 << 20), "1:1 the file is larger than 1 MiB"),
    ("too deep", b"name: " + b"[" * 200, "1:57 nested more than 50 deep"),
    ("unknown alias", b"name: *a\n", "1:7 *a stands for nothing"),
    ("alias of itself", b"name: &a [*a]\n", "1:11 *a stands for nothing"),
]

BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""A few hundred bytes of aliases that stand for hundreds of millions of values."""


def problems_of(path: Path) -> list[str]:
    """What is said of the file; that nothing is written is seen to on the way."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(SpecError) as caught:
        load_sweep(path)
    assert caught.value.exit_code == 2
    assert sorted(path.parent.rglob("*")) == before
    said = [str(problem) for problem in caught.value.problems]
    assert str(caught.value).splitlines() == said
    return said


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_it_is_said_in_plain_words_at_its_place(tmp_path: Path, case: Case) -> None:
    path = tmp_path / "a sweep.yaml"
    path.write_text(case.text, encoding="utf-8")
    assert problems_of(path) == [f"{path}:{said}".replace("FOLDER", str(tmp_path)) for said in case.said]


def test_the_good_file_is_good(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(case("good", "").text)
    assert load_sweep(path).name == "small"


@pytest.mark.parametrize(("data", "said"), [entry[1:] for entry in SYNTAX], ids=[entry[0] for entry in SYNTAX])
def test_what_is_no_yaml_gets_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_bytes(data)
    (problem,) = problems_of(path)
    assert problem.startswith(f"{path}:{said}")


def test_an_alias_bomb_is_defused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(BOMB)
    (problem,) = problems_of(path)
    assert "more than 50000 values, aliases written out" in problem


def test_all_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "nam: x\nmodels: [xlmr]\narms: [mlni]\ntargets: [{task: xnli, languages: [xx]}]\nseeds: 0\nsearch: 3\n"
    )
    assert [problem.removeprefix(f"{path}:").split(":")[0] for problem in problems_of(path)] == list("11233456")


@pytest.mark.parametrize("name", ["none.yaml", ".", "none/none.yaml"])
def test_no_file_is_one_plain_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"No such file|Is a directory"):
        load_sweep(tmp_path / name)


def test_the_file_is_shown_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sweep.yaml").write_text("[]")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"^sweep\.yaml:1:1 a sweep file holds fields"):
        load_sweep("sweep.yaml")
