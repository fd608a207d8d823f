"""Who can reach a running sweep: nobody from outside of this machine, and nobody without the token."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.engine import stubs
from xsweep.engine.cluster import Cluster
from xsweep.engine.pool import GroupPool
from xsweep.spec.sweep import Layout

pytestmark = pytest.mark.ray


def living() -> list[psutil.Process]:
    """Descendants of this process; those that have ended have no command any more."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def listening() -> list[tuple[str, str]]:
    """(address, command) of every port that this process and its descendants listen at."""
    family = {os.getpid(): "driver"}
    for child in living():
        family[child.pid] = " ".join(child.cmdline()[:2])
    found = [c for c in psutil.net_connections("inet") if c.pid in family and c.status == psutil.CONN_LISTEN]
    return [(c.laddr.ip, family[c.pid or 0]) for c in found if c.laddr]


def loopback(ip: str) -> bool:
    """Whether an address reaches this machine alone; sockets of both families write IPv4 as ::ffff:127.0.0.1."""
    address = ipaddress.ip_address(ip)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def test_all_of_ray_that_listens_does_so_on_this_machine_alone(cluster: Cluster, tmp_path: Path) -> None:
    """With a group of two workers, which talk through ports of their own."""
    job = replace(stubs.job("sum", 5), layout=Layout(workers=2))
    with GroupPool(cluster, [Layout(workers=2).gang], tmp_path, stubs.RUNNER, groups=1) as pool:
        assert pool.submit(job).result(timeout=300)["status"] == "ok"
        found = listening()
    assert len(found) > 5
    # What is left is the meeting point of torch's own workers, which torch opens everywhere and offers no way to bind.
    reachable = [what.strip() for ip, what in found if not loopback(ip)]
    assert reachable in ([], ["ray::RayTrainWorker"])


def test_the_token_is_on_and_in_no_file(cluster: Cluster) -> None:
    assert os.environ["RAY_AUTH_MODE"] == "token"
    token = os.environ["RAY_AUTH_TOKEN"]
    assert len(token) == 64
    private = cluster.scratch.parent
    files = [path for path in private.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if token.encode() in path.read_bytes()] == []
    commands = [" ".join(child.cmdline()) for child in living()]
    assert not any(token in command for command in commands), "every user of this machine can read command lines"
