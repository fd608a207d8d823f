"""Seconds and peak memory of a report on many runs, from a file of made-up scores.

Run from the checkout: ``python -m tests.benchmarks.report [RUNS [TARGETS]]``
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from tests.analysis.planted import SIZES, table
from xsweep.analysis.scores_file import read_scores
from xsweep.report.page import write_scores_report

SEEDS = 5
LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")


def gain(family: str, scale: float) -> float:
    """NLI loses with size what QA wins."""
    return 2 - scale if family == "nli" else 1 + scale


def main(runs: int = 1000, targets: int = 14) -> None:
    """Print what a report took: reading, analysis, figures and page; a run is one scored (model, arm, target, seed)."""
    each = len(SIZES) * SEEDS * targets
    arms = {"none": "none"} | {f"arm{number}": ("nli", "qa")[number % 2] for number in range(max(2, runs // each - 1))}
    goals = tuple(f"target{number}" for number in range(targets))
    scores = table(gain, SIZES, SEEDS, 0.3, LANGUAGES, goals, arms=arms)
    scores = scores.with_columns(group="group " + (pl.col("target").rank("dense") % 4).cast(pl.String))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scores.csv"
        scores.write_csv(file)
        del scores
        wall, cpu = time.perf_counter(), time.process_time()
        frame = read_scores(file)
        write_scores_report(Path(folder) / "out", frame, file.name, "benchmark")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        page = (Path(folder) / "out" / "report.html").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{each * len(arms)} runs ({len(arms)} arms, {targets} targets) in {len(LANGUAGES)} languages, "
          f"{frame.height:,} scores: {wall:.1f} s, {cpu:.1f} s of CPU, at most {peak:.2f} GiB, "
          f"page of {page / 1e6:.1f} MB")  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
