"""A random soak: a sweep of a minute or two again and again, one fault at a time, until the minutes are over.

    python -m tests.faults.soak --minutes 15 --seed 1 [--every 40]

Workers, drivers and parts of Ray are killed, the driver is asked to stop, weights and checkpoints are damaged, and the
MLflow server goes away and comes back; a launch that ends early is started again. Every sweep must come to the result
tables of one that nothing happened to, with as many runs in MLflow as stages in the store, and leave no process and no
lock. Prints the seed, and every fault with the seconds until the next stage ended. Takes minutes: no part of the tests.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.servers import MlflowServer
from tests.test_end_to_end import command, tables
from tests.test_submit import LONGER
from tests.tiny import sweep_file, universe
from xsweep.store.audit import audit
from xsweep.store.store import Store
from xsweep.tracking.reader import runs

RESUMABLE = (4, 5, 75, -signal.SIGKILL)
"""How a launch under fire may end, to be started again: with a hole, damage found, interrupted, or killed."""
LAUNCHES = 12
"""A sweep that needs more than this many launches is stuck."""
PATIENCE = 300.0
"""Seconds without a stage ending after which a launch is stuck."""


@dataclass
class Place:
    """One sweep under fire, and its tracking server."""

    folder: Path
    mirror: Path
    server: MlflowServer | None = None
    driver: subprocess.Popen[bytes] | None = None
    seen: dict[int, psutil.Process] = field(default_factory=dict)
    """Every process that any launch had."""

    def start(self) -> None:
        """Launch the sweep, or go on with it."""
        call = command(self.folder, "run", str(self.folder / "tiny.yaml"), mirror=self.mirror)
        if self.server is not None:
            call += ["--tracking", self.server.address]
        environment = {**os.environ, "XSWEEP_CACHE": str(self.folder / "cache"), "HOME": str(self.folder)}
        with (self.folder / "said").open("ab") as said:
            self.driver = subprocess.Popen(call, stdout=said, stderr=said, env=environment, cwd=self.folder)

    def ended(self) -> int:
        """Stages that have ended."""
        return len(list((self.folder / "runs" / "stages").glob("*/manifest.json")))

    def processes(self, name: str) -> list[psutil.Process]:
        """Those of the launch whose command holds ``name``."""
        assert self.driver is not None
        found = []
        try:
            children = psutil.Process(self.driver.pid).children(recursive=True)
        except psutil.Error:
            return []
        for process in children:
            try:
                self.seen[process.pid] = process
                if name in " ".join([process.name(), *process.cmdline()[:1]]):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def said(self) -> str:
        """The last lines of all launches."""
        return "\n".join((self.folder / "said").read_text(errors="replace").splitlines()[-12:])


def kill(place: Place, name: str, chance: random.Random) -> bool:
    """Kill one process of that name; False where there is none."""
    found = place.processes(name)
    if found:
        chance.choice(found).kill()
    return bool(found)


def strike_driver(place: Place, number: signal.Signals) -> bool:
    """Send the driver a signal."""
    assert place.driver is not None
    place.driver.send_signal(number)
    return True


def damage(place: Place, pattern: str, chance: random.Random) -> bool:
    """Cut one of the files, or flip a bit of it."""
    found = [path for path in sorted((place.folder / "runs" / "stages").glob(pattern)) if path.stat().st_size > 200]
    if not found:
        return False
    path = chance.choice(found)
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data))
    data[at] ^= 1 << chance.randrange(8)
    path.write_bytes(data if chance.random() < 0.5 else data[:at])
    return True


def outage(place: Place, chance: random.Random) -> bool:
    """Take the tracking server away for some seconds."""
    if place.server is None:
        return False
    place.server.stop()
    time.sleep(chance.uniform(3, 15))
    place.server.start()
    return True


def strikes(chance: random.Random) -> dict[str, Callable[[Place], bool]]:
    """Every fault by its name."""
    return {
        "worker killed": lambda place: kill(place, "RayTrainWorker", chance),
        "driver killed": lambda place: strike_driver(place, signal.SIGKILL),
        "driver told to end": lambda place: strike_driver(place, signal.SIGTERM),
        "raylet killed": lambda place: kill(place, "raylet", chance),
        "GCS killed": lambda place: kill(place, "gcs_server", chance),
        "weights damaged": lambda place: damage(place, "*/weights/*", chance),
        "checkpoint damaged": lambda place: damage(place, "*/work/checkpoint-*/*", chance),
        "MLflow away": lambda place: outage(place, chance),
    }


def sweep(place: Place, chance: random.Random, every: float, told: list[tuple[str, float]], end: float) -> None:
    """One sweep to its end, struck about ``every`` seconds until ``end``; raises when it is stuck or says no."""
    all_, pending = strikes(chance), ""
    place.start()
    launches, before, struck, moved = 1, place.ended(), time.monotonic(), time.monotonic()
    due = struck + chance.uniform(0.3, 1.0) * every
    while True:
        time.sleep(0.1)
        assert place.driver is not None
        now, ended = time.monotonic(), place.ended()
        place.processes("")
        if ended > before:
            if pending:
                told.append((pending, now - struck))
            pending, before, moved = "", ended, now
        code = place.driver.poll()
        if code == 0:
            return
        if code is not None:
            if code not in RESUMABLE or launches == LAUNCHES:
                raise AssertionError(f"launch {launches} ended {code}:\n{place.said()}")
            launches, moved = launches + 1, now
            place.start()
        elif now - moved > PATIENCE:
            raise AssertionError(f"nothing has ended for {PATIENCE:.0f} s:\n{place.said()}")
        elif due < now < end and ended and not pending:  # else the last fault's time would never be known
            name = chance.choice(sorted(all_))
            if all_[name](place):
                print(f"{name}, after {ended} stages", flush=True)
                pending, struck = name, time.monotonic()
                due = struck + chance.uniform(0.5, 1.5) * every


def check(place: Place, expected: dict[str, bytes]) -> None:
    """That the sweep came to what it should have, and left nothing behind."""
    found = tables(place.folder)
    wrong = [name for name in expected if found.get(name) != expected[name]]
    assert not wrong, f"tables differ: {wrong}, in {place.folder}"
    assert found.keys() == expected.keys()
    store = Store(place.folder / "runs")
    assert audit(store).damaged == []
    if "unsent; send them with: xsweep sync" in place.said():  # MLflow was away at the end: done as it is said
        call = command(place.folder, "sync", str(place.folder / "tiny.yaml"), mirror=place.mirror)
        assert place.server is not None
        subprocess.run([*call, "--tracking", place.server.address], check=True, capture_output=True)
    with store.lease():
        pass
    if place.server is not None:
        keys = Counter(run.tags["xsweep.key"] for run in runs(place.server.address, "tiny") if "xsweep.key" in run.tags)
        assert max(keys.values()) == 1, "a stage counts twice in MLflow"
        assert set(keys) == {manifest.key for manifest in store.manifests()}, "MLflow lacks a stage"
    time.sleep(5)
    left = [p.pid for p in place.seen.values() if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert left == [], f"processes are left: {left}"


def places(folder: Path, mirror: Path) -> Iterator[Place]:
    """Folders for one sweep after the other, each with a server of its own."""
    number = 0
    while True:
        own = folder / f"sweep-{number}"
        own.mkdir()
        sweep_file(own, LONGER)
        server = MlflowServer(f"sqlite:///{own}/server.db", str(own / "artifacts"), {})
        server.start()
        yield Place(own, mirror, server)
        server.stop()
        number += 1


def main() -> int:
    """Soak as long as asked; returns the exit code."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--minutes", type=float, default=15.0)
    asked.add_argument("--seed", type=int, default=int(time.time()))
    asked.add_argument("--every", type=float, default=40.0, help="seconds between two faults, about")
    options = asked.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes, a fault about every {options.every:g} s", flush=True)
    chance, folder = random.Random(options.seed), Path(tempfile.mkdtemp(prefix="soak-"))
    mirror, told = universe(folder), list[tuple[str, float]]()
    calm = Place(folder / "calm", mirror)
    calm.folder.mkdir()
    sweep_file(calm.folder, LONGER)
    begin = time.monotonic()
    sweep(calm, chance, 0, [], end=0)
    expected = tables(calm.folder)
    print(f"undisturbed: {time.monotonic() - begin:.0f} s, {calm.ended()} stages", flush=True)
    end = time.monotonic() + 60 * options.minutes
    for number, place in enumerate(places(folder, mirror), 1):
        try:
            sweep(place, chance, options.every, told, end)
            check(place, expected)
        except BaseException:
            if place.driver is not None and place.driver.poll() is None:
                place.driver.send_signal(signal.SIGTERM)
            if place.server is not None:
                place.server.stop()
            print(f"seed {options.seed}: failed; all is kept in {folder}", flush=True)
            raise
        print(f"sweep {number}: equal tables, nothing lost, nothing left", flush=True)
        if time.monotonic() > end:
            assert place.server is not None
            place.server.stop()
            break
    print(f"\n{'fault':<20} {'times':>5} {'median':>7} {'most':>6}   seconds until the next stage ended")
    for name in sorted({name for name, _ in told}):
        seconds = sorted(took for fault, took in told if fault == name)
        print(f"{name:<20} {len(seconds):>5} {seconds[len(seconds) // 2]:>7.1f} {seconds[-1]:>6.1f}")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
