"""The figures of a report: what each draws, how, and what it says in words; their files, their form on the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from xsweep.analysis.analyse import Analysis
from xsweep.analysis.equivalence import MARGIN
from xsweep.analysis.gains import ALL
from xsweep.analysis.scales import ERROR, LOGIT
from xsweep.report import charts, findings
from xsweep.report.curve import curve_points
from xsweep.report.figures import Mark, marked
from xsweep.report.points import (
    GAP,
    IN_ENGLISH,
    OTHERS,
    budget_points,
    end_points,
    forest_points,
    gap_points,
    group_points,
    heat_points,
    level_points,
    scale_points,
)
from xsweep.report.style import FONTS, GRID, INK, MUTED, PAPER, pdf, png, svg
from xsweep.report.tables import rounded, write_table
from xsweep.report.words import draws
from xsweep.store.files import write_atomic

_WIDE, _NARROW = 7.4, 3.75
"""Inches of a figure on a screen, and on a telephone."""

_CAPTIONS = {
    "gain_vs_params": "Gain in zero-shot score from an English intermediate task, averaged over all targets and over "
    "their languages other than English. Small marks: one {unit} each. Large marks: their mean, with its 95 % interval "
    "where there are two or more. The band joins the intervals of sizes that were run; between them nothing was "
    f"measured. Shaded: gains within ±{MARGIN:g} points, too small to matter.",
    "gain_by_target": "The same for each target alone, on one scale.",
    "gain_by_group": "The same for each group of targets, its targets averaged with equal weights.",
    "gain_scales": "The same gains in log odds and in percent of the baseline's errors. A slope whose sign depends on "
    "the scale is no finding.",
    "gain_heat_map": "Gain of each intermediate task on each target, languages other than English, points, mean over "
    "{units}. A dash: a run is missing.",
    "slope_forest": "Slope of the gain over size, per target, per family of languages over all targets, and pooled, "
    "with 95 % t intervals over {units}. Marked: slopes that Benjamini and Hochberg "
    "allow at a false discovery rate of 10 %; exploratory.",
    "scores_vs_params": "Scores in languages other than English, mean over {units}, without same-data cells: near "
    "chance or near 100 a gain has little room.",
    "gain_english_others": "The gain in other languages, in English, and the difference of the two {unit} by {unit}, "
    "which is how much the transfer gap grows. 95 % t intervals over {units}.",
    "expected_best": "Best score on English held-out rows to expect of k trials, mean over targets. Compare arms at "
    "the equal budget, not at their ends. Exact for random search; descriptive for others.",
    "run_outcomes": "Reporting runs by how they ended; a run that ended in several ways in its languages counts as the "
    "worst of them.",
}


@dataclass(frozen=True)
class Plate:
    """One figure: its points, and how they are drawn."""

    name: str
    title: str
    finding: str
    """What it shows, in a sentence; its alternative text."""
    points: pl.DataFrame
    wide: Callable[[], tuple[Figure, list[Mark]]]
    narrow: Callable[[], tuple[Figure, list[Mark]]] | None = None
    """How a telephone shows it; None for those that it scrolls."""
    unit: str = "seed"
    """What is drawn at random, by the design."""

    @property
    def caption(self) -> str:
        """What stands under it."""
        return _CAPTIONS[self.name].format(unit=draws(1, self.unit)[2:], units=draws(2, self.unit)[2:])


@dataclass(frozen=True)
class Shown:
    """A figure on the page."""

    plate: Plate
    wide: str
    narrow: str = ""
    marks: Mapping[str, list[Mark]] = field(default_factory=dict)
    """``wide`` and ``narrow`` -> where the points are."""


def plates(found: Analysis, tables: Mapping[str, pl.DataFrame], finding: str) -> list[Plate]:
    """The figures that the data has points for; ``finding`` is the page's own first sentence."""
    families, design = found.tables["family_gains"], found.design
    curve = rounded(curve_points(families, found.family_means))
    groups = rounded(group_points(found))
    made = [_curves("gain_vs_params", "Gain against model size", finding, curve.filter(panel=ALL), [ALL])]
    if len(design.targets) > 1:
        own = curve.filter(pl.col("panel") != ALL)
        said = findings.by_panel(own, "target")
        made.append(_curves("gain_by_target", "Gain against model size, by target", said, own, list(design.targets)))
    panels = groups["panel"].unique(maintain_order=True).to_list()
    if len(panels) > 1:
        said = findings.by_panel(groups, "group of targets")
        made.append(_curves("gain_by_group", "Gain against model size, by group of targets", said, groups, panels))
    scales = rounded(scale_points(found))
    named = {LOGIT: "Gain (log odds)", ERROR: "Gain (% of errors)"}
    made.append(_other("gain_scales", "Gain on two other scales", findings.scales(found.tables["slopes"]), scales,
                       lambda: marked(scales, list(named), _WIDE, 3.4, 2, named)[0]))  # fmt: skip
    gap = rounded(gap_points(families))
    sides = [OTHERS, IN_ENGLISH, GAP]
    if gap.filter(panel=GAP).height:
        made.append(_other("gain_english_others", "Gain in English and in other languages", findings.gap(gap), gap,
                           lambda: marked(gap, sides, _WIDE, 3.4, 3, margin=MARGIN)[0]))  # fmt: skip
    made += _charts(found, tables)
    return [replace(plate, unit=design.unit) for plate in made if plate.points.height]


def _charts(found: Analysis, tables: Mapping[str, pl.DataFrame]) -> Iterator[Plate]:
    heat = rounded(heat_points(tables["gains"], found.design))
    yield _other("gain_heat_map", "Gain of each intermediate task on each target", findings.heat(heat), heat,
                 lambda: charts.heat_map(heat))  # fmt: skip
    slopes = rounded(forest_points(tables["slopes"]))
    yield _other("slope_forest", "Slope of the gain over model size", findings.forest(slopes), slopes,
                 lambda: charts.forest(slopes))  # fmt: skip
    levels = rounded(level_points(found))
    yield _other("scores_vs_params", "Scores against model size", findings.levels(levels), levels,
                 lambda: charts.levels(levels))  # fmt: skip
    if "evp" in tables:
        budget = rounded(budget_points(tables["evp"], found.design))
        yield _other("expected_best", "Best score to expect of k trials", findings.budget(budget), budget,
                     lambda: charts.budgets(budget))  # fmt: skip
    ends = end_points(tables["failures"])
    yield _other("run_outcomes", "Runs by how they ended", findings.ends(ends), ends, lambda: charts.ends(ends))


def _curves(name: str, title: str, finding: str, points: pl.DataFrame, panels: list[str]) -> Plate:
    alone = panels == [ALL]
    rows = -(-len(panels) // 2)
    wide, narrow = (3.9, 3.6) if alone else (0.5 + 2.9 * rows, 0.4 + 2.8 * len(panels))
    return Plate(name, title, finding, points,
                 lambda: marked(points, panels, _WIDE, wide, 1 if alone else 2, margin=MARGIN),
                 lambda: marked(points, panels, _NARROW, narrow, margin=MARGIN))  # fmt: skip


def _other(name: str, title: str, finding: str, points: pl.DataFrame, make: Callable[[], Figure]) -> Plate:
    return Plate(name, title, finding, points, lambda: (make(), []))


def write_plate(folder: Path, plate: Plate) -> Shown:
    """Write the figure as SVG, PNG and PDF with its points as CSV and Parquet; returns it for the page."""
    figure, places = plate.wide()
    text = svg(figure, plate.title, plate.finding)
    write_atomic(folder / f"{plate.name}.svg", text.encode())
    write_atomic(folder / f"{plate.name}.png", png(figure))
    write_atomic(folder / f"{plate.name}.pdf", pdf(figure, plate.title))
    write_table(folder, plate.name, plate.points)
    wide = _inline(text, plate.name)
    if plate.narrow is None:
        return Shown(plate, wide)
    slim, there = plate.narrow()
    narrow = _inline(svg(slim, plate.title, plate.finding), f"{plate.name}_narrow")
    return Shown(plate, wide, narrow, {"wide": places, "narrow": there})


def _inline(text: str, name: str) -> str:
    """A figure's SVG as part of the page: its colours and fonts are the page's, its ids its own."""
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", text)
    box = re.search(r'viewBox="[^"]*"', text)
    assert box  # matplotlib always writes one
    labels = f'role="img" aria-labelledby="{name}-title {name}-desc"'
    text = f"<svg {box[0]} {labels}>" + text[text.index(">") + 1 :]
    text = text.replace("<title>", f'<title id="{name}-title">', 1).replace("<desc>", f'<desc id="{name}-desc">', 1)
    for colour, variable in ((INK, "ink"), (MUTED, "muted"), (GRID, "line"), (PAPER, "paper")):
        text = text.replace(colour, f"var(--{variable})")
    return text.replace(f"font-family: {FONTS}", "font-family: inherit")
