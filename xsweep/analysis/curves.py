"""Curves of gain against size straight from a frame of runs."""

from __future__ import annotations

from typing import Literal

import polars as pl

from xsweep.analysis.design import Design
from xsweep.analysis.frame import FRAME
from xsweep.analysis.gains import intervals, paired_gains
from xsweep.analysis.tables import gains_table
from xsweep.errors import DataError


def gain_curves(runs: pl.DataFrame, languages: Literal["others", "english"] = "others") -> pl.DataFrame:
    """GAINS of a FRAME: one row per model (``params``), arm and target, and one over all targets (``all``).

    ``estimate`` is the mean gain over the baseline in points, paired by seed, in languages other than English or in
    English; ``low`` and ``high`` bound its 95 % t interval, null for one seed. ``runs`` comes from ``read_runs`` or
    ``read_scores``; the report's table ``gains`` (or ``gains_english``) holds the same. Raises ``DataError`` for a
    frame of other columns or without the baseline.
    """
    lacking = [name for name in FRAME if name not in runs.columns]
    if lacking:
        raise DataError(f"these are no runs: the frame lacks {', '.join(lacking)}; read_runs and read_scores make one")
    if runs.filter(arm="none").is_empty():
        raise DataError("no run is of the baseline, the arm 'none', so there is no gain over it")
    design = Design.of(runs)
    gains = paired_gains(runs, design)
    return gains_table(intervals(gains), gains, design, languages)
