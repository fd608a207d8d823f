"""What the crossed bootstrap costs: 60 runs x 15 languages x 5,000 examples, 1,000 resamples.

Run from the checkout: ``OMP_NUM_THREADS=1 python -m tests.benchmarks.bootstrap``
"""

from __future__ import annotations

import time

import numpy as np

from xsweep.analysis.bootstrap import crossed_bootstrap

PAIRS, LANGUAGES, EXAMPLES, RESAMPLES = 30, 15, 5000, 1000
"""Thirty treated runs and thirty of the baseline."""


def main() -> None:
    """Print the seconds of CPU and the first interval."""
    drawn = np.random.default_rng(0)
    base = (drawn.random((PAIRS, LANGUAGES, EXAMPLES), dtype=np.float32) < 0.70).astype(np.float32)
    treated = (drawn.random((PAIRS, LANGUAGES, EXAMPLES), dtype=np.float32) < 0.72).astype(np.float32)
    start = time.process_time()
    found = crossed_bootstrap(treated, base, RESAMPLES)
    spent = time.process_time() - start
    low, high = found[0].percentile()
    print(
        f"{2 * PAIRS} runs x {LANGUAGES} languages x {EXAMPLES} examples, {RESAMPLES} resamples: {spent:.2f} s of CPU"
    )
    print(f"first language: {100 * found[0].value:+.2f} points, {100 * low:+.2f} to {100 * high:+.2f}")


if __name__ == "__main__":
    main()
