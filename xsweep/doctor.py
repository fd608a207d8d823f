"""`xsweep doctor`: whether a sweep can run here, and what to do where it can not. Changes nothing."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from xsweep.engine.machine import Check, machine
from xsweep.errors import DataError, EnvironmentProblem, StoreBusy, XsweepError
from xsweep.models.folder import model_folder
from xsweep.plan.prints import readings
from xsweep.spec.sweep import Sweep
from xsweep.store.audit import audit
from xsweep.store.lease import holder
from xsweep.store.store import Store
from xsweep.tasks.examples import part_data
from xsweep.tasks.source import Sources
from xsweep.tracking.client import shown, sqlite_file, tracking


def examine(sweep: Sweep | None, store: Store, sources: Sources, uri: str, address: str | None) -> list[Check]:
    """All checks, in the order in which a run would meet what they find."""
    root = store.root.resolve()
    there = next(folder for folder in (root, *root.parents) if folder.is_dir())
    local = [check_store(store.root, there), check_lease(store.root)] if store.local else []
    return [
        *machine(there, sweep.layout if sweep else None, address),
        *local,
        check_contents(store),
        check_tracking(uri),
        check_sources(sweep, sources),
    ]


def text(checks: Sequence[Check]) -> str:
    """One line for each check, and the sum of them."""
    wide = max(len(check.name) for check in checks)
    lines = [f"{check.state:<4}  {check.name:<{wide}}  {check.said}" for check in checks]
    failed, warned = (sum(check.state == state for check in checks) for state in ("fail", "warn"))
    return "\n".join([*lines, f"{len(checks)} checks: {failed} failed, {warned} to look at"])


def check_store(store: Path, there: Path) -> Check:
    """Whether the store can be written; ``there`` is its folder, or the nearest one above it that exists."""
    if not os.access(there, os.W_OK | os.X_OK):
        return Check("store", "fail", f"{there}: not writable by you; choose another --store or its owner")
    if there != store.resolve():
        return Check("store", "ok", f"{store}: made by the first run")
    if there.stat().st_mode & 0o002:
        return Check("store", "warn", f"{store}: anybody may write there: chmod o-w {store}")
    return Check("store", "ok", str(store))


def check_lease(store: Path) -> Check:
    """Whether another driver runs on the store."""
    try:
        left = holder(store / "driver.lock")
    except StoreBusy as busy:
        return Check("driver", "warn", f"{busy}: wait for it, or stop it")
    except EnvironmentProblem as problem:
        return Check("driver", "fail", str(problem))
    if left:
        return Check("driver", "ok", f"none runs; the last one, {left}, was killed: a run goes on where it was")
    return Check("driver", "ok", "none runs")


def check_contents(store: Store) -> Check:
    """Whether everything in the store is as it was written."""
    try:
        found = audit(store)
    except EnvironmentProblem as problem:
        return Check("contents", "fail", str(problem))
    if found.damaged:
        more = f" and {len(found.damaged) - 1} more" if len(found.damaged) > 1 else ""
        said = f"{found.damaged[0]}{more}: not as written; remove the folder of that stage, and a run makes it anew"
        return Check("contents", "fail", said)
    return Check("contents", "ok", str(found))


def check_tracking(uri: str) -> Check:
    """Whether the tracking store answers. Never more than a warning: a run does not need it."""
    file = sqlite_file(uri)
    later = "a run goes on without it, and `xsweep sync SWEEP` brings it level later"
    try:
        if file is not None and not file.exists():
            return Check("tracking", "ok", f"{file}: made by the first run")
        if file is not None:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=2)) as base:
                said = str(base.execute("PRAGMA quick_check(1)").fetchone()[0])
            if said != "ok" or not os.access(file, os.W_OK):
                what = "is damaged" if said != "ok" else "can not be written"
                return Check("tracking", "warn", f"{file} {what}: move it away, and `xsweep sync SWEEP` makes it anew")
            return Check("tracking", "ok", str(file))
        with tracking(uri) as client:
            client.search_experiments(max_results=1)
    except (EnvironmentProblem, sqlite3.Error) as error:
        where = f"{file}: " if file is not None else ""
        return Check("tracking", "warn", f"{where}{error}; {later}")
    return Check("tracking", "ok", f"{shown(uri)} answers")


def check_sources(sweep: Sweep | None, sources: Sources) -> Check:
    """Whether what the sweep reads is there, as far as that is known without reading it or asking the hub."""
    where = ", ".join(map(str, sources.mirrors)) or "the hub"
    if sweep is None or not sources.mirrors:
        return Check("sources", "ok", where if sources.mirrors else "no mirror: the hub is asked")
    missing: list[str] = []
    for reading in readings(sweep):
        try:
            for data in part_data(reading.task, reading.part, reading.language):
                sources.state(data)
        except DataError as fault:
            missing.append(str(fault))
    for model in sweep.models:
        try:
            model_folder(model, sources)
        except XsweepError as problem:
            missing.append(str(problem))
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        return Check("sources", "fail", f"{missing[0]}{more}: fetch it with `xsweep mirror SWEEP DIR`")
    return Check("sources", "ok", where)
