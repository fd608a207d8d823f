"""FRAME -> every table of numbers: the one path, whoever made the scores."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from xsweep.analysis.claims import claims
from xsweep.analysis.consistency import suspects
from xsweep.analysis.design import Design
from xsweep.analysis.equivalence import equivalence
from xsweep.analysis.failures import failures, three_ways
from xsweep.analysis.gains import family_gains, intervals, language_gains, paired_gains
from xsweep.analysis.headline import headline
from xsweep.analysis.slopes import slopes
from xsweep.analysis.tables import averages, gains_all_languages, gains_table


@dataclass(frozen=True)
class Analysis:
    """What was found in one frame of scores."""

    design: Design
    gains: pl.DataFrame
    """``paired_gains``, a row per seed."""
    gain_means: pl.DataFrame
    """``intervals`` of them."""
    family_means: pl.DataFrame
    """``intervals`` of ``family_gains``."""
    tables: dict[str, pl.DataFrame]
    """File name -> table."""


def analyse(frame: pl.DataFrame, design: Design) -> Analysis:
    """Every estimate from a FRAME and its design."""
    gains = paired_gains(frame, design)
    families = family_gains(gains)
    means, family_means = intervals(gains), intervals(families)
    top, table = headline(families, design), gains_table(means, gains, design)
    tables = {
        "headline": top,
        "gains": table,
        "gains_english": gains_table(means, gains, design, "english"),
        "gains_all_languages": gains_all_languages(table, language_gains(frame, design)),
        "slopes": slopes(frame, design),
        "equivalence": equivalence(families, design),
        "claims": claims(gains, top, design),
        "failures": failures(frame),
        "three_ways": three_ways(frame, design),
        "averages": averages(frame, design),
        "suspects": suspects(frame),
        "scores": frame,
        "paired_gains": gains,
        "family_gains": families,
        "family_intervals": family_means,
    }
    return Analysis(design, gains, means, family_means, tables)
