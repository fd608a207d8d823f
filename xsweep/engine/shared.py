"""Whether every node of a cluster sees the folders that a sweep reads and writes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from xsweep.engine.cluster import Cluster
from xsweep.errors import EnvironmentProblem
from xsweep.store.files import guarded

_SECONDS = 60.0
"""For all nodes to answer."""
_PATIENCE_SECONDS = 5.0
"""A file that another machine wrote may show up this much later on a network's disk."""


def check_shared(cluster: Cluster, store: Path | None, mirrors: Sequence[Path]) -> None:
    """Let every other node look for a file that is written to the store now, and for the mirrors.

    ``store`` is None of one that lies on no disk; a cluster of one node has nothing to share. Raises
    ``EnvironmentProblem`` naming a node that does not find them.
    """
    others = cluster.other_nodes()
    if not others:
        return
    with _written(store) as token:
        missing = _asked(others, [*token, *mirrors])
    for node, paths in missing.items():
        if store and paths[0] in token:
            raise EnvironmentProblem(
                f"{store}: node {node} does not see this folder, and {len(others) + 1} nodes are to share it; give "
                "--store a folder that all nodes mount at this path; with s3:// start in one, for Ray's own files"
            )
        raise EnvironmentProblem(
            f"--mirror {paths[0]}: not there on node {node}; mount it on every node at this path, or leave --mirror out"
        )


@contextmanager
def _written(store: Path | None) -> Iterator[list[Path]]:
    """A new file in the store, while the context lasts; nothing where there is no folder."""
    if store is None:
        yield []
        return
    token = store / f".shared-{secrets.token_hex(8)}"
    with guarded(store):
        store.mkdir(parents=True, exist_ok=True)
        token.write_bytes(b"")
    try:
        yield [token]
    finally:
        with guarded(store):
            token.unlink(missing_ok=True)


def _asked(nodes: dict[str, str], paths: list[Path]) -> dict[str, list[Path]]:
    """Address of each node that lacks a path -> what it lacks."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(lacking)
    asked = {
        address: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(paths)
        for node, address in nodes.items()
    }
    try:
        found = ray.get(list(asked.values()), timeout=_SECONDS)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise EnvironmentProblem(f"a node of the cluster does not answer: {reason[-1]}") from error
    return {address: paths for address, paths in zip(asked, found, strict=True) if paths}


def lacking(paths: Sequence[Path], patience: float = _PATIENCE_SECONDS) -> list[Path]:
    """Those of ``paths`` that this machine does not see, within a few seconds."""
    end = time.monotonic() + patience
    while (left := [path for path in paths if not path.exists()]) and time.monotonic() < end:
        time.sleep(0.2)
    return left
