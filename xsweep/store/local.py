"""A store in a local folder, or one that all machines see at the same path: every byte is fsynced before it counts."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from xsweep.store.backend import Entry, Found, Sources
from xsweep.store.files import drop_temporaries, guarded, move, remove_tree, slug, sync_folder, write_atomic
from xsweep.store.lease import hold


class LocalFolder:
    """A folder whose files are in the store where they are made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shown = str(path)

    def inside(self, name: str) -> LocalFolder:
        """The folder ``name`` in it."""
        return LocalFolder(self.path / name)

    def held(self) -> dict[str, int]:
        """Name -> bytes of every file in it."""
        files = (path for path in self.path.rglob("*") if path.is_file())
        return {path.relative_to(self.path).as_posix(): path.stat().st_size for path in files}

    def read(self, name: str) -> bytes:
        """A small file."""
        with guarded(self.path / name):
            return (self.path / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """A small file, whole or not at all."""
        write_atomic(self.path / name, data)

    def keep(self, name: str) -> None:
        """Make a file durable."""
        with guarded(self.path / name), (self.path / name).open("rb+") as handle:
            os.fsync(handle.fileno())

    def fetch(self, name: str) -> Path:
        """Where the file is."""
        return self.path / name

    def drop(self, name: str) -> None:
        """Remove the folder ``name`` in it."""
        shutil.rmtree(self.path / name)
        sync_folder(self.path)


class Local:
    """A folder. Nothing is made on disk until the first write."""

    def __init__(self, root: Path) -> None:
        self.home = root
        self.where = str(root)

    def path(self, name: str) -> Path:
        """Where ``name`` stands, or would."""
        return self.home / name

    def shown(self, name: str) -> str:
        """Its path."""
        return str(self.path(name))

    def read(self, name: str) -> Found | None:
        """A small file, or None where there is none."""
        path = self.path(name)
        with guarded(path):
            try:
                return Found(path.read_bytes())
            except (FileNotFoundError, NotADirectoryError):
                return None

    def glance(self) -> AbstractContextManager[None]:
        """Nothing: reading is cheap."""
        return nullcontext()

    def recall(self, name: str) -> Found | None:
        """Nothing: reading is cheap."""
        return None

    def memorise(self, name: str, found: Found) -> None:
        """Nothing: reading is cheap."""

    def write(self, name: str, data: bytes, over: Found | None) -> bool:
        """Write a small file; true, since only one driver's workers write."""
        path = self.path(name)
        drop_temporaries(path)
        write_atomic(path, data)
        return True

    def names(self, folder: str) -> list[str]:
        """Names of what is in ``folder``."""
        path = self.path(folder)
        with guarded(path):
            return sorted(child.name for child in path.iterdir()) if path.is_dir() else []

    def place(self, stage: str, attempt: int, sources: Sources) -> dict[str, dict[str, Any]]:
        """Fill the parts anew, whatever a killed commit left in them; returns the manifest's entries.

        Paths must lie on the store's file system; they are moved.
        """
        folder, entries = self.path(stage), dict[str, dict[str, Any]]()
        with guarded(folder):
            for part, named in sources.items():
                entries |= _place(folder / part, named)
        return entries

    def withdraw(self, stage: str, entries: Mapping[str, Entry]) -> None:
        """Nothing: ``write`` never loses."""

    def settle(self, stage: str, *, final: bool) -> None:
        """Make the stage's name durable; when it is done with, its scratch goes."""
        folder = self.path(stage)
        with guarded(folder):
            sync_folder(folder.parent)
            if final:
                remove_tree(folder / "work")

    def evict(self, stage: str) -> int:
        """Remove a stage's weights; returns the bytes freed."""
        return self.remove(f"{stage}/weights")

    def holds(self, stage: str, entries: Mapping[str, Entry]) -> bool:
        """Whether the folders of these files are there."""
        return any((self.path(stage) / name).parent.is_dir() for name in entries)

    def size(self, stage: str, name: str, entry: Entry) -> int | None:
        """Bytes of a file, None where it is none."""
        path = self.path(stage) / name
        return path.stat().st_size if path.is_file() else None

    def fetch(self, stage: str, name: str, entry: Entry) -> Path:
        """Where the file is."""
        return self.path(stage) / name

    def folder(self, name: str) -> LocalFolder:
        """A folder that workers fill."""
        return LocalFolder(self.path(name))

    def remove(self, folder: str) -> int:
        """Remove a folder with all that it holds; returns the bytes freed."""
        path = self.path(folder)
        with guarded(path):
            return remove_tree(path)

    def publish(self, name: str) -> str:
        """Nothing to do: the folder is in the store."""
        return self.shown(name)

    def free(self) -> int | None:
        """Bytes free on the disk."""
        standing = next(folder for folder in (self.home, *self.home.parents) if folder.is_dir())
        return shutil.disk_usage(standing).free

    def lease(self) -> AbstractContextManager[None]:
        """A lock that the kernel drops with its holder."""
        return hold(self.path("driver.lock"))


def _place(folder: Path, sources: Mapping[str, bytes | Path]) -> dict[str, dict[str, Any]]:
    remove_tree(folder)
    entries = {}
    for name in sorted(sources):
        source, target = sources[name], folder / slug(name)
        if isinstance(source, bytes):
            write_atomic(target, source)
            digest = hashlib.sha256(source).hexdigest()
        else:
            folder.mkdir(parents=True, exist_ok=True)
            digest = move(source, target)
        entries[f"{folder.name}/{name}"] = {"sha256": digest, "bytes": target.stat().st_size}
    if entries:
        sync_folder(folder)
        sync_folder(folder.parent)
    return entries
