"""Where data sets come from: mirror folders, the Hugging Face hub, or (``world/...``) the program itself.

A mirror holds ``ORG--NAME/CONFIG/SPLIT.parquet`` (or ``SPLIT-00000-of-00004.parquet``, ...), or for tagged sentences
``SPLIT.conll``; the folder of the configuration ``default`` may be left out. With mirrors given, the first that has the
data set is read and the hub is never asked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xsweep.errors import DataError, EnvironmentProblem, UsageError
from xsweep.store.files import default_cache, guarded, write_atomic
from xsweep.store.keys import content_key
from xsweep.tasks import hub
from xsweep.tasks.conll import read_conll
from xsweep.tasks.hub import one_line
from xsweep.tasks.task import Data
from xsweep.tasks.world.tables import is_world, world_state, world_table

if TYPE_CHECKING:
    import pyarrow

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Sources:
    """Where data sets and models are read from, and where digests of them are remembered."""

    mirrors: tuple[Path, ...] = ()
    cache: Path = field(default_factory=default_cache)

    @classmethod
    def of(cls, mirrors: Iterable[str | Path] | None) -> Sources:
        """The hub, or the mirror folders given, or else those of ``$XSWEEP_MIRROR``; raises ``UsageError`` where one
        is missing."""
        told = os.environ.get("XSWEEP_MIRROR", "").split(os.pathsep)
        folders = [Path(folder) for folder in mirrors or filter(None, told)]
        missing = [str(folder) for folder in folders if not folder.is_dir()]
        if missing:
            raise UsageError(f"--mirror {missing[0]}: no such folder")
        return cls(tuple(folder.resolve() for folder in folders))

    def table(self, data: Data, language: str | None = None) -> pyarrow.Table:
        """One split, whole; label names stay in the schema metadata ``huggingface``.

        ``language`` (the data set's own name for it) stands in for ``{language}`` in the configuration.
        Raises ``DataError`` when data set, configuration or split is not there, ``EnvironmentProblem`` when
        the hub cannot be reached.
        """
        data = concrete(data, language)
        if is_world(data.dataset):
            return world_table(data.dataset, data.config, data.split)
        if not self._local(data):
            return hub.table(data, self._commit(data))
        files = self._files(data)
        return read_conll(files[0]) if files[0].suffix == ".conll" else _read_parquet(data, files)

    def state(self, data: Data, language: str | None = None) -> dict[str, Any]:
        """What the bytes of a split depend on, known without reading them: files and times, or a commit."""
        data = concrete(data, language)
        if is_world(data.dataset):
            return {"world": world_state()}
        if not self._local(data):
            return {"dataset": data.dataset, "commit": self._commit(data)}
        # The change time catches an edit that was given back its old size and modification time.
        stats = [(str(path), path.stat()) for path in self._files(data)]
        return {"files": [[name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for name, stat in stats]}

    def folder(self, identifier: str) -> Path | None:
        """The folder ``ORG--NAME`` of the first mirror that has it."""
        found = (mirror / identifier.replace("/", "--") for mirror in self.mirrors)
        return next((folder.resolve() for folder in found if folder.is_dir()), None)

    def recall(self, kind: str, key: Any) -> str | None:
        """A digest remembered under ``kind`` for ``key``, a canonical JSON value."""
        try:
            kept = json.loads((self.cache / kind / f"{content_key(key)}.json").read_text("utf-8"))
            return str(kept["digest"])
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def remember(self, kind: str, key: Any, make: Callable[[], str]) -> str:
        """The digest remembered for ``key``, or else made now and remembered."""
        return self.recall(kind, key) or self._record(kind, key, make())

    def _record(self, kind: str, key: Any, digest: str) -> str:
        path = self.cache / kind / f"{content_key(key)}.json"
        with guarded(path):
            write_atomic(path, json.dumps({"digest": digest}).encode())
        return digest

    def _commit(self, data: Data) -> str:
        """The commit of a hub data set: pinned, else as the hub says, else (offline) as it last said."""
        if data.revision and _COMMIT.fullmatch(data.revision):
            return data.revision
        key = [data.dataset, data.revision]
        known = self.recall("commits", key)
        try:
            found = hub.commit(data.dataset, data.revision)
        except EnvironmentProblem:
            if known is None:
                raise
            return known
        return found if found == known else self._record("commits", key, found)

    def _local(self, data: Data) -> bool:
        """Whether the rows are read from a mirror: when there are mirrors, or when no hub has the rows."""
        return bool(self.mirrors or data.recipe)

    def _files(self, data: Data) -> list[Path]:
        root = self.folder(data.dataset)
        place = f"{data.dataset} {data.config} {data.split}"
        if root is None:
            mirrors = ", ".join(map(str, self.mirrors))
            name = data.dataset.replace("/", "--")
            if data.recipe:
                where = f"in {mirrors}" if mirrors else "because no mirror is given"
                raise DataError(f"{place}: no folder {name} {where}; no hub has these rows. {data.recipe}")
            raise DataError(f"{place}: no folder {name} in {mirrors}; with a mirror given, the hub is not asked")
        folder = root / data.config
        if not folder.is_dir() and data.config == "default":
            folder = root
        if not folder.is_dir():
            has = _listed(path.name for path in root.iterdir() if path.is_dir())
            raise DataError(f"{place}: no configuration {data.config!r} in {root}; it has {has}")
        whole = [path for suffix in ("parquet", "conll") if (path := folder / f"{data.split}.{suffix}").is_file()]
        files = whole[:1] or sorted(folder.glob(f"{data.split}-[0-9]*.parquet"))
        if not files:
            there = [*folder.glob("*.parquet"), *folder.glob("*.conll")]
            splits = _listed(re.sub(r"-\d[^/]*$", "", path.stem) for path in there)
            raise DataError(f"{place}: no split {data.split!r} in {folder}; it has {splits}")
        return files


def concrete(data: Data, language: str | None) -> Data:
    """``data`` with ``{language}`` filled in."""
    if not per_language(data):
        return data
    if language is None:
        raise DataError(f"{data.dataset} {data.config} {data.split}: the configuration needs a language")
    where = {column: start.replace("{language}", language) for column, start in data.where.items()}
    return data.model_copy(update={"config": data.config.replace("{language}", language), "where": where})


def per_language(data: Data) -> bool:
    """Whether ``data`` declares other rows for each language."""
    return any("{language}" in text for text in (data.config, *data.where.values()))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names))) or "nothing"


def _read_parquet(data: Data, files: list[Path]) -> pyarrow.Table:
    import pyarrow
    import pyarrow.parquet

    tables = []
    for path in files:
        try:
            tables.append(pyarrow.parquet.read_table(path))
        except (pyarrow.ArrowException, OSError) as error:
            what = f"{path} cannot be read as Parquet ({one_line(error)}); fetch it again"
            raise DataError(f"{data.dataset} {data.config} {data.split}: {what}") from error
    try:
        return pyarrow.concat_tables(tables)
    except pyarrow.ArrowInvalid as error:
        what = f"the shards differ in their columns ({one_line(error)})"
        raise DataError(f"{data.dataset} {data.config} {data.split}: {what}") from error
