"""Whether a store is as it was written: every manifest, decision and result; weights by their sizes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from xsweep.errors import EnvironmentProblem
from xsweep.store.files import intact
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
    for key in store.stages():
        _stage(store, key, found)
    for address in store.decided():
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
    if store.has_weights(key):
        found.weights += sum(entry["bytes"] for entry in manifest.weights.values())
    elif store.left_of_weights(key):
        found.damaged.append(f"{store.shown(key)}/weights")
    folder = store.results(key).parent
    for name, entry in manifest.files.items():
        if name in manifest.weights:
            continue
        found.results += entry["bytes"]
        path = folder / name
        sound = intact(path, entry)
        if sound and path.name == "metrics.json":
            sound = json.loads(path.read_bytes()) == manifest.metrics
        if not sound:
            found.damaged.append(f"{store.shown(key)}/{name}")
