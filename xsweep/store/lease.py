"""One driver per store: an flock that vanishes with its holder, and the holder's name inside the locked file."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from xsweep.errors import EnvironmentProblem, StoreBusy
from xsweep.store.failpoint import reach
from xsweep.store.files import guarded

_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` exclusively; raises ``StoreBusy`` at once, naming host and process, when taken.

    The kernel drops the lock when its holder dies, however it dies, so a stale file blocks nobody. The
    file is never removed: removing it would let two processes lock two files of one name.
    """
    with guarded(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor, path)
        reach("lease.locked")
        _name_holder(descriptor)
        reach("lease.named")
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(path: Path) -> str:
    """Who held the lock file ``path`` and was killed, "" where nobody was; raises ``StoreBusy`` while it is held."""
    with guarded(path):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return ""
    try:
        _lock(descriptor, path)
        return _holder(descriptor) if os.fstat(descriptor).st_size else ""
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            raise StoreBusy(f"{path.parent}: in use by another xsweep: {_holder(descriptor)}") from error
        raise EnvironmentProblem(f"{path}: this file system keeps no locks: {error.strerror}") from error


def _name_holder(descriptor: int) -> None:
    start = datetime.now(UTC).isoformat(timespec="seconds")
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "start": start}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _holder(descriptor: int) -> str:
    """Who holds the lock; waits a moment for a holder that has locked but not yet written its name."""
    for _ in range(10):
        try:
            holder = json.loads(os.pread(descriptor, 4096, 0))
            return f"process {holder['pid']} on host {holder['host']}, since {holder['start']}"
        except (ValueError, KeyError, TypeError):
            time.sleep(0.02)
    return "a process that left no name"
