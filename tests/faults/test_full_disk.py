"""Row 13 on a real disk of 2 MB: what was there stays readable, what did not fit is not there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from xsweep.errors import StoreFull
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store

KEYS = [letter * 32 for letter in "abcdef"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs to mount a disk, as root can")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_small_disk_that_is_full_keeps_what_it_had(small_disk: Path) -> None:
    store = Store(small_disk / "runs")

    def commit(*keys: str) -> None:
        for key in keys:
            data = {"predictions.parquet": os.urandom(600_000), "metrics.json": b"{}"}
            store.commit(Manifest(key=key, kind="target", status="ok"), data, None)

    with pytest.raises(StoreFull, match="no space left; free some and run the same command again"):
        commit(*KEYS)
    kept = [manifest.key for manifest in store.manifests()]
    assert kept == KEYS[: len(kept)]
    assert len(kept) in (2, 3)
    assert list(store.root.rglob(".*")) == [], "no temporary file takes room"
    with pytest.raises(StoreFull), store.lease():
        store.decide("d" * 32, {"filler": "x" * 1_500_000})
    (store.results(kept[0]) / "predictions.parquet").unlink()
    commit(KEYS[len(kept)])
