"""What the store asks of the place that it lies in: a local folder and an object store answer alike.

Names are parts joined by ``/``, below the store's root.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Entry = Mapping[str, Any]
"""What a manifest says of one file: its ``sha256`` and ``bytes``, on an object store also where it is ``at``."""

Sources = Mapping[str, Mapping[str, bytes | Path]]
"""``results`` and ``weights`` -> name -> what is to be kept; files are moved, not copied."""


@dataclass(frozen=True)
class Found:
    """A small file as it was read."""

    data: bytes
    tag: str = ""
    """Names this version of it; ``Backend.write`` replaces no other."""
    age: float = 0.0
    """Seconds since it was written, by the clock of the place that keeps it."""


class Folder(Protocol):
    """A folder of the store in which workers leave files that count once they are kept."""

    @property
    def path(self) -> Path:
        """Where its files are made on this machine; made or not."""

    @property
    def shown(self) -> str:
        """Its address in messages."""

    def inside(self, name: str) -> Folder:
        """The folder ``name`` in it."""

    def held(self) -> dict[str, int]:
        """Name -> bytes of every file that the store has of it, at any depth."""

    def read(self, name: str) -> bytes:
        """A small file that the store has."""

    def write(self, name: str, data: bytes) -> None:
        """A small file, whole or not at all."""

    def keep(self, name: str) -> None:
        """Bring the file made at ``path / name`` to the store."""

    def fetch(self, name: str) -> Path:
        """A file that the store has, on this machine."""

    def drop(self, name: str) -> None:
        """Remove the folder ``name`` in it."""


class Backend(Protocol):
    """A place that a store lies in. Everything raises ``EnvironmentProblem`` where the place does not answer."""

    where: str
    """What ``Store`` opens it by, on every machine."""
    home: Path
    """The local folder of what people open, reports and MLflow's runs; of a local store its own."""

    def path(self, name: str) -> Path:
        """Where ``name`` stands, or would, on this machine."""

    def shown(self, name: str) -> str:
        """``name`` as a message says it."""

    def read(self, name: str) -> Found | None:
        """A small file, or None where there is none."""

    def glance(self) -> AbstractContextManager[None]:
        """While it lasts, what was not there at its beginning is taken for absent, where asking is slow."""

    def recall(self, name: str) -> Found | None:
        """The file as ``memorise`` was given it, where reading it anew would cost more than it is worth."""

    def memorise(self, name: str, found: Found) -> None:
        """Remember a file that hardly ever changes."""

    def write(self, name: str, data: bytes, over: Found | None) -> bool:
        """Write a small file where ``over`` stands still, or nothing where it is None; False where that is not so.

        A local store trusts its one driver's lock, and always writes.
        """

    def names(self, folder: str) -> list[str]:
        """Names of what is in ``folder``, sorted; empty where it is not there."""

    def place(self, stage: str, attempt: int, sources: Sources) -> dict[str, dict[str, Any]]:
        """Bring an attempt's files to the store; returns the manifest's entries by ``results/NAME`` and so on."""

    def withdraw(self, stage: str, entries: Mapping[str, Entry]) -> None:
        """Remove what ``place`` brought, since another attempt's manifest came first."""

    def settle(self, stage: str, *, final: bool) -> None:
        """Called when the manifest is written; when it is the last of the stage, its scratch goes."""

    def evict(self, stage: str) -> int:
        """Remove a stage's weights, of whichever attempt; returns the bytes freed."""

    def holds(self, stage: str, entries: Mapping[str, Entry]) -> bool:
        """Whether anything is left of these files."""

    def size(self, stage: str, name: str, entry: Entry) -> int | None:
        """Bytes of a file as it lies in the store."""

    def fetch(self, stage: str, name: str, entry: Entry) -> Path:
        """The file at ``path(stage/name)``, brought there if need be, whether whole or damaged."""

    def folder(self, name: str) -> Folder:
        """A folder that workers fill."""

    def remove(self, folder: str) -> int:
        """Remove a folder with all that it holds; returns the bytes freed."""

    def publish(self, name: str) -> str:
        """Bring the folder ``home / name`` to the store, where it does not lie there already; where it is then."""

    def free(self) -> int | None:
        """Bytes that still find room, None where no end is known."""

    def lease(self) -> AbstractContextManager[None]:
        """Be the one driver; raises ``StoreBusy`` when another is."""
