"""A store on an object store: attempts that never meet, small files by compare-and-swap, big ones through a cache.

BUCKET/PREFIX/stages/<key>/<attempt>-<random>/results/..., .../weights/...
              stages/<key>/manifest.json            by conditional put, after the files that it names
              stages/<key>/work/, beginnings/, decisions/, reports/, driver.lock    as in a local store

On every machine ``$XSWEEP_CACHE/stores/BUCKET/PREFIX`` holds scratch and the weights that were used last.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from xsweep.errors import EnvironmentProblem
from xsweep.store.backend import Entry, Found, Sources
from xsweep.store.files import default_cache, guarded, intact, remove_tree, sha256, slug
from xsweep.store.s3 import Bucket
from xsweep.store.tenure import hold_remote

_LISTED = ("stages/", "decisions/")


class RemoteFolder:
    """A folder of the object store, and the one on this machine where its files are made."""

    def __init__(self, bucket: Bucket, name: str, path: Path) -> None:
        self._bucket, self._name, self.path = bucket, name, path
        self.shown = bucket.shown(name)

    def inside(self, name: str) -> RemoteFolder:
        """The folder ``name`` in it."""
        return RemoteFolder(self._bucket, f"{self._name}/{name}", self.path / name)

    def held(self) -> dict[str, int]:
        """Name -> bytes of every object below it."""
        return self._bucket.sizes(self._name)

    def read(self, name: str) -> bytes:
        """A small object."""
        found = self._bucket.get(f"{self._name}/{name}")
        if found is None:
            raise EnvironmentProblem(f"{self._bucket.shown(f'{self._name}/{name}')}: was removed; run again")
        return found.data

    def write(self, name: str, data: bytes) -> None:
        """A small object."""
        self._bucket.upload(data, f"{self._name}/{name}")

    def keep(self, name: str) -> None:
        """Bring a file to the store; it is not needed here any longer."""
        self._bucket.upload(self.path / name, f"{self._name}/{name}")
        (self.path / name).unlink()

    def fetch(self, name: str) -> Path:
        """Bring an object to this machine, anew: what lies here may be of an earlier attempt."""
        target = self.path / name
        if not _download(self._bucket, f"{self._name}/{name}", target):
            raise EnvironmentProblem(f"{self._bucket.shown(f'{self._name}/{name}')}: was removed; run again")
        return target

    def drop(self, name: str) -> None:
        """Remove the folder ``name``, here and there."""
        self._bucket.delete(f"{self._name}/{name}/{each}" for each in self._bucket.sizes(f"{self._name}/{name}"))
        remove_tree(self.path / name)


class Remote:
    """``s3://BUCKET/PREFIX``."""

    def __init__(self, where: str) -> None:
        self._bucket = Bucket(where)
        self.where = self._bucket.address
        below = Path(self._bucket.bucket, *(part for part in self._bucket.prefix.split("/") if part not in ("", "..")))
        self.home = Path.cwd() / "runs" / below
        self._cache = default_cache().absolute() / "stores" / below
        self._known: dict[str, Found] = {}
        self._there: ContextVar[frozenset[str] | None] = ContextVar("there", default=None)

    def path(self, name: str) -> Path:
        """Where ``name`` stands, or would, in this machine's cache."""
        return self._cache / name

    def shown(self, name: str) -> str:
        """Its address."""
        return self._bucket.shown(name)

    def read(self, name: str) -> Found | None:
        """A small object, or None where there is none."""
        there = self._there.get()
        if there is not None and name.startswith(_LISTED) and "/".join(name.split("/")[:2]) not in there:
            return None
        return self._bucket.get(name)

    @contextmanager
    def glance(self) -> Iterator[None]:
        """One listing for every thousand stages, in place of a call for each that has not begun."""
        found = frozenset(part + name for part in _LISTED for name in self._bucket.names(part.rstrip("/")))
        before = self._there.set(found)
        try:
            yield
        finally:
            self._there.reset(before)

    def recall(self, name: str) -> Found | None:
        """The object as ``memorise`` was given it: a call to S3 takes as long as a thousand reads of a disk."""
        return self._known.get(name)

    def memorise(self, name: str, found: Found) -> None:
        """Remember an object that hardly ever changes."""
        self._known[name] = found

    def write(self, name: str, data: bytes, over: Found | None) -> bool:
        """Write by conditional put; False where something else stands there."""
        return self._bucket.put(name, data, over)

    def names(self, folder: str) -> list[str]:
        """Names of what is in ``folder``."""
        return self._bucket.names(folder)

    def place(self, stage: str, attempt: int, sources: Sources) -> dict[str, dict[str, Any]]:
        """Bring files below a name of this attempt alone; weights stay in the cache, for the stages that follow."""
        own, entries = f"{attempt}-{secrets.token_hex(4)}", {}
        for part, named in sources.items():
            for name in sorted(named):
                source, inside = named[name], f"{part}/{slug(name)}"
                at = f"{own}/{inside}"
                with guarded(self.path(stage)):
                    entries[inside] = {**_measured(source), "at": at}
                    self._bucket.upload(source, f"{stage}/{at}")
                    if isinstance(source, Path):
                        self._take(source, self.path(f"{stage}/{inside}"))
        return entries

    def withdraw(self, stage: str, entries: Mapping[str, Entry]) -> None:
        """Remove an attempt's objects."""
        self._bucket.delete(f"{stage}/{entry['at']}" for entry in entries.values())

    def settle(self, stage: str, *, final: bool) -> None:
        """When the stage is done with, its scratch goes, here and there."""
        if final:
            self.remove(f"{stage}/work")

    def evict(self, stage: str) -> int:
        """Remove a stage's weights, of whichever attempt, from the store and the cache; returns the store's bytes."""
        found = {name: size for name, size in self._bucket.sizes(stage).items() if "/weights/" in name}
        self._bucket.delete(f"{stage}/{name}" for name in found)
        with guarded(self.path(stage)):
            remove_tree(self.path(f"{stage}/weights"))
        return sum(found.values())

    def holds(self, stage: str, entries: Mapping[str, Entry]) -> bool:
        """Whether anything is left of these files."""
        return any(self.size(stage, name, entry) is not None for name, entry in entries.items())

    def size(self, stage: str, name: str, entry: Entry) -> int | None:
        """Bytes of an object, None where there is none."""
        return self._bucket.size(f"{stage}/{entry['at']}")

    def fetch(self, stage: str, name: str, entry: Entry) -> Path:
        """The file in the cache; brought there by one process of the machine, unless it is there and whole."""
        path = self.path(f"{stage}/{name}")
        with guarded(path), _alone(path):
            if not intact(path, entry):
                self._make_room(entry["bytes"])
                _download(self._bucket, f"{stage}/{entry['at']}", path)
        return path

    def folder(self, name: str) -> RemoteFolder:
        """A folder that workers fill."""
        return RemoteFolder(self._bucket, name, self.path(name))

    def remove(self, folder: str) -> int:
        """Remove a folder with all that it holds, here and there; returns the store's bytes."""
        found = self._bucket.sizes(folder)
        self._bucket.delete(f"{folder}/{name}" for name in found)
        with guarded(self.path(folder)):
            remove_tree(self.path(folder))
        return sum(found.values())

    def publish(self, name: str) -> str:
        """Bring the folder ``home / name`` to the store, in place of what stood there."""
        folder = self.home / name
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        for each in files:
            self._bucket.upload(folder / each, f"{name}/{each}")
        self._bucket.delete(f"{name}/{each}" for each in self._bucket.sizes(name).keys() - set(files))
        return self.shown(name)

    def free(self) -> int | None:
        """No end is known."""
        return None

    def lease(self) -> AbstractContextManager[None]:
        """A lease by compare-and-swap."""
        return hold_remote(self, "driver.lock")

    def _take(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)

    def _make_room(self, needed: int) -> None:
        """Drop the weights in the cache that were used longest ago while the disk is too full for the next."""
        self._cache.mkdir(parents=True, exist_ok=True)
        oldest = sorted(self._cache.glob("stages/*/weights"), key=lambda folder: folder.stat().st_mtime)
        for folder in oldest:
            if shutil.disk_usage(self._cache).free > 2 * needed:
                return
            shutil.rmtree(folder, ignore_errors=True)


def _measured(source: bytes | Path) -> dict[str, Any]:
    if isinstance(source, bytes):
        return {"sha256": hashlib.sha256(source).hexdigest(), "bytes": len(source)}
    return {"sha256": sha256(source), "bytes": source.stat().st_size}


def _download(bucket: Bucket, name: str, target: Path) -> bool:
    """Write an object to a file, whole or not at all; False where there is none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        if not bucket.download(name, temporary):
            return False
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process of this machine at a time; the lock goes with its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
