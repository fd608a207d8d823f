"""Whatever number of worker groups takes the stages, and however late each is, the results are the same bytes."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from tests.engine.stubs import LATE
from tests.tiny import SWEEP, sweep_file, universe
from xsweep.engine import run as engine
from xsweep.engine.cluster import Cluster
from xsweep.engine.pool import GroupPool
from xsweep.engine.progress import Event
from xsweep.launch import Campaign
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.report.page import write_report
from xsweep.spec.load import load_sweep
from xsweep.store.store import Store
from xsweep.tasks.source import Sources
from xsweep.tracking.frames import scores_from_records

pytestmark = pytest.mark.ray

SMALLER = SWEEP.replace("  - {name: t2, id: org/tiny-2, pooling: mean}\n", "")
"""One of the two models: what takes time is that groups start."""


def tables(root: Path, groups: int) -> tuple[dict[str, bytes], list[str]]:
    """The report's tables of the tiny sweep over ``groups``, and its stages in the order in which they ended."""
    file = sweep_file(root, SMALLER.replace("groups: 1", f"groups: {groups}"))
    sources = Sources((root / "mirror",), root / "cache")
    campaign = Campaign(load_sweep(file), file, root / f"runs-{groups}", sources, "unused")
    prints = campaign.survey()
    ended: list[str] = []

    def watch(event: Event) -> None:
        if event.what in ("trial", "stage"):
            ended.append(event.label)

    store = Store(root / f"runs-{groups}")
    outcome = engine.run(campaign.plan, store, prints, sources, watch=watch)
    assert outcome.complete
    records = collect(Resolver(campaign.plan, prints, store))
    page = write_report(
        root / f"report-{groups}",
        campaign.sweep,
        "",
        records,
        scores_from_records(records),
        command="",
        tracking_note="",
    )
    found = sorted((page.page.parent / "tables").glob("*.csv"))
    return {path.name: path.read_bytes() for path in found if "time" not in path.name}, ended


def test_one_two_and_three_groups_give_the_same_tables(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    universe(tmp_path)
    monkeypatch.setattr(engine, "Cluster", lambda *_, **__: nullcontext(cluster))
    monkeypatch.setattr(engine, "GroupPool", partial(GroupPool, runner=LATE))
    (one, order), *others = [tables(tmp_path, groups) for groups in (1, 2, 3)]
    assert len(one) > 5
    for table, other in others:
        assert table == one
        assert sorted(other) == sorted(order)
