"""The store: the only truth about what has been done. Paths are made here and nowhere else.

ROOT/driver.lock                     who runs now
ROOT/decisions/<address>.json        what a study decided; written once
ROOT/stages/<key>/manifest.json      written last
ROOT/stages/<key>/results/           permanent
ROOT/stages/<key>/weights/           evictable
ROOT/stages/<key>/work/              scratch of a running stage
ROOT/beginnings/<key>/               what runs of different lengths have in common; evictable
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from xsweep.errors import EnvironmentProblem
from xsweep.store.failpoint import reach
from xsweep.store.files import (
    drop_temporaries,
    guarded,
    move,
    remove_tree,
    sha256,
    sha256_once,
    slug,
    sync_folder,
    write_atomic,
)
from xsweep.store.keys import canonical
from xsweep.store.lease import hold
from xsweep.store.manifests import Manifest, read_manifest


class Store:
    """Stages and decisions in one folder. Nothing is made on disk until the first write."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    # Reading

    def manifest(self, key: str) -> Manifest | None:
        """The manifest of stage ``key``, or None; raises ``EnvironmentProblem`` when it is damaged."""
        path = self.folder(key) / "manifest.json"
        with guarded(path):
            try:
                manifest = read_manifest(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
        if manifest.key != key:
            raise EnvironmentProblem(f"{path}: this is the manifest of another stage, {manifest.key}")
        return manifest

    def manifests(self) -> Iterator[Manifest]:
        """All manifests, in order of their keys."""
        stages = self.root / "stages"
        with guarded(stages):
            keys = sorted(path.name for path in stages.iterdir()) if stages.is_dir() else []
        for key in keys:
            if not key.startswith(".") and (manifest := self.manifest(key)) is not None:
                yield manifest

    def folder(self, key: str) -> Path:
        """``stages/<key>``, made or not."""
        return self.root / "stages" / slug(key)

    def results(self, key: str) -> Path:
        """The folder of a stage's permanent files."""
        return self.folder(key) / "results"

    def has_weights(self, key: str) -> bool:
        """Whether the weights are there at their sizes; their digests are checked by ``weights``."""
        manifest = self.manifest(key)
        if manifest is None or not manifest.weights:
            return False
        return all(_size(self.folder(key) / name) == entry["bytes"] for name, entry in manifest.weights.items())

    def weights(self, key: str) -> Path:
        """The folder of a stage's weights, each file's SHA-256 checked once per process.

        Raises ``EnvironmentProblem`` when they are not there, or damaged; damaged ones are evicted first,
        so that the next run makes them anew.
        """
        manifest = self.manifest(key)
        folder = self.folder(key)
        if manifest is None or not manifest.weights or not (folder / "weights").is_dir():
            raise EnvironmentProblem(f"{folder}: the store holds no weights of this stage")
        for name, entry in manifest.weights.items():
            path = folder / name
            with guarded(path):
                whole = _size(path) == entry["bytes"] and sha256_once(path) == entry["sha256"]
            if not whole:
                self.evict(key)
                raise EnvironmentProblem(f"{path}: damaged, so these weights were removed; the next run rebuilds them")
        return folder / "weights"

    def sound_weights(self, key: str) -> bool:
        """Whether the weights are there as they were written; damaged ones are removed."""
        try:
            return self.has_weights(key) and self.weights(key).is_dir()
        except EnvironmentProblem:
            return False

    # Writing

    def work(self, key: str) -> Path:
        """The scratch folder of a running stage, made if absent; gone when the stage is done with."""
        path = self.folder(key) / "work"
        with guarded(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def commit(
        self,
        manifest: Manifest,
        results: Mapping[str, bytes | Path],
        weights: Mapping[str, Path] | None = None,
    ) -> Manifest:
        """End an attempt at a stage: files into place, hashed, and the manifest last. Returns it as written.

        Paths must lie on the store's file system (``work(key)``); they are moved. A stage that is done
        with keeps its first results: committing it again only brings back its weights.
        """
        old = self.manifest(manifest.key)
        folder = self.folder(manifest.key)
        with guarded(folder):
            if old is None or not old.final:
                files = {**_place(folder / "results", results), **_place(folder / "weights", weights or {})}
                done = replace(manifest, files=files, attempt=1 if old is None else old.attempt + 1)
            elif weights:
                kept = {name: entry for name, entry in old.files.items() if name not in old.weights}
                done = replace(old, files={**kept, **_place(folder / "weights", weights)})
            else:
                done = old
            drop_temporaries(folder / "manifest.json")
            reach("manifest.before")
            write_atomic(folder / "manifest.json", done.to_json())
            reach("manifest.after")
            sync_folder(folder.parent)
            if done.final:
                remove_tree(folder / "work")
        return done

    def reopen(self, key: str) -> None:
        """Let the next run try a stage again that is done with, however it ended; its attempts are counted on."""
        manifest = self.manifest(key)
        if manifest is None:
            raise EnvironmentProblem(f"{self.folder(key)}: no such stage")
        reason = f"to be tried again: it ended {manifest.status}. {manifest.reason}"
        path = self.folder(key) / "manifest.json"
        write_atomic(path, replace(manifest, status="failed", reason=reason).to_json())

    def evict(self, key: str) -> int:
        """Remove a stage's weights; manifest and results stay. Returns the bytes freed."""
        folder = self.folder(key) / "weights"
        with guarded(folder):
            return remove_tree(folder)

    # Beginnings

    def beginning(self, key: str) -> Path:
        """The folder of the training states that runs with the beginning ``key`` have left, made or not."""
        return self.root / "beginnings" / slug(key)

    def beginnings(self) -> list[str]:
        """The keys of all beginnings that are there."""
        folder = self.root / "beginnings"
        with guarded(folder):
            return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def drop_beginning(self, key: str) -> int:
        """Remove a beginning; runs that want it start from nothing. Returns the bytes freed."""
        folder = self.beginning(key)
        with guarded(folder):
            return remove_tree(folder)

    # Decisions

    def decision(self, address: str) -> dict[str, Any] | None:
        """What the study at ``address`` decided, or None while it has not."""
        path = self._decision_path(address)
        with guarded(path):
            try:
                value = json.loads(path.read_bytes())
            except FileNotFoundError:
                return None
            except ValueError as error:
                raise EnvironmentProblem(f"{path}: the decision cannot be read: {error}") from error
        if not isinstance(value, dict):
            raise EnvironmentProblem(f"{path}: this is no decision")
        return value

    def decide(self, address: str, decision: Mapping[str, Any]) -> None:
        """Write a study's decision, once; raises ``EnvironmentProblem`` when another one stands already."""
        path = self._decision_path(address)
        text = canonical(decision)
        old = self.decision(address)
        if old is not None and canonical(old) != text:
            raise EnvironmentProblem(f"{path}: this study has decided already, and otherwise")
        if old is None:
            with guarded(path):
                drop_temporaries(path)
                reach("decision.before")
                write_atomic(path, text.encode())
                reach("decision.after")

    def _decision_path(self, address: str) -> Path:
        return self.root / "decisions" / f"{slug(address)}.json"

    # One driver

    def lease(self) -> AbstractContextManager[None]:
        """Be the store's one driver while the context lasts; raises ``StoreBusy`` at once when another is."""
        return hold(self.root / "driver.lock")


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _place(folder: Path, sources: Mapping[str, bytes | Path] | Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Fill ``folder`` anew, whatever a killed commit left in it; returns the manifest's entries."""
    remove_tree(folder)
    entries = {}
    for name in sorted(sources):
        source, target = sources[name], folder / slug(name)
        if isinstance(source, bytes):
            write_atomic(target, source)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            move(source, target)
        entries[f"{folder.name}/{name}"] = {"sha256": sha256(target), "bytes": target.stat().st_size}
    if entries:
        sync_folder(folder)
        sync_folder(folder.parent)
    return entries
