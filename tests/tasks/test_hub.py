"""The same rows from a small hub on loopback and from the mirror: equal examples, equal fingerprints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.made import pair_task, span_task
from xsweep.tasks.examples import fingerprint
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data, Task

TASKS = [
    pair_task(Data(dataset="facebook/xnli", config="en", split="validation")),
    pair_task(Data(dataset="facebook/xnli", config="de", split="test")),
    pair_task(Data(dataset="stanfordnlp/snli", config="plain_text", split="train")),
    pair_task(Data(dataset="facebook/anli", config="plain_text", split="dev_r1")),
    span_task(Data(dataset="rajpurkar/squad", config="plain_text", split="train")),
    span_task(Data(dataset="google/xquad", config="xquad.en", split="validation")),
]
WRONG = [
    pair_task(Data(dataset="facebook/xnli", config="xx", split="test")),
    pair_task(Data(dataset="facebook/xnli", config="de", split="train")),
    pair_task(Data(dataset="facebook/nope", config="de", split="train")),
    pair_task(Data(dataset="facebook/xnli", config="de", split="test", columns={"premise": "text"})),
]
CLIENT = """
import json, sys
from pathlib import Path
from xsweep.errors import XsweepError
from xsweep.tasks.examples import cached_fingerprint, load_split
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Task

sources = Sources((), Path(sys.argv[1]))
for line in sys.stdin:
    task = Task.model_validate_json(line)
    try:
        known = cached_fingerprint(task, "train", sources)
        said = {"known": known, "print": load_split(task, "train", sources).fingerprint}
    except XsweepError as error:
        said = {"error": type(error).__name__, "message": str(error)}
    print("SAID", json.dumps(said))
"""


@pytest.fixture(scope="module")
def hub(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [sys.executable, str(shared / "tools" / "minihub.py"), "--data", str(shared / "data"), "--port", "0"]
    log = tmp_path_factory.mktemp("hub") / "log"
    with subprocess.Popen([*command, "--log", str(log)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


def ask(hub: str, folder: Path, tasks: list[Task], **changes: str) -> list[dict[str, Any]]:
    """Load tasks in a process of its own, since the hub's client reads its environment when imported."""
    env = {**os.environ, "HF_ENDPOINT": hub, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(folder / "home"), **changes}
    lines = "\n".join(task.model_dump_json() for task in tasks)
    command = [sys.executable, "-c", CLIENT, str(folder / "cache")]
    done = subprocess.run(command, input=lines, env=env, capture_output=True, text=True, check=True, timeout=300)
    return [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("SAID ")]


def test_hub_and_mirror_give_equal_fingerprints_and_offline_goes_on(hub: str, real: Sources, tmp_path: Path) -> None:
    mirrored = [fingerprint(task, "train", real) for task in TASKS]
    first = ask(hub, tmp_path, TASKS)
    assert [said["print"] for said in first] == mirrored
    assert len(set(mirrored)) == len(TASKS)
    assert {said["known"] for said in first} == {None}
    again = ask(hub, tmp_path, TASKS[:3], HF_HUB_OFFLINE="1")
    assert [(said["known"], said["print"]) for said in again] == [(said, said) for said in mirrored[:3]]


def test_what_the_hub_lacks_is_a_data_error_in_one_line(hub: str, tmp_path: Path) -> None:
    said = ask(hub, tmp_path, WRONG)
    assert {one["error"] for one in said} == {"DataError"}
    for one, start in zip(
        said,
        (
            "facebook/xnli xx test: ",
            "facebook/xnli de train: ",
            "facebook/nope",
            "facebook/xnli de test: no column 'text'; it has premise, hypothesis, label",
        ),
        strict=True,
    ):
        assert one["message"].startswith(start)
        assert "\n" not in one["message"]


def test_a_hub_out_of_reach_is_no_data_error(tmp_path: Path) -> None:
    [said] = ask("http://127.0.0.1:9", tmp_path, WRONG[:1])
    assert said["error"] == "EnvironmentProblem"
    assert "did not answer" in said["message"]
