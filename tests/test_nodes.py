"""A sweep on a cluster of several nodes: groups over two of them, one lost in the middle, one that sees no store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import clusters
from tests.clusters import Head
from tests.test_end_to_end import tables
from tests.tiny import SWEEP, sweep_file, universe

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1500)]
ADDRESS = "--node-ip-address=127.0.0.{}"
"""Of a node beside the head: a driver joins a node of its own machine's address, which must not be the one lost."""
SPANNING = (
    SWEEP.replace("  - {name: t2, id: org/tiny-2, pooling: mean}\n", "")
    .replace("workers: 1", "workers: 2")
    .replace("epochs: 1}", "epochs: 40}")
    .replace("epochs: [1, 2]", "epochs: [20, 30]")
)
"""Its group needs both nodes, and a stage of it takes long enough to be struck."""


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return universe(tmp_path_factory.mktemp("universe"))


@pytest.fixture
def head() -> Iterator[Head]:
    with clusters.head("--num-cpus=1") as started:
        yield started


def started(head: Head, file: Path, mirror: Path, *options: str) -> subprocess.Popen[str]:
    call = [sys.executable, "-m", "xsweep.cli", "run", str(file), "--store", str(file.parent / "runs"),
            "--mirror", str(mirror), *options]  # fmt: skip
    pipe = subprocess.PIPE
    return subprocess.Popen(
        call, env=head.environment, cwd=file.parent, stdout=pipe, stderr=subprocess.STDOUT, text=True
    )


def test_a_node_is_lost_in_the_middle_and_another_comes(head: Head, mirror: Path, tmp_path: Path) -> None:
    for name in ("calm", "lost"):
        (tmp_path / name).mkdir()
    second = head.add("--num-cpus=1", ADDRESS.format(2))
    calm = started(head, sweep_file(tmp_path / "calm", SPANNING), mirror, "--address", head.address)
    said, _ = calm.communicate(timeout=500)
    assert calm.returncode == 0, said

    run = started(head, sweep_file(tmp_path / "lost", SPANNING), mirror, "--address", head.address)
    assert run.stdout is not None
    lines = []
    for line in run.stdout:
        lines.append(line)
        if line.startswith("trial "):
            break
    begin = time.monotonic()
    clusters.kill(second)
    head.add("--num-cpus=1", ADDRESS.format(3))
    for line in run.stdout:
        lines.append(line)
        if line.startswith(("trial ", "stage ")):
            break
    print(f"{time.monotonic() - begin:.1f} s from the loss of the node to the end of the next stage")
    rest, _ = run.communicate(timeout=550)
    assert run.returncode == 0, "".join(lines) + rest
    assert tables(tmp_path / "lost") == tables(tmp_path / "calm")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root can hide a folder from a node")
def test_a_node_that_does_not_see_the_store_stops_the_run_before_anything_starts(
    head: Head, mirror: Path, tmp_path: Path
) -> None:
    (tmp_path / "runs").mkdir()
    hide = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {tmp_path / "runs"} && exec "$@"', "sh"]
    head.add("--num-cpus=1", ADDRESS.format(2), before=hide)
    run = started(head, sweep_file(tmp_path, SWEEP), mirror, "--address", head.address)
    said, _ = run.communicate(timeout=300)
    assert run.returncode == 5, said
    assert f"{tmp_path / 'runs'}: node " in said
    assert "s3://" in said
    assert not (tmp_path / "runs" / "stages").exists()
