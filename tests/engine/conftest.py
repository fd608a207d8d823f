"""One Ray for all tests of the room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from xsweep.engine.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    """A private cluster of 6 logical CPUs, so that several small pools fit,, whose workers can import these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
        with Cluster(cpus=6) as started:
            yield started
        if started.kept:  # some tests make workers die, which leaves the logs
            shutil.rmtree(started.kept.parents[1])
