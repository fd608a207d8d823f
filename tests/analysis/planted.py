"""Tables of scores with a gain that is known, in the shape that ``report --scores`` reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from xsweep.analysis.analyse import Analysis, analyse
from xsweep.analysis.design import Design
from xsweep.analysis.scores_file import read_scores

SIZES = (100_000_000, 300_000_000, 1_000_000_000, 3_000_000_000, 10_000_000_000)
FAMILIES = {"none": "none", "inference": "nli", "questions": "qa"}

Gain = Callable[[str, float], float]
"""Points of (family, log10(params) - 9)."""


def table(
    gain: Gain,
    sizes: Sequence[int] = SIZES,
    seeds: int = 5,
    noise: float = 0.0,
    languages: Sequence[str] = ("en", "de", "sw"),
    targets: Sequence[str] = ("goal",),
    ladder: Callable[[int], str] = lambda size: "one",
    arms: Mapping[str, str] = FAMILIES,
) -> pl.DataFrame:
    """Scores whose gains are ``gain`` and a part of each (size, arm, seed), normal with deviation ``noise``."""
    drawn = np.random.default_rng(7)
    rows: list[dict[str, Any]] = []
    for size in sizes:
        scale = float(np.log10(size)) - 9
        for seed in range(1, seeds + 1):
            shared = drawn.normal(0, 1)
            for arm, family in arms.items():
                own = 0.0 if arm == "none" else gain(family, scale) + drawn.normal(0, noise)
                rows += [
                    {"model": f"m{size}", "params": size, "ladder": ladder(size), "arm": arm, "family": family,
                     "target": target, "group": "classification", "language": language, "seed": seed,
                     "score": 55 + 4 * scale + place + shared + own}
                    for target in targets for place, language in enumerate(languages)
                ]  # fmt: skip
    return pl.DataFrame(rows)


def read(folder: Path, scores: pl.DataFrame) -> pl.DataFrame:
    """FRAME of ``scores``, by way of a file."""
    scores.write_csv(folder / "scores.csv")
    return read_scores(folder / "scores.csv")


def analysed(folder: Path, scores: pl.DataFrame) -> Analysis:
    frame = read(folder, scores)
    return analyse(frame, Design.of(frame))


def row(frame: pl.DataFrame, **where: Any) -> dict[str, Any]:
    """The one row that is so."""
    found = frame.filter(**where)
    assert found.height == 1, found
    return found.row(0, named=True)
