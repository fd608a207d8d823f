"""How long the driver itself takes over a sweep of 10,000 cells: to plan it, and to see what a full store leaves to do.

Every decision and manifest is made up and written to disk first, all but those of some cells. Nothing is trained.

    python -m tests.benchmarks.control_plane
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from tests.builders import prints, space, sweep, target_task, task
from xsweep.models.model import Model
from xsweep.plan.cells import Plan, build_plan
from xsweep.plan.cost import estimate
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.spec.sweep import Arm, Search, Sweep, Target
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store

T = TypeVar("T")
MODELS, ARMS, TARGETS, SEEDS, TRIALS, LEFT = 5, 20, 10, 10, 4, 100


def large() -> Sweep:
    """10,000 reporting cells behind 1,145 searches."""
    families = ("nli", "qa", "paraphrase", "completion")
    arms = [Arm(name=f"a{n}", tasks=(task(f"task{n}", family=families[n % 4]),)) for n in range(1, ARMS)]
    goals = [target_task(f"goal{n}", languages=tuple(f"l{code}" for code in range(15))) for n in range(TARGETS)]
    return sweep(
        models=tuple(Model(name=f"m{n}", id=f"org/m{n}", params=10**8 * (n + 1)) for n in range(MODELS)),
        arms=(Arm(name="none"), *arms),
        targets=tuple(Target(task=goal, languages=goal.languages) for goal in goals),
        seeds=tuple(range(1, SEEDS + 1)),
        search=Search(intermediate=space(TRIALS), target=space(TRIALS)),
    )


def fill(at: Resolver, left: int) -> int:
    """Write every decision, and every manifest but those of the last ``left`` cells; returns how many."""
    for cell in at.plan.searches:
        study = at.study(cell)
        assert study
        trials = [{"number": n, "lr": 1e-5 * (n + 1), "epochs": 1, "status": "ok", "score": 1.0} for n in range(TRIALS)]
        at.store.decide(study.address, {"hyper": {"lr": 1e-5, "epochs": 1}, "trials": trials})
    written: set[str] = set()
    for record in collect(at)[: -2 * left]:
        if record.key and record.key not in written:
            written.add(record.key)
            scores = {f"l{code}": {"accuracy": 50.0, "n": 1000} for code in range(15)}
            metrics: Any = {"test": scores} if record.kind == "evaluate" else {"score": 50.0, "steps": 100}
            at.store.commit(Manifest(record.key, record.kind, "ok", metrics=metrics), {})
    return len(written)


def timed(what: str, call: Callable[[], T]) -> T:
    """Call and print the time that it took."""
    start, cpu = time.perf_counter(), time.process_time()
    value = call()
    print(f"{what:<52} {time.perf_counter() - start:7.2f} s  ({time.process_time() - cpu:.2f} s of CPU)")
    return value


def main() -> None:
    """Print each time, and the memory in the end."""
    of = large()

    def planned() -> Plan:
        plan = build_plan(of)
        estimate(plan)
        return plan

    plan = timed(f"planned: {MODELS * ARMS * TARGETS * SEEDS:,} cells, and their price", planned)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        with mock.patch("os.fsync"):
            written = timed("(made up: the store)", lambda: fill(Resolver(plan, prints(of), store), LEFT))
        again = Resolver(plan, prints(of), store)
        jobs = timed(f"resumed: {written:,} manifests", lambda: list(again.ready()))
        timed("asked again", lambda: list(again.ready()))
        records = timed("collected for tracking and report", lambda: collect(again))
    print(f"{len(jobs)} jobs are left of {len(plan.cells):,} cells; {len(records):,} records")
    print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
