"""Features on disk: tokenised once for every size of a family, every seed and every run.

An entry is a folder with one array a file, mapped into memory when it is read, and ``entry.json``, written last,
with the SHA-256 of each. An entry that is not whole and unharmed is made again, never trusted.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from xsweep.store.files import remove_tree, sha256_once, write_atomic
from xsweep.store.keys import content_key
from xsweep.tasks.features import Features, Noise

log = logging.getLogger(__name__)

FEATURES_VERSION = 1
"""Raised when a change to a format changes the features of equal examples: what is on disk is void then."""


@dataclass(frozen=True, eq=False)
class Entry:
    """Features, with what is worth knowing of the examples that they were made from."""

    features: Features
    examples: int
    dropped: dict[str, int]


@dataclass(frozen=True)
class Tokenised:
    """The entries in one folder, by content key."""

    folder: Path

    def find(self, key: Any) -> Entry | None:
        """The entry of ``key``, a canonical JSON value; None when it is not there or not as it was written."""
        place = self._place(key)
        try:
            whole = json.loads((place / "entry.json").read_text("utf-8"))
            if content_key(note := whole["note"]) != whole["digest"]:
                raise ValueError("entry.json is not as it was written")
            arrays = {name: _load(place / f"{name}.npy", digest) for name, digest in note["arrays"].items()}
            return Entry(Features(**arrays, **_rest(note["rest"])), note["examples"], note["dropped"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s is damaged (%s) and made again", place, error)
            return None

    def get(self, key: Any, make: Callable[[], Entry]) -> Entry:
        """The entry of ``key``, made and written when it is not there; a disk that refuses it costs the entry alone."""
        found = self.find(key)
        if found is not None:
            return found
        made, place = make(), self._place(key)
        if meanwhile := self.find(key):
            return meanwhile
        try:
            _write(made, place)
        except OSError as error:
            log.warning("%s: tokenised data is not kept (%s)", place, error.strerror or error)
            return made
        return self.find(key) or made

    def _place(self, key: Any) -> Path:
        return self.folder / content_key([FEATURES_VERSION, tokenizers.__version__, key])


def _load(path: Path, digest: str) -> Any:
    if sha256_once(path) != digest:
        raise ValueError(f"{path.name} is not as it was written")
    return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)


def _rest(values: dict[str, Any]) -> dict[str, Any]:
    """The fields that are no arrays, from their JSON form."""
    noise = values.get("noise")
    return values if noise is None else {**values, "noise": Noise(**{**noise, "special": tuple(noise["special"])})}


def _write(entry: Entry, place: Path) -> None:
    """Write an entry whole or not at all, in place of a damaged one; of several writers any one wins."""
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
    temporary.mkdir(parents=True)
    try:
        digests: dict[str, str] = {}
        rest: dict[str, Any] = {}
        for field in fields(entry.features):
            value = getattr(entry.features, field.name)
            if isinstance(value, np.ndarray):
                path = temporary / f"{field.name}.npy"
                np.save(path, value, allow_pickle=False)
                _sync(path)
                digests[field.name] = sha256_once(path)
            elif value is not None:
                rest[field.name] = asdict(value) if isinstance(value, Noise) else value
        note = {"arrays": digests, "rest": rest, "examples": entry.examples, "dropped": entry.dropped}
        text = json.dumps({"note": note, "digest": content_key(note)})
        write_atomic(temporary / "entry.json", text.encode())
        remove_tree(place)
        try:
            os.rename(temporary, place)
        except OSError:
            if not (place / "entry.json").is_file():
                raise
    finally:
        remove_tree(temporary)


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
