"""The store: the only truth about what has been done. Names are made here and nowhere else.

ROOT/driver.lock                     who runs now
ROOT/decisions/<address>.json        what a study decided; written once
ROOT/stages/<key>/manifest.json      written last
ROOT/stages/<key>/results/           permanent
ROOT/stages/<key>/weights/           evictable
ROOT/stages/<key>/work/              scratch of a running stage
ROOT/beginnings/<key>/               what runs of different lengths have in common; evictable
ROOT/reports/<sweep>/                tables, figures and page

On an object store ``results`` and ``weights`` stand below ``<key>/<attempt>/``, so that no two attempts meet; the
manifest says where.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from xsweep.errors import EnvironmentProblem
from xsweep.store.backend import Backend, Entry, Folder, Found
from xsweep.store.failpoint import reach
from xsweep.store.files import guarded, intact, slug
from xsweep.store.keys import canonical
from xsweep.store.local import Local
from xsweep.store.manifests import Manifest, read_manifest


class Store:
    """Stages and decisions in one folder, or below ``s3://BUCKET/PREFIX``. Nothing is made until the first write."""

    def __init__(self, where: Path | str) -> None:
        self._files = _open(where)

    def __repr__(self) -> str:
        return f"Store({self.where!r})"

    @property
    def where(self) -> str:
        """The path or address that opens this store on any machine that sees it."""
        return self._files.where

    @property
    def root(self) -> Path:
        """The local folder of reports and of MLflow's own file; of a local store the folder that it is in."""
        return self._files.home

    @property
    def local(self) -> bool:
        """Whether it lies on a disk of this machine, or one mounted there."""
        return isinstance(self._files, Local)

    def free(self) -> int | None:
        """Bytes that still find room, None where no end is known."""
        return self._files.free()

    # Reading

    def manifest(self, key: str) -> Manifest | None:
        """The manifest of stage ``key``, or None; raises ``EnvironmentProblem`` when it is damaged."""
        name = f"{_stage(key)}/manifest.json"
        return self._manifest(key, self._files.recall(name) or self._files.read(name))

    def _fresh(self, key: str) -> tuple[Manifest | None, Found | None]:
        """The manifest as it stands now, with the version that it was read at."""
        found = self._files.read(f"{_stage(key)}/manifest.json")
        return self._manifest(key, found), found

    def _manifest(self, key: str, found: Found | None) -> Manifest | None:
        if found is None:
            return None
        name = f"{_stage(key)}/manifest.json"
        manifest = read_manifest(found.data, self._files.shown(name))
        if manifest.key != key:
            raise EnvironmentProblem(
                f"{self._files.shown(name)}: this is the manifest of another stage, {manifest.key}"
            )
        if manifest.final:
            self._files.memorise(name, found)
        return manifest

    def glance(self) -> AbstractContextManager[None]:
        """While it lasts, this thread takes what had not begun at its beginning for absent: for passes over a plan."""
        return self._files.glance()

    def manifests(self) -> Iterator[Manifest]:
        """All manifests, in order of their keys."""
        for key in self.stages():
            if (manifest := self.manifest(key)) is not None:
                yield manifest

    def stages(self) -> list[str]:
        """Keys of all stages that have begun, sorted."""
        return [key for key in self._files.names("stages") if not key.startswith(".")]

    def decided(self) -> list[str]:
        """Addresses of all studies that have decided, sorted."""
        names = self._files.names("decisions")
        return [name.removesuffix(".json") for name in names if not name.startswith(".")]

    def shown(self, key: str) -> str:
        """Stage ``key`` as a message says it."""
        return self._files.shown(_stage(key))

    def folder(self, key: str) -> Path:
        """``stages/<key>`` on this machine, made or not."""
        return self._files.path(_stage(key))

    def results(self, key: str) -> Path:
        """The folder of a stage's permanent files, on this machine."""
        manifest = self.manifest(key)
        for name, entry in manifest.files.items() if manifest else ():
            if name.startswith("results/"):
                self._files.fetch(_stage(key), name, entry)
        return self.folder(key) / "results"

    def has_weights(self, key: str) -> bool:
        """Whether the weights are there at their sizes; their digests are checked by ``weights``."""
        stage = _stage(key)
        known = self._manifest(key, self._files.recall(f"{stage}/manifest.json"))
        if known is not None and self._whole(stage, known.weights):
            return True
        now = self._fresh(key)[0]  # they may have been made again since the manifest was remembered
        return now is not None and self._whole(stage, now.weights)

    def _whole(self, stage: str, weights: Mapping[str, Entry]) -> bool:
        return bool(weights) and all(
            self._files.size(stage, name, entry) == entry["bytes"] for name, entry in weights.items()
        )

    def weights(self, key: str) -> Path:
        """The folder of a stage's weights on this machine, each file's SHA-256 checked once per process.

        Raises ``EnvironmentProblem`` when they are not there, or damaged; damaged ones are evicted first,
        so that the next run makes them anew.
        """
        stage, manifest = _stage(key), self._fresh(key)[0]
        if manifest is None or not manifest.weights or not self._files.holds(stage, manifest.weights):
            raise EnvironmentProblem(f"{self.shown(key)}: the store holds no weights of this stage")
        for name, entry in manifest.weights.items():
            path = self._files.fetch(stage, name, entry)
            with guarded(path):
                whole = intact(path, entry)
            if not whole:
                self.evict(key)
                where = self._files.shown(f"{stage}/{name}")
                raise EnvironmentProblem(f"{where}: damaged, so these weights were removed; the next run rebuilds them")
        return self.folder(key) / "weights"

    def left_of_weights(self, key: str) -> bool:
        """Whether anything is there of the weights, whole or not."""
        manifest = self.manifest(key)
        return manifest is not None and self._files.holds(_stage(key), manifest.weights)

    def sound_weights(self, key: str) -> bool:
        """Whether the weights are there as they were written; damaged ones are removed."""
        try:
            return self.has_weights(key) and self.weights(key).is_dir()
        except EnvironmentProblem:
            return False

    # Writing

    def work(self, key: str) -> Path:
        """The scratch folder of a running stage on this machine, made if absent; gone when the stage is done with."""
        path = self.working(key).path
        with guarded(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def working(self, key: str) -> Folder:
        """The same as the store sees it: where checkpoints of a running stage are left, made or not."""
        return self._files.folder(f"{_stage(key)}/work")

    def commit(
        self,
        manifest: Manifest,
        results: Mapping[str, bytes | Path],
        weights: Mapping[str, Path] | None = None,
    ) -> Manifest:
        """End an attempt at a stage: files into place, hashed, and the manifest last. Returns the one that stands.

        Paths must be those of ``work(key)``; they are moved. A stage that is done with keeps its first results:
        committing it again only brings back its weights. Of several that end at once the first one's counts.
        """
        stage = _stage(manifest.key)
        placed: dict[str, dict[str, Any]] | None = None
        while True:
            old, found = self._fresh(manifest.key)
            ended = old is not None and old.final
            if old is not None and ended and not weights:
                self._files.withdraw(stage, placed or {})
                self._files.settle(stage, final=True)
                return old
            attempt = 1 if old is None else old.attempt + (not ended)
            if placed is None:
                sources = {"weights": weights or {}} if ended else {"results": results, "weights": weights or {}}
                placed = self._files.place(stage, attempt, sources)
            done = _ended(manifest, old, attempt, placed)
            with guarded(self._files.path(stage)):
                reach("manifest.before")
            if self._files.write(f"{stage}/manifest.json", done.to_json(), found):
                reach("manifest.after")
                self._files.settle(stage, final=done.final)
                return done

    def reopen(self, key: str) -> None:
        """Let the next run try a stage again that is done with, however it ended; its attempts are counted on."""
        manifest, found = self._fresh(key)
        if manifest is None:
            raise EnvironmentProblem(f"{self.shown(key)}: no such stage")
        reason = f"to be tried again: it ended {manifest.status}. {manifest.reason}"
        opened = replace(manifest, status="failed", reason=reason)
        if not self._files.write(f"{_stage(key)}/manifest.json", opened.to_json(), found):
            raise EnvironmentProblem(f"{self.shown(key)}: another process has just written it; try again")

    def evict(self, key: str) -> int:
        """Remove a stage's weights; manifest and results stay. Returns the bytes freed."""
        return self._files.evict(_stage(key))

    # Beginnings

    def beginning(self, key: str) -> Folder:
        """The folder of the training states that runs with the beginning ``key`` have left, made or not."""
        return self._files.folder(f"beginnings/{slug(key)}")

    def beginnings(self) -> list[str]:
        """The keys of all beginnings that are there."""
        return self._files.names("beginnings")

    def drop_beginning(self, key: str) -> int:
        """Remove a beginning; runs that want it start from nothing. Returns the bytes freed."""
        return self._files.remove(f"beginnings/{slug(key)}")

    # Reports

    def report(self, sweep: str) -> Path:
        """The local folder of a sweep's report, made or not."""
        return self._files.home / "reports" / slug(sweep)

    def publish_report(self, sweep: str) -> str:
        """Bring a sweep's report to the store, beside its local folder; where it is then."""
        return self._files.publish(f"reports/{slug(sweep)}")

    # Decisions

    def decision(self, address: str) -> dict[str, Any] | None:
        """What the study at ``address`` decided, or None while it has not."""
        name = _decision(address)
        found = self._files.recall(name) or self._files.read(name)
        if found is None:
            return None
        try:
            value = json.loads(found.data)
        except ValueError as error:
            raise EnvironmentProblem(f"{self._files.shown(name)}: the decision cannot be read: {error}") from error
        if not isinstance(value, dict):
            raise EnvironmentProblem(f"{self._files.shown(name)}: this is no decision")
        self._files.memorise(name, found)
        return value

    def decide(self, address: str, decision: Mapping[str, Any]) -> None:
        """Write a study's decision, once; raises ``EnvironmentProblem`` when another one stands already."""
        name, text = _decision(address), canonical(decision)
        old = self.decision(address)
        reach("decision.before")
        if old is None and not self._files.write(name, text.encode(), None):
            old = self.decision(address)
        reach("decision.after")
        if old is not None and canonical(old) != text:
            raise EnvironmentProblem(f"{self._files.shown(name)}: this study has decided already, and otherwise")

    # One driver

    def lease(self) -> AbstractContextManager[None]:
        """Be the store's one driver while the context lasts; raises ``StoreBusy`` when another is."""
        return self._files.lease()


def _open(where: Path | str) -> Backend:
    if "://" not in str(where):
        return Local(Path(where).resolve())
    from xsweep.store.remote import Remote

    return Remote(str(where))


def _stage(key: str) -> str:
    return f"stages/{slug(key)}"


def _decision(address: str) -> str:
    return f"decisions/{slug(address)}.json"


def _ended(manifest: Manifest, old: Manifest | None, attempt: int, placed: Mapping[str, Entry]) -> Manifest:
    """What is to be written: the attempt's own, or that of a stage that is done with and has its weights back."""
    if old is None or not old.final:
        return replace(manifest, files=placed, attempt=attempt)
    kept = {name: entry for name, entry in old.files.items() if name not in old.weights}
    return replace(old, files={**kept, **{name: e for name, e in placed.items() if name.startswith("weights/")}})
