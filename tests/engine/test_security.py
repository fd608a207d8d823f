"""Who can reach a running sweep: nobody from outside of this machine, and nobody without the token."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

import psutil
import pytest

from tests.engine import stubs
from xsweep.engine.cluster import Cluster
from xsweep.engine.pool import GroupPool
from xsweep.spec.sweep import Layout

pytestmark = pytest.mark.ray


def test_all_that_listens_does_so_on_this_machine_alone(cluster: Cluster, tmp_path: Path) -> None:
    with GroupPool(cluster, [Layout(workers=2).gang], tmp_path, stubs.RUNNER, groups=1) as pool:
        from dataclasses import replace

        job = replace(stubs.job("sum", 5), layout=Layout(workers=2))
        pool.submit(job).result(timeout=300)
        family = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
        listening = [c for c in psutil.net_connections("inet") if c.pid in family and c.status == psutil.CONN_LISTEN]
        for c in listening:
            print(c.laddr, psutil.Process(c.pid).name(), psutil.Process(c.pid).cmdline()[:1])
    assert listening
    assert [c.laddr for c in listening if not ipaddress.ip_address(c.laddr.ip).is_loopback] == []
