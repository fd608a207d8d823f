"""Where the chatter of one launch goes: Ray's and other libraries', which nobody wants to read while all is well."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from xsweep.engine import watchdog

_MOST = 20
"""Launches whose logs are kept."""


@contextmanager
def chatter(root: Path) -> Iterator[Path]:
    """A folder of ``root`` for the logs of this launch, gone again when it stays empty.

    In a driver of its own (``watchdog.supervised``) standard error goes there too, to ``driver.log``: Ray's core and
    other libraries write to it from anywhere. What users must know is printed before or after, or on standard output.
    """
    folder = root / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    folder.mkdir(parents=True)
    for old in sorted(root.iterdir())[:-_MOST]:
        shutil.rmtree(old, ignore_errors=True)
    watchdog.tell("logs", folder)
    try:
        if watchdog.supervised():
            with _standard_error(folder / "driver.log"):
                yield folder
        else:
            yield folder
    finally:
        _remove_when_empty(folder)


@contextmanager
def _standard_error(file: Path) -> Iterator[None]:
    """Send the file descriptor elsewhere, so that it holds for C++ and for processes started meanwhile."""
    sys.stderr.flush()
    before = os.dup(2)
    with file.open("ab") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)


def _remove_when_empty(folder: Path) -> None:
    if not any(path.stat().st_size for path in folder.rglob("*") if path.is_file()):
        shutil.rmtree(folder, ignore_errors=True)
