"""How long a warm worker group stands still between two stages that take no time.

Run from the checkout: ``python -m tests.benchmarks.pool_gap [--stages N] [--groups N]``
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engine import stubs
from tests.engine.test_studies import study
from xsweep.engine.cluster import Cluster
from xsweep.engine.pool import GroupPool
from xsweep.engine.search import run_level
from xsweep.plan.study import Study, Trial
from xsweep.spec.sweep import Layout


@contextmanager
def timed(what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - start:.1f} s")


def gaps(folder: Path, keys: set[str]) -> tuple[float, float]:
    """(median gap between starts in one group in ms, stages per second) from the files that stubs leave."""
    starts: dict[str, list[float]] = {}
    for path in folder.iterdir():
        if path.name.split(".")[0] in keys:
            pid, start = path.read_text().split()
            starts.setdefault(pid, []).append(float(start))
    steps = [b - a for times in starts.values() for a, b in zip(sorted(times), sorted(times)[1:], strict=False)]
    flat = sorted(start for times in starts.values() for start in times)
    return 1000 * statistics.median(steps), (len(flat) - 1) / (flat[-1] - flat[0])


def rates(stages: int, groups: int = 1) -> dict[str, tuple[float, float]]:
    """Way of asking -> (median gap in ms, stages per second); the times around them are printed."""
    found: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, keys = Path(name), set[str]()
        start = time.monotonic()
        with Cluster(cpus=groups) as cluster:
            print(f"Ray: {time.monotonic() - start:.1f} s")
            with GroupPool(cluster, [Layout().gang], folder, stubs.RUNNER, groups=groups) as pool:
                with timed("first stage of the first group"):
                    pool.submit(stubs.job("first")).result()
                for future in [pool.submit(stubs.job("wait:1", n)) for n in range(20 * (groups > 1))]:
                    future.result()  # until all groups are up
                jobs = [stubs.job("straight", n) for n in range(stages)]
                for future in [pool.submit(job) for job in jobs]:
                    future.result()
                found["straight"] = gaps(folder, {job.key for job in jobs})
                for job in (turns := [stubs.job("turn", n) for n in range(stages)]):
                    pool.submit(job).result()
                found["one at a time"] = gaps(folder, {job.key for job in turns})

                def on_trial(study: Study, trial: Trial) -> None:
                    keys.add(trial.key)

                with timed("Tune"):
                    run_level(
                        [study("quasi-random", trials=stages)], pool, lambda _: {},
                        lambda s, h: stubs.job("tune", s.seed, h), on_trial, cluster.scratch, threading.Event(),
                    )  # fmt: skip
                found["through Tune"] = gaps(folder, keys)
                start = time.monotonic()
            print(f"closing the pool: {time.monotonic() - start:.1f} s")
            start = time.monotonic()
        print(f"ending Ray: {time.monotonic() - start:.1f} s")
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, default=200)
    parser.add_argument("--groups", type=int, default=1)
    options = parser.parse_args()
    for what, (gap, rate) in rates(options.stages, options.groups).items():
        load = os.getloadavg()[0]
        print(f"{what}: {options.stages} stages, median gap {gap:.1f} ms, {rate:.0f} stages/s, load {load:.1f}")


if __name__ == "__main__":
    main()
