"""What the cluster path costs over the local one: the quickstart run here, and submitted to a head on this machine.

Both go to the same kind of folder, one after the other, ``--repeats`` times, on as many cores. Printed are the seconds
from the command to the first files of a stage, and from there to the end of the command, report included. With
``--s3`` a third way keeps everything on an S3 server of this machine.

    python -m tests.benchmarks.cluster [--models NAME ...] [--repeats N] [--s3]
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests import clusters
from tests.servers import S3, make_bucket, s3_server
from tests.test_quickstart import QUICKSTART
from xsweep.store.s3 import Bucket


@dataclass(frozen=True)
class Times:
    """Seconds to the first files of a stage, and from there to the end."""

    start: float
    rest: float


def timed(call: Callable[[], subprocess.CompletedProcess[str]], begun: Callable[[], bool]) -> Times:
    """Make the call, and look every 0.1 s whether a stage has files."""
    first: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            if begun():
                first.append(time.perf_counter())
                return

    looking = threading.Thread(target=look)
    begin = time.perf_counter()
    looking.start()
    done = call()
    end = time.perf_counter()
    over.set()
    looking.join()
    assert done.returncode == 0, done.stdout + done.stderr
    return Times(first[0] - begin, end - first[0])


def sweep(folder: Path, models: list[str]) -> Path:
    """A folder with the quickstart of these models."""
    folder.mkdir()
    text = re.sub(r"^models: \[.*?\]", f"models: [{', '.join(models)}]", QUICKSTART.read_text("utf-8"), flags=re.M)
    (folder / "quickstart.yaml").write_text(text, "utf-8")
    return folder


def local(folder: Path) -> Times:
    """`xsweep run` on this machine."""
    environment = {**os.environ, "XSWEEP_CACHE": str(folder / "cache"), "HOME": str(folder)}
    call = [sys.executable, "-m", "xsweep.cli", "run", "quickstart.yaml", "--store", str(folder / "runs")]
    stages = folder / "runs" / "stages"
    return timed(
        lambda: subprocess.run(call, env=environment, cwd=folder, capture_output=True, text=True, check=False),
        lambda: stages.is_dir() and any(stages.iterdir()),
    )


def submitted(folder: Path, store: str, begun: Callable[[], bool], settings: dict[str, str]) -> Times:
    """`xsweep submit --follow` to a new head, which is up before the clock starts."""
    settings = {**settings, "XSWEEP_CACHE": str(folder / "cache")}
    with clusters.head("--num-cpus=2", '--resources={"driver": 1}', settings=settings) as head:
        return timed(lambda: head.xsweep(folder, "submit", "quickstart.yaml", "--store", store, "--follow"), begun)


def main() -> None:
    """Print the medians of each way and their ratios to the local one."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--models", nargs="+", default=["world-24"])
    asked.add_argument("--repeats", type=int, default=1)
    asked.add_argument("--s3", action="store_true")
    options = asked.parse_args()
    took: dict[str, list[Times]] = {}
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server: S3 | None = stack.enter_context(s3_server()) if options.s3 else None
        for repeat in range(options.repeats):
            took.setdefault("local", []).append(local(sweep(root / f"local-{repeat}", options.models)))
            folder = sweep(root / f"head-{repeat}", options.models)
            stages = folder / "runs" / "stages"
            there = submitted(folder, str(folder / "runs"), lambda at=stages: at.is_dir() and any(at.iterdir()), {})  # type: ignore[misc]  # mypy cannot infer a default's type
            took.setdefault("submitted", []).append(there)
            if server is not None:
                make_bucket(server, f"results-{repeat}")
                os.environ |= server.environment
                store = f"s3://results-{repeat}/x"
                bucket = Bucket(store)
                folder = sweep(root / f"s3-{repeat}", options.models)
                there = submitted(folder, store, lambda at=bucket: bool(at.names("stages")), server.environment)  # type: ignore[misc]  # the same
                took.setdefault("submitted, S3", []).append(there)
    base = statistics.median(times.rest for times in took["local"])
    print(f"{'':<16}{'to the first files':>20}{'from there to the end':>24}{'over local':>12}")
    for way, all_ in took.items():
        start, rest = (statistics.median(getattr(times, part) for times in all_) for part in ("start", "rest"))
        print(f"{way:<16}{start:>18.1f} s{rest:>22.1f} s{rest / base - 1:>+12.1%}")


if __name__ == "__main__":
    main()
