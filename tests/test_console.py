from __future__ import annotations

import pytest

from xsweep.console import MOST_RUNNING, View, line, spoken, watching, where_the_time_went
from xsweep.engine.progress import Event, Running


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


def test_the_live_view_says_how_far_all_is_and_what_runs() -> None:
    view = View()
    assert not view.take(Event("note", "checking train/snli"))
    assert view.lines(0.0, 100) == ["checking train/snli"]
    far = {"done": 4, "total": 20, "left": 130.0, "studies": (1, 6), "hours": (0.25, 2.0), "gpus": True}
    assert view.take(Event("stage", "small / nli / s1", "ok", **far))  # type: ignore[arg-type]
    assert view.take(Event("note", "stopping")), "said while stages run, and so not to be missed"
    jobs = (Running("small / nli, lr 1e-05", 10.0, 100.0, 12345.6), Running("x" * 90, 40.0))
    assert not view.take(Event("running", "", running=jobs))
    first, second, *rest = view.lines(3710.0 - 3630.0, 100)
    assert first == "studies 1 of 6 · jobs 4 of 20 · about 2 min left"
    assert second == "GPU-hours of this launch: 0.25 of about 2"
    assert rest[0].split() == ["small", "/", "nli,", "lr", "1e-05", "1:10", "~0:30", "left", "~12,346", "tokens/s"]
    assert rest[1].split() == ["x" * 53 + "…", "0:40"]
    assert all(len(row) <= 100 for row in rest)
    assert "1:01:10" in view.lines(3680.0, 100)[2]
    assert "~0:00 left" in view.lines(3680.0, 100)[2], "later than its like"


def test_the_live_view_counts_what_it_has_no_room_for() -> None:
    view = View()
    view.take(Event("phase", "searching", total=9))
    assert view.lines(0.0, 80)[-1] == "  waiting for a worker group"
    assert "worker-hours of this launch: 0 of unknown" in view.lines(0.0, 80)
    view.take(Event("running", "", running=tuple(Running(f"j{i}", 0.0) for i in range(MOST_RUNNING + 3))))
    assert view.lines(0.0, 80)[-1] == "  and 3 more"
    assert len(view.lines(0.0, 80)) == 2 + MOST_RUNNING + 1
