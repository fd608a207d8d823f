"""What ``--json`` prints is what its published schema says, command by command; ``test_end_to_end`` has ``run``."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.main import get_command
from typer.testing import CliRunner

from tests.analysis.planted import table
from tests.tiny import SWEEP, sweep_file, universe
from xsweep.cli import app
from xsweep.cli.outputs import OUTPUTS
from xsweep.errors import DataError, SpecError, UsageError

QUICKSTART = str(Path(__file__).resolve().parent.parent / "sweeps" / "quickstart.yaml")


def called(*words: str) -> tuple[Any, BaseException | None]:
    """What the command printed, as JSON, and what it raised."""
    done = CliRunner().invoke(app, words)
    return json.loads(done.stdout), done.exception


@cache
def checker(command: str) -> Draft202012Validator:
    """A checker of what ``command`` prints, by its published schema."""
    schema, raised = called("schema", command)
    assert raised is None
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return universe(tmp_path_factory.mktemp("universe"))


def test_every_command_with_json_has_a_schema_and_no_other() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]  # the app is a group
    assert {name for name, command in commands.items() if any("--json" in p.opts for p in command.params)} == {*OUTPUTS}
    for name in OUTPUTS:
        said = checker(name).schema
        assert isinstance(said, dict)
        assert said["title"] == f"xsweep {name} --json"


@pytest.mark.parametrize("words", [("tasks",), ("models",), ("plan", QUICKSTART), ("check", QUICKSTART)], ids=str)
def test_what_needs_no_data(words: tuple[str, ...]) -> None:
    told, raised = called(*words, "--json")
    assert raised is None
    checker(words[0]).validate(told)


def test_what_is_known_once_data_was_read(tmp_path: Path, mirror: Path) -> None:
    file, options = str(sweep_file(tmp_path)), ["--mirror", str(mirror), "--json"]
    other = tmp_path / "other.yaml"
    other.write_text(SWEEP.replace("[1, 2]\nsearch", "[1, 2, 5]\nsearch"))
    found, _ = called("check", file, "--data", *options)
    checker("check").validate(found)
    assert found["ok"]
    assert found["size"] == {"models": 2, "arms": 2, "targets": 1, "seeds": 2, "cells": 8, "studies": 6}
    assert [split["name"] for split in found["splits"]][:2] == ["train/inter", "selection/inter"]
    assert {*found["models"]} == {"t1", "t2"}
    store = ["--store", str(tmp_path / "runs")]
    for words in (["plan", file], ["status", file], ["diff", file, str(other)]):
        told, raised = called(*words, *store, *options)
        assert raised is None
        checker(words[0]).validate(told)
        assert words[0] != "plan" or told["verified"]


def test_a_wrong_file_and_wrong_data_are_told_whole_and_still_raised(tmp_path: Path, mirror: Path) -> None:
    wrong, raised = called("check", str(sweep_file(tmp_path, SWEEP.replace("epochs: 1}", "epochs: 0}"))), "--json")
    checker("check").validate(wrong)
    assert isinstance(raised, SpecError)
    assert not wrong["ok"]
    assert [(p["line"], p["path"]) for p in wrong["problems"]] == [
        (problem.line, problem.path) for problem in raised.problems
    ]
    odd = sweep_file(tmp_path, SWEEP.replace("labels: [same, other]", "labels: [same, odd]"))
    wrong, raised = called("check", str(odd), "--data", "--mirror", str(mirror), "--json")
    checker("check").validate(wrong)
    assert isinstance(raised, DataError)
    assert not wrong["ok"]
    assert len(wrong["faults"]) == len(str(raised).splitlines()) >= 5


def test_a_report_of_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xsweep.report.page.plates", lambda *_: [])  # which take most of the time
    table(lambda family, scale: 1.0).write_csv(tmp_path / "scores.csv")
    told, raised = called("report", "--scores", str(tmp_path / "scores.csv"), "--out", str(tmp_path / "out"), "--json")
    assert raised is None
    checker("report").validate(told)
    assert Path(told["report"]).is_file()


def test_the_schema_of_nothing() -> None:
    with pytest.raises(UsageError, match=r"there is no schema 'swep'; did you mean 'sweep'\?"):
        CliRunner().invoke(app, ["schema", "swep"], catch_exceptions=False)
