from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xsweep.errors import EnvironmentProblem, StoreBusy
from xsweep.store.store import Store

HOLDER = """
import sys, time
from pathlib import Path
from xsweep.store.store import Store
with Store(Path(sys.argv[1])).lease():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "a store")


def test_the_loser_hears_at_once_who_holds_it(store: Store) -> None:
    with store.lease():
        start = time.monotonic()
        with pytest.raises(StoreBusy) as caught, store.lease():
            pass
        assert time.monotonic() - start < 1
    said = str(caught.value)
    assert f"process {os.getpid()} on host {socket.gethostname()}" in said
    assert str(store.root) in said


def test_released_it_is_free(store: Store) -> None:
    for _ in range(2):
        with store.lease():
            pass
    with pytest.raises(RuntimeError), store.lease():
        raise RuntimeError
    with store.lease():
        pass


def test_a_killed_holder_blocks_nobody(store: Store) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(store.root)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StoreBusy, match=f"process {holder.pid} on host"), store.lease():
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with store.lease():
        pass


def test_a_holder_without_a_name_is_still_a_holder(store: Store) -> None:
    with store.lease():
        (store.root / "driver.lock").write_bytes(b"")
        with pytest.raises(StoreBusy, match="left no name"), store.lease():
            pass


def test_a_root_that_cannot_be_made_is_one_plain_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EnvironmentProblem, match="file"), Store(tmp_path / "file").lease():
        pass
