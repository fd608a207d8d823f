from __future__ import annotations

import pytest

from xsweep.console import line, spoken, watching, where_the_time_went
from xsweep.engine.progress import Event


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "time left unknown"),
        (12.0, "under a minute left"),
        (61.0, "about 1 min left"),
        (7_260.0, "about 2 h 1 min left"),
    ],
)
def test_time_is_spoken_as_the_guess_it_is(seconds: float | None, words: str) -> None:
    assert spoken(seconds) == words


def test_plain_lines_say_how_far_the_run_is(capsys: pytest.CaptureFixture[str]) -> None:
    with watching() as watch:
        watch(Event("running", "small / nli"))
        watch(Event("trial", "small / nli t00", "ok", "lr 0.001, 2 epochs", done=3, total=20, left=130.0))
    assert capsys.readouterr().out == (
        "trial  ok         small / nli t00  lr 0.001, 2 epochs  [3 of 20, about 2 min left]\n"
    )


def test_a_terminal_gets_the_lines_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with watching() as watch:
        watch(Event("note", "checking train/[x]"))
        watch(Event("running", "small / nli", total=20))
        watch(Event("stage", "small / [nli] / s1", "ok", "61.0  2.0 s", done=4, total=20, left=130.0))
    assert "stage  ok         small / [nli] / s1  61.0  2.0 s" in capsys.readouterr().out


def test_phases_that_took_no_time_are_left_out() -> None:
    said = where_the_time_went({"checking": 0.1, "searching": 61.2, "report": 4.0})
    assert said == "time:    65 s: 61 s searching, 4 s report"
    assert where_the_time_went({"checking": 0.1}) == "time:    0.1 s"


def test_a_line_has_no_trailing_space() -> None:
    assert line(Event("note", "checking x")) == "note              checking x"
