"""Sweeps as jobs of a real local head with token authentication, from submission to the same tables as a local run."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import clusters
from tests.clusters import BIN, Head
from tests.test_end_to_end import tables, xsweep
from tests.tiny import SWEEP, sweep_file, universe

pytestmark = [pytest.mark.ray, pytest.mark.slow]
LONGER = SWEEP.replace("epochs: 1}", "epochs: 150}").replace("epochs: [1, 2]", "epochs: [50, 100]")
"""Long enough to be stopped in the middle."""


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with clusters.head("--num-cpus=2", '--resources={"driver": 2}') as started:
        yield started


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return universe(tmp_path_factory.mktemp("universe"))


def ray_job_submit(head: Head, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Submit by hand and follow, trying again while the head's job agent is still starting."""
    call = [str(BIN / "ray"), "job", "submit", "--address", head.url, "--", "xsweep", *words]
    for _ in range(20):
        done = subprocess.run(call, env=head.environment, cwd=folder, capture_output=True, text=True, timeout=500)
        if "No available agent" not in done.stdout + done.stderr:
            return done
        time.sleep(3)
    raise AssertionError(done.stdout + done.stderr)


def work(folder: Path, text: str = SWEEP) -> Path:
    """A folder with the sweep file, as it is sent."""
    (folder / "work").mkdir()
    return sweep_file(folder / "work", text)


def test_a_sweep_is_submitted_stopped_submitted_again_and_ends_as_a_local_run(
    head: Head, mirror: Path, tmp_path: Path
) -> None:
    file = work(tmp_path, LONGER)
    options = ["--store", str(tmp_path / "runs"), "--mirror", str(mirror)]

    taken = head.xsweep(file.parent, "submit", file.name, *options)
    assert taken.returncode == 0, taken.stderr
    assert taken.stderr == ""
    assert taken.stdout.startswith("xsweep-tiny-1: submitted\n")
    again = head.xsweep(file.parent, "submit", file.name, *options)
    assert again.returncode == 5
    assert again.stderr.startswith("tiny: runs already on this store, as job xsweep-tiny-1; ")

    end = time.monotonic() + 300
    while "\ntrial " not in (said := head.xsweep(tmp_path, "logs", "tiny").stdout):
        assert time.monotonic() < end, said
        time.sleep(1)
    status = head.xsweep(file.parent, "status", file.name, "--address", head.url)  # as from any machine
    assert "xsweep-tiny-1: running; started 20" in status.stdout
    stopped = head.xsweep(file.parent, "stop", file.name)
    assert (stopped.returncode, stopped.stdout) == (0, "xsweep-tiny-1: stopped\n")
    ended = head.xsweep(tmp_path, "logs", "-f", "xsweep-tiny-1")
    assert ended.returncode == 75
    assert "SIGTERM: stopping" in ended.stdout
    assert "Run the same command again to go on" in ended.stdout  # it ended by itself, within its time

    finished = head.xsweep(file.parent, "submit", file.name, *options, "--follow")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "8 of 8 cells scored" in finished.stdout
    assert "24 stages ran now" not in finished.stdout  # some had ended before
    jobs = json.loads(head.xsweep(tmp_path, "jobs", "--json").stdout)
    assert [(job["id"], job["status"], job["code"]) for job in jobs] == [
        ("xsweep-tiny-2", "SUCCEEDED", 0), ("xsweep-tiny-1", "STOPPED", 75)
    ]  # fmt: skip

    local = tmp_path / "local"
    local.mkdir()
    assert xsweep(local, "run", str(sweep_file(local, LONGER)), mirror=mirror).returncode == 0
    assert tables(local) == tables(tmp_path)


def test_a_wrong_file_and_wrong_data_end_the_follower_as_they_end_a_run(
    head: Head, mirror: Path, tmp_path: Path
) -> None:
    file = work(tmp_path)
    text = file.read_text().replace("name: tiny", "name: bad").replace("labels: [same, other]", "labels: [same, odd]")
    file.write_text(text)
    options = ["--store", str(tmp_path / "runs"), "--mirror", str(mirror), "--follow"]
    wrong = head.xsweep(file.parent, "submit", file.name, *options)
    assert wrong.returncode == 3, wrong.stdout + wrong.stderr
    assert "the label 'other' is none of the task's same, odd" in wrong.stdout
    assert wrong.stderr == "xsweep-bad-1: failed with exit code 3\n"
    assert head.xsweep(tmp_path, "logs", "-f", "bad").returncode == 3
    assert not (tmp_path / "runs" / "stages").exists()


@pytest.mark.parametrize(("token", "said"), [(None, "is missing"), ("0" * 64, "is not this cluster's")])
def test_without_the_token_nothing_is_taken(head: Head, tmp_path: Path, token: str | None, said: str) -> None:
    file = work(tmp_path)
    before = len(json.loads(head.xsweep(tmp_path, "jobs", "--json").stdout))
    refused = head.xsweep(file.parent, "submit", file.name, "--store", str(tmp_path / "runs"), token=token)
    assert refused.returncode == 5
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert len(json.loads(head.xsweep(tmp_path, "jobs", "--json").stdout)) == before


def test_gpus_that_no_node_has_and_no_autoscaler_brings(head: Head, tmp_path: Path) -> None:
    file = work(tmp_path)
    file.write_text(file.read_text().replace("cpus: 1}", "cpus: 1, gpus: 1}"))
    refused = head.xsweep(file.parent, "submit", file.name, "--store", str(tmp_path / "runs"))
    assert refused.returncode == 5
    assert "no room for model t1" in refused.stderr
    assert "no autoscaler" in refused.stderr


def test_ray_job_submit_by_hand_works_the_same(head: Head, mirror: Path, tmp_path: Path) -> None:
    file = work(tmp_path)
    options = ["--store", str(tmp_path / "runs"), "--mirror", str(mirror)]
    file.write_text(file.read_text().replace("epochs: 1}", "epochs: none}"))
    wrong = ray_job_submit(head, file.parent, "run", str(file), *options)
    assert wrong.returncode != 0
    assert "exit code 2" in wrong.stdout + wrong.stderr
    assert "tiny.yaml:" in wrong.stdout + wrong.stderr
    done = ray_job_submit(head, file.parent, "plan", str(sweep_file(file.parent)), *options)
    assert done.returncode == 0, done.stdout + done.stderr
