"""What it costs that every file of the store is hashed and fsynced: GB/s, and the share of a stage of 30 s.

python -m tests.benchmarks.hashing [MEGABYTES ...]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from xsweep.store.files import sha256
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store

STAGE = 30.0
"""Seconds of a short stage."""


def committed(folder: Path, megabytes: int) -> tuple[float, float]:
    """Seconds to commit a stage with weights of that size, and to hash them alone."""
    store, key = Store(folder / f"runs-{megabytes}"), "a" * 32
    path = store.work(key) / "model.safetensors"
    path.write_bytes(os.urandom(1_000_000) * megabytes)
    begin = time.perf_counter()
    digest = sha256(path)
    hashing = time.perf_counter() - begin
    begin = time.perf_counter()
    results = {"metrics.json": b"{}", "predictions.parquet": os.urandom(1_000_000)}
    done = store.commit(Manifest(key=key, kind="target", status="ok"), results, {path.name: path})
    assert done.files["weights/model.safetensors"]["sha256"] == digest
    return time.perf_counter() - begin, hashing


def main() -> None:
    """Print a line for each size."""
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in map(int, sys.argv[1:] or ("1", "100", "500")):
            commit, hashing = committed(Path(folder), megabytes)
            rate, share = megabytes / 1000 / hashing, 100 * commit / STAGE
            print(f"{megabytes:>5} MB: hashed at {rate:.2f} GB/s, committed in {commit:.3f} s, {share:.2f} % of 30 s")


if __name__ == "__main__":
    main()
