"""The command line without Ray: what a user's mistakes get, and that nothing is left on disk by them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import SWEEP, sweep_file, universe


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return universe(tmp_path_factory.mktemp("universe"))


def xsweep(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XSWEEP_CACHE": str(folder / "cache"), "HOME": str(folder)}
    call = [sys.executable, "-m", "xsweep.cli", *words]
    return subprocess.run(call, capture_output=True, text=True, env=environment, cwd=folder, timeout=120, check=False)


def test_a_wrong_file_says_everything_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    text = SWEEP.replace("epochs: 1}", "epochs: 0}").replace("[none, {name: nli", "[none, {nam: nli")
    file = sweep_file(tmp_path, text)
    for verb in ("check", "plan", "run"):
        done = xsweep(tmp_path, verb, str(file))
        assert done.returncode == 2
        lines = done.stderr.splitlines()
        assert len(lines) >= 2
        assert all(line.startswith(f"{file}:") for line in lines), done.stderr
        assert "did you mean 'name'" in done.stderr or "did you mean name" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml"]


def test_wrong_data_stops_before_anything_runs(tmp_path: Path, mirror: Path) -> None:
    text = SWEEP.replace("languages: [en, de]\n    max", "languages: [en, de, fr]\n    max")
    file = sweep_file(tmp_path, text.replace("languages: [en, de]}]", "languages: [en, de, fr]}]"))
    done = xsweep(tmp_path, "run", str(file), "--mirror", str(mirror), "--store", str(tmp_path / "runs"))
    assert done.returncode == 3
    assert "org/pairs" in done.stderr
    assert "'fr'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_model_that_is_not_there(tmp_path: Path, mirror: Path) -> None:
    file = sweep_file(tmp_path, SWEEP.replace("org/tiny-2", "org/tiny-9"))
    done = xsweep(tmp_path, "check", str(file), "--data", "--mirror", str(mirror))
    assert done.returncode == 5
    assert "org--tiny-9" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "nowhere.yaml"], "nowhere.yaml"),
        (["chek", "x.yaml"], "chek"),
        (["run"], "SWEEP"),
        (["plan", "tiny.yaml", "--mirror", "nowhere"], "nowhere"),
    ],
)
def test_usage_mistakes_are_exit_2_in_plain_words(tmp_path: Path, words: list[str], said: str) -> None:
    sweep_file(tmp_path)
    done = xsweep(tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_plan_knows_what_is_done_only_once_the_data_is_checked(tmp_path: Path, mirror: Path) -> None:
    file = sweep_file(tmp_path)
    words = [str(file), "--mirror", str(mirror)]
    before = json.loads(xsweep(tmp_path, "plan", *words, "--json").stdout)
    assert before["verified"] is False
    assert xsweep(tmp_path, "check", *words, "--data").returncode == 0
    after = json.loads(xsweep(tmp_path, "plan", *words, "--json").stdout)
    assert after["verified"] is True
    assert {line["stage"]: line["runs"] for line in after["lines"]}["target"] == 8
    assert {line["done"] for line in after["lines"]} == {0}


def test_check_data_shows_every_split_and_every_fault(tmp_path: Path, mirror: Path) -> None:
    file = sweep_file(tmp_path)
    done = xsweep(tmp_path, "check", str(file), "--data", "--mirror", str(mirror))
    assert done.returncode == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert rows["train/inter"].split()[:5] == ["train/inter", "en", "96", "96", "0"]
    assert "same 48, other 48" in rows["train/inter"]
    assert {"selection/goal", "test/goal/en", "test/goal/de", "model"} <= rows.keys()
    text = SWEEP.replace("labels: [same, other]", "labels: [same, odd]")
    wrong = xsweep(tmp_path, "check", str(sweep_file(tmp_path, text)), "--data", "--mirror", str(mirror))
    assert wrong.returncode == 3
    for place in ("en train", "en small", "en validation", "en test", "de test"):
        assert f"org/pairs {place} row 1: the label 'other' is none of the task's same, odd" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_catalogues_are_lists_for_scripts(tmp_path: Path) -> None:
    tasks = json.loads(xsweep(tmp_path, "tasks", "--json").stdout)
    assert {"snli", "anli", "mnli", "squad_v1", "xnli", "xquad"} <= {task["name"] for task in tasks}
    xnli = next(task for task in tasks if task["name"] == "xnli")
    assert xnli["sources"] == ["nyu-mll/multi_nli"]
    assert xnli["selects_on"] == "facebook/xnli validation"
    shown = xsweep(tmp_path, "tasks").stdout.splitlines()
    assert len(shown) == len(tasks) + 1
    assert all(task["licence"] in line for task, line in zip(tasks, shown[1:], strict=True))
    models = json.loads(xsweep(tmp_path, "models", "--json").stdout)
    assert {"xlmr-base", "xlmr-large"} <= {model["name"] for model in models}


def test_init_writes_a_file_that_checks_and_never_overwrites_one(tmp_path: Path) -> None:
    done = xsweep(tmp_path, "init", "sweeps/my sweep.yaml")
    assert done.returncode == 0, done.stderr
    assert xsweep(tmp_path, "check", "sweeps/my sweep.yaml").returncode == 0
    text = (tmp_path / "sweeps" / "my sweep.yaml").read_text("utf-8")
    assert "name: my-sweep" in text
    assert "NAME" not in text.replace("ORG/NAME", "")
    again = xsweep(tmp_path, "init", "sweeps/my sweep.yaml")
    assert again.returncode == 2
    assert "there is such a file already" in again.stderr


def test_init_copies_an_example(tmp_path: Path) -> None:
    assert xsweep(tmp_path, "init", "mine.yaml", "--example", "pilot").returncode == 0
    shipped = Path(__file__).resolve().parent.parent / "sweeps" / "pilot.yaml"
    assert (tmp_path / "mine.yaml").read_bytes() == shipped.read_bytes()
    wrong = xsweep(tmp_path, "init", "other.yaml", "--example", "pilt")
    assert (wrong.returncode, "did you mean 'pilot'?" in wrong.stderr) == (2, True)
    assert not (tmp_path / "other.yaml").exists()


def test_a_wrong_path_says_what_was_probably_meant(tmp_path: Path) -> None:
    xsweep(tmp_path, "init", "first.yaml")
    near, far = xsweep(tmp_path, "run", "frist.yaml"), xsweep(tmp_path, "run", "zzz.yaml")
    assert (near.returncode, far.returncode) == (2, 2)
    assert "did you mean first.yaml?" in near.stderr
    assert "`xsweep init zzz.yaml` writes one" in far.stderr


def test_every_command_shows_an_example() -> None:
    from typer.main import get_command

    from xsweep.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]  # the app is a group
    assert "init" in commands
    for name, command in commands.items():
        assert f"Example: xsweep {name}" in (command.help or ""), name


def test_the_ui_of_a_server_is_the_server(tmp_path: Path) -> None:
    done = xsweep(tmp_path, "ui", "--tracking", "http://me:secret@127.0.0.1:5001")
    assert (done.returncode, done.stdout) == (0, "A server has the runs; open http://127.0.0.1:5001\n")


def test_an_address_that_is_no_object_store_is_said_without_what_it_hides(tmp_path: Path) -> None:
    done = xsweep(tmp_path, "status", str(sweep_file(tmp_path)), "--store", "s3://key:secret@bucket/x")
    assert done.returncode == 2
    assert "an object store is s3://BUCKET/PREFIX, without credentials" in done.stderr
    assert "secret" not in done.stderr
