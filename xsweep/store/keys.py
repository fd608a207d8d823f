"""Content keys: SHA-256 over canonical JSON. Anything unstable raises rather than guesses."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def canonical(value: Any, where: str = "$") -> str:
    """Canonical JSON of ``value``: sorted keys, no spaces, integers and floats kept apart.

    Takes None, bool, int, finite float, str, list, tuple and mappings with string keys; raises
    ``TypeError`` or ``ValueError``, naming the place, for anything else, since a permissive
    fallback would let two equal stages get different keys in silence.
    """
    return json.dumps(_plain(value, where), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_key(value: Any) -> str:
    """The first 32 hex digits of the SHA-256 of ``canonical(value)``."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if type(value) is int:
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise ValueError(f"{where}: {value} has no canonical form")
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise TypeError(f"{where}: the key {key!r} is no string")
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    raise TypeError(f"{where}: a {type(value).__name__} has no canonical form")
