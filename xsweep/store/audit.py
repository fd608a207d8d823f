"""Whether a store is as it was written: every manifest, decision and result; weights by their sizes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from xsweep.errors import EnvironmentProblem
from xsweep.store.files import guarded, sha256
from xsweep.store.store import Store


@dataclass
class Audit:
    """What a store holds; ``damaged`` names each file, or manifest, that is not as it was written."""

    stages: int = 0
    results: int = 0
    """Bytes of what is kept for good."""
    weights: int = 0
    """Bytes of what may be evicted."""
    damaged: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        results, weights = self.results / 1e6, self.weights / 1e6
        return f"{self.stages} stages, {results:,.1f} MB of results and {weights:,.1f} MB of weights, as written"


def audit(store: Store) -> Audit:
    """Read the whole store but its weights, of which the sizes are compared; changes nothing."""
    found = Audit()
    stages, decisions = store.root / "stages", store.root / "decisions"
    with guarded(store.root):
        keys = sorted(path.name for path in stages.iterdir() if path.is_dir()) if stages.is_dir() else []
        addresses = sorted(path.stem for path in decisions.glob("[!.]*.json"))
    for key in keys:
        _stage(store, key, found)
    for address in addresses:
        try:
            store.decision(address)
        except EnvironmentProblem as problem:
            found.damaged.append(str(problem))
    return found


def _stage(store: Store, key: str, found: Audit) -> None:
    try:
        manifest = store.manifest(key)
    except EnvironmentProblem as problem:
        found.damaged.append(str(problem))
        return
    if manifest is None:
        return
    found.stages += 1
    kept = bool(manifest.weights) and (store.folder(key) / "weights").is_dir()
    for name, entry in manifest.files.items():
        path = store.folder(key) / name
        if name in manifest.weights:
            found.weights += entry["bytes"] if kept else 0
            sound = not kept or (path.is_file() and path.stat().st_size == entry["bytes"])
        else:
            found.results += entry["bytes"]
            sound = path.is_file() and path.stat().st_size == entry["bytes"] and sha256(path) == entry["sha256"]
            if sound and path.name == "metrics.json":
                sound = json.loads(path.read_bytes()) == manifest.metrics
        if not sound:
            found.damaged.append(str(path))
