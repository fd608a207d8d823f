"""A manifest: what one attempt at a stage left behind. Written last, so its presence means that the rest is there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from xsweep.errors import EnvironmentProblem

FORMAT = 1
"""Number of the manifest's layout; a reader refuses any other."""

Status = Literal["ok", "pruned", "diverged", "degenerate", "failed"]


@dataclass(frozen=True)
class Manifest:
    """The record of one ended attempt at a stage.

    ``files`` and ``attempt`` are filled in by ``Store.commit``. Non-finite numbers are written as null.
    """

    key: str
    kind: str
    status: Status
    reason: str = ""
    """Why it did not end ``ok``, in words for the report."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """``Stage.payload()``, from which the key was made."""
    parent: str | None = None
    layout: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, Any] = field(default_factory=dict)
    """Seconds by part, tokens per second."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Small numbers; scores in points, 0 to 100."""
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """``results/NAME`` or ``weights/NAME`` -> its ``sha256`` and ``bytes``."""
    attempt: int = 1

    @property
    def final(self) -> bool:
        """Whether the stage is done with; a failed one is tried again by the next run."""
        return self.status != "failed"

    @property
    def seconds(self) -> float:
        """Seconds that the stage took: its parts together (every timing that is no rate)."""
        parts = (value for name, value in self.timings.items() if "per_second" not in name)
        return float(sum(value for value in parts if isinstance(value, int | float) and math.isfinite(value)))

    @property
    def weights(self) -> dict[str, Mapping[str, Any]]:
        """The entries of ``files`` that may be evicted."""
        return {name: entry for name, entry in self.files.items() if name.startswith("weights/")}

    def to_json(self) -> bytes:
        """UTF-8 JSON, one field a line, with the format's number first."""
        value = {"format": FORMAT, **_finite(asdict(self))}
        return (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def read_manifest(data: bytes, where: str) -> Manifest:
    """Read and check a manifest; raises ``EnvironmentProblem`` naming ``where`` when it is not whole."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise EnvironmentProblem(f"{where}: the manifest cannot be read: {error}") from error
    try:
        return _checked(value)
    except ValueError as error:
        raise EnvironmentProblem(f"{where}: {error}") from error


_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("key", "kind", "status", "reason"), (str,)),
    "parent": (str, type(None)),
    "attempt": (int,),
}


def _checked(value: Any) -> Manifest:
    if not isinstance(value, dict) or "format" not in value:
        raise ValueError("this is no manifest")
    if value["format"] != FORMAT:
        raise ValueError(f"format {value['format']} is not known here; this xsweep reads format {FORMAT}")
    names = [item.name for item in fields(Manifest)]
    if set(value) != {"format", *names}:
        odd = sorted(set(value) ^ {"format", *names})
        raise ValueError(f"the manifest's fields are not those of format {FORMAT}: {', '.join(odd)}")
    for name in names:
        if not isinstance(value[name], _TYPES.get(name, (dict,))):
            raise ValueError(f"the manifest's field {name} has the wrong type")
    if value["status"] not in get_args(Status):
        raise ValueError(f"the manifest's status {value['status']!r} is not known")
    for name, entry in value["files"].items():
        if not (isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and type(entry.get("bytes")) is int):
            raise ValueError(f"the manifest's entry for {name} is not whole")
    return Manifest(**{name: value[name] for name in names})


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
