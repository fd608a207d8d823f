"""What the crossed bootstrap costs: 60 runs x 15 languages x 5,000 examples, 1,000 resamples.

Run from the checkout: ``OMP_NUM_THREADS=1 python -m tests.benchmarks.bootstrap``
"""

from __future__ import annotations

import time

import numpy as np

from xsweep.analysis.bootstrap import over_seeds, score_samples
from xsweep.analysis.predictions import Parts

SEEDS, LANGUAGES, EXAMPLES, RESAMPLES = 30, 15, 5000, 1000
"""Thirty treated runs and thirty of the baseline."""


def main() -> None:
    """Print the seconds of CPU and an interval, for test sets that are parallel and for others."""
    drawn = np.random.default_rng(0)
    for what, kept in (("parallel", 1.0), ("not parallel", 0.99)):
        ids = [np.flatnonzero(drawn.random(EXAMPLES) < kept).astype(np.int32) for _ in range(LANGUAGES)]
        shares = [0.72] * SEEDS + [0.70] * SEEDS
        runs = [
            [Parts(own, (drawn.random(len(own)) < p).astype(np.float32), np.ones(len(own), np.float32)) for own in ids]
            for p in shares
        ]
        start = time.process_time()
        samples = score_samples(runs, RESAMPLES, "benchmark")
        gains = np.array([np.mean([part.score for part in run]) for run in runs])
        found = over_seeds(gains[:SEEDS] - gains[SEEDS:], samples[:, :SEEDS] - samples[:, SEEDS:])
        low, high = found.percentile()
        spent = time.process_time() - start
        print(f"{2 * SEEDS} runs x {LANGUAGES} languages x {EXAMPLES} examples, {what}, {RESAMPLES} resamples: "
              f"{spent:.2f} s of CPU; {found.value:+.2f} points, {low:+.2f} to {high:+.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
