"""Whether every node of a cluster sees the folders that a sweep reads and writes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from xsweep.engine.cluster import Cluster
from xsweep.errors import EnvironmentProblem
from xsweep.store.files import guarded

_SECONDS = 60.0
"""For all nodes to answer."""
_PATIENCE_SECONDS = 5.0
"""A file that another machine wrote may show up this much later on a network's disk."""


def check_shared(cluster: Cluster, store: Path, mirrors: Sequence[Path]) -> None:
    """Let every other node read a file that is written to the store now, and look for the mirrors.

    Raises ``EnvironmentProblem`` naming the nodes that do not find them. A cluster of one node has nothing to share.
    """
    others = cluster.other_nodes()
    if not others:
        return
    token = store / f".shared-{secrets.token_hex(8)}"
    with guarded(store):
        store.mkdir(parents=True, exist_ok=True)
        token.write_bytes(b"")
    try:
        missing = _asked(others, [token, *mirrors])
    finally:
        with guarded(store):
            token.unlink(missing_ok=True)
    for node, paths in missing.items():
        if token in paths:
            raise EnvironmentProblem(
                f"{store}: node {node} does not see this folder, and {len(others) + 1} nodes are to share it; give "
                "--store a folder that all nodes mount at this path, or s3://BUCKET/FOLDER"
            )
        raise EnvironmentProblem(
            f"--mirror {paths[0]}: not there on node {node}; mount it on every node at this path, or leave --mirror out"
        )


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
