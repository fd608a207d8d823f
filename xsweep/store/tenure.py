"""One driver per object store: a lease renewed by compare-and-swap, taken over when its holder no longer renews it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from xsweep.errors import EnvironmentProblem, StoreBusy
from xsweep.store.backend import Found

RENEW = 5.0
"""Seconds between two renewals."""
STALE = 30.0
"""Seconds without one after which the lease is anybody's."""
_LOOK = 0.5


class Place(Protocol):
    """Where the lease is written."""

    def read(self, name: str) -> Found | None:
        """The lease as it stands."""

    def write(self, name: str, data: bytes, over: Found | None) -> bool:
        """Write it where ``over`` stands still; False where that is not so."""

    def shown(self, name: str) -> str:
        """Its address."""


@contextmanager
def hold_remote(place: Place, name: str, renew: float = RENEW, stale: float = STALE) -> Iterator[None]:
    """Hold the lease ``name``; raises ``StoreBusy``, naming host and process, when another holds it.

    Whether a holder lives is seen from its next renewal; one that died is followed after ``stale`` seconds, by the
    clock of the store alone. A holder that loses its lease, or cannot renew it in time, is sent SIGTERM as if
    someone had stopped it, and what it then still ends with is ``StoreBusy``.
    """
    tenure = _Tenure(place, name, renew, stale)
    tenure.take()
    thread = threading.Thread(target=tenure.keep, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        tenure.ending.set()
        thread.join()
        tenure.give_up()
    if tenure.lost:
        raise StoreBusy(f"{place.shown(name)}: {tenure.lost}")


class _Tenure:
    def __init__(self, place: Place, name: str, renew: float, stale: float) -> None:
        self._place, self._name, self._renew, self._stale = place, name, renew, stale
        self._token, self._start, self._count = secrets.token_hex(8), datetime.now(UTC), 0
        self._standing: Found | None = None
        self.ending = threading.Event()
        self.lost = ""
        """Why it is held no longer."""

    def take(self) -> None:
        """Take the lease, waiting as long as it takes to know whether its holder lives."""
        first = self._place.read(self._name)
        found = first
        while found is not None and _holder(found) and found.age < self._stale:
            assert first is not None
            if found.tag != first.tag:
                raise StoreBusy(f"{self._place.shown(self._name)}: in use by another xsweep: {_holder(found)}")
            time.sleep(min(_LOOK, self._renew / 4))
            found = self._place.read(self._name)
        if not self._write(found):
            now = self._place.read(self._name)
            holder = (now and _holder(now)) or "a process that left no name"
            raise StoreBusy(f"{self._place.shown(self._name)}: in use by another xsweep: {holder}")

    def keep(self) -> None:
        """Renew until ``ending``; where that fails for good, say so to the main thread."""
        renewed = time.monotonic()
        while not self.ending.wait(self._renew):
            try:
                if self._write(self._standing):
                    renewed = time.monotonic()
                    continue
                now = self._place.read(self._name)
                self.lost = f"taken over by {(now and _holder(now)) or 'another xsweep'}"
            except EnvironmentProblem as problem:
                # Before others may take it, and time to stop.
                if time.monotonic() - renewed < self._stale - 2 * self._renew:
                    continue
                self.lost = f"the lease could not be renewed: {problem}"
            # To the main thread itself: what it waits for is then interrupted.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            return

    def give_up(self) -> None:
        """Leave the lease free, where it is still one's own."""
        if not self.lost:
            try:
                self._place.write(self._name, b"{}\n", self._standing)
            except EnvironmentProblem:
                return  # it grows stale by itself, and what happened inside matters more

    def _write(self, over: Found | None) -> bool:
        self._count += 1
        start = self._start.isoformat(timespec="seconds")
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "start": start}
        data = json.dumps({**holder, "token": self._token, "renewals": self._count}).encode()
        if not self._place.write(self._name, data, over):
            return False
        self._standing = self._place.read(self._name)
        return self._standing is not None and self._standing.data == data


def _holder(found: Found) -> str:
    """Who holds the lease, in words; "" where nobody does."""
    try:
        holder = json.loads(found.data)
        return f"process {holder['pid']} on host {holder['host']}, since {holder['start']}" if holder else ""
    except (ValueError, KeyError, TypeError):
        return "a process that left no name"
