"""Seconds and peak memory of an exact search among a million candidates.

The vectors are random; how long a search takes does not depend on what they hold. Run from the checkout:
``python -m tests.benchmarks.million [QUERIES] [WIDTH]``
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from xsweep.tasks.neighbours import nearest
from xsweep.tasks.ranking import DEPTH

CANDIDATES = 1_000_000


def main(queries: int = 1000, width: int = 64) -> None:
    """Print what the search took, and what the process held at most."""
    random = np.random.default_rng(0)
    candidates = random.standard_normal((CANDIDATES, width), dtype=np.float32)
    asked = candidates[random.choice(CANDIDATES, queries, replace=False)] + 0.1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    _, places = nearest(asked, candidates, DEPTH)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{queries} queries among {CANDIDATES:,} candidates of width {width}, {places.shape[1]} neighbours each:")
    print(f"{seconds:.1f} s, at most {after / 1024**2:.2f} GiB in all, {before / 1024**2:.2f} GiB of it before")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
