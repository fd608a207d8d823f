"""Drawing: gain against parameters, one panel per target or one for all. Same points, same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from types import MappingProxyType

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xsweep.analysis.gains import ALL, HEADLINE
from xsweep.report.style import GRID, INK, LOOKS, MUTED, PAPER, settle, styled
from xsweep.report.words import BILLION, factor, family_name, signed, size

_EM = 0.125
"""Size of the legend's letters, in inches."""
_HANDLE, _GAP = 3.2, 2.0
"""Length of a legend's mark, and what is between two columns, in its letters' size."""
_NAMED = 3.0
"""Inches of a panel from which its models are named; a narrower one gives their sizes alone."""


@dataclass(frozen=True)
class Mark:
    """Where a point of a figure is, in points (1/72 inch) from its upper left corner."""

    panel: str
    family: str
    model: str
    seed: int | None
    x: float
    y: float


def marked(
    points: pl.DataFrame,
    panels: Sequence[str],
    width: float,
    height: float,
    columns: int = 1,
    axis: Mapping[str, str] = MappingProxyType({}),
    margin: float | None = None,
) -> tuple[Figure, list[Mark]]:
    """POINTS -> a figure of ``width`` by ``height`` inches, panels in rows of ``columns``, and where its points are.

    It is higher where the legend takes more than one line. ``axis`` names what is measured in panels that do not share
    one scale of points; ``margin`` shades the gains that would not matter.
    """
    with styled():
        rows = math.ceil(len(panels) / columns)
        handles = _legend(points.filter(pl.col("panel").is_in(panels)))
        across = _columns([str(handle.get_label()) for handle in handles], width)
        more = max(0, -(-len(handles) // across) - 1)
        figure = Figure(figsize=(width, height + 1.6 * _EM * more))
        grid = figure.subplots(rows, columns, squeeze=False, sharey=not axis)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes in grid.flat:
            axes.set_autoscaley_on(False)  # else every mark would scale every panel that shares its axis
        placed: list[tuple[Axes, str, list[_Place]]] = []
        for place, (panel, axes) in enumerate(zip(panels, grid.flat, strict=False)):
            if margin is not None:
                axes.axhspan(-margin, margin, color=GRID, alpha=0.6, linewidth=0, zorder=0.5)
            placed.append((axes, panel, _panel(axes, points.filter(panel=panel), width / columns)))
            if panel != ALL:
                axes.set_title(panel, loc="left", fontsize=9.5, fontweight="bold")
            if axis or place % columns == 0:
                axes.set_ylabel(axis.get(panel, "Gain (points)"))
        for axes in grid.flat:
            axes.autoscale(axis="y")
        if handles:
            figure.legend(handles=handles, loc="outside upper left", ncols=across, handlelength=_HANDLE,
                          columnspacing=_GAP, fontsize=72 * _EM)  # fmt: skip
    settle(figure)
    return figure, [mark for axes, panel, places in placed for mark in _marks(figure, axes, panel, places)]


_Place = tuple[str, str, int | None, float, float]
"""Family, model, seed or None for a mean, and the place in units of the axes."""


def _marks(figure: Figure, axes: Axes, panel: str, places: Sequence[_Place]) -> Iterator[Mark]:
    scale, height = 72 / figure.dpi, figure.bbox.height
    for family, model, seed, x, y in places:
        across, up = axes.transData.transform((x, y))
        yield Mark(panel, family, model, seed, round(across * scale, 1), round((height - up) * scale, 1))


def _panel(axes: Axes, points: pl.DataFrame, width: float) -> list[_Place]:
    sizes = points.select("model", "params").unique().sort("params", "model").rows()
    left, right = _span([params for _, params in sizes])
    axes.set_xlim(left, right)
    axes.axhline(0, color=INK, linewidth=1.0, zorder=1.5)
    curves = list(points.partition_by("family", "scope", maintain_order=True))
    curves.sort(key=lambda part: (list(LOOKS).index(part["family"][0]), part["scope"][0]))
    inch = (right - left) / (width - 0.7)
    places: list[_Place] = []
    for number, part in enumerate(curves):
        places += _curve(axes, part, (number - (len(curves) - 1) / 2) * 0.09 * inch, 0.1 * inch)
    _ticks(axes, sizes, width)
    axes.yaxis.set_major_formatter(lambda value, _: signed(value))
    axes.margins(y=0.12)
    _billion(axes, sizes, width)
    return places


def _span(params: Sequence[int]) -> tuple[float, float]:
    """Ends of the axis in log10. It reaches to 1B only when that leaves the models at least half of it."""
    logs = [math.log10(value) for value in params] or [9.0]
    low, high, goal = min(logs), max(logs), math.log10(BILLION)
    if high < goal <= high + (high - low):
        high = goal
    pad = 0.14 * (high - low) or 0.3
    return low - pad, high + pad


def _ticks(axes: Axes, sizes: Sequence[tuple[str, int]], width: float) -> None:
    """A tick, a name and a size for each model; a label that would run into one before it goes a step lower."""
    left, right = axes.get_xlim()
    per_point = (right - left) / (72 * (width - 0.7))
    ends: list[float] = []
    for name, params in sizes:
        place, half = math.log10(params), 2.9 * max(len(name) if width > _NAMED else 0, 5) * per_point
        step = next((step for step, end in enumerate(ends) if place - half > end), len(ends))
        ends[step : step + 1] = [place + half]
        lines = ((name, 8, INK), (size(params), 18.5, MUTED)) if width > _NAMED else ((size(params), 8, INK),)
        for text, drop, colour in lines:
            axes.annotate(text, (place, 0), (0, -drop - 25 * step), xycoords=axes.get_xaxis_transform(),
                          textcoords="offset points", ha="center", va="top", color=colour)  # fmt: skip
    axes.set_xticks([math.log10(params) for _, params in sizes], [""] * len(sizes))
    axes.set_xlabel("Parameters (log scale)", labelpad=(23 if width > _NAMED else 12) + 25 * max(len(ends) - 1, 0))


def _billion(axes: Axes, sizes: Sequence[tuple[str, int]], width: float) -> None:
    left, right = axes.get_xlim()
    goal, top = math.log10(BILLION), axes.get_xaxis_transform()
    if left < goal < right:
        axes.axvline(goal, color=MUTED, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate("1B", (goal, 1.0), (4, 0), xycoords=top, textcoords="offset points", color=MUTED, va="top")
    elif sizes and right < goal:
        times = factor(BILLION / sizes[-1][1])
        text = f"1B: {times} × the largest, beyond this edge →" if width > 4 else f"1B is {times} × the largest →"
        axes.text(1.0, 1.0, text, transform=axes.transAxes, color=MUTED, ha="right", va="bottom", fontsize=8)


def _curve(axes: Axes, points: pl.DataFrame, shift: float, beside: float) -> list[_Place]:
    """One family in one scope: band, mean line, means with whiskers, seeds. Hollow where same-data cells are in it.

    In units of the axis, ``shift`` keeps families apart at one size, ``beside`` the seeds from their mean.
    """
    look, solid = LOOKS[points["family"][0]], points["scope"][0] == HEADLINE
    face = look.colour if solid else PAPER
    means = points.filter(pl.col("seed").is_null()).with_columns(x=pl.col("params").log10() + shift)
    seeds = points.filter(pl.col("seed").is_not_null()).with_columns(
        x=pl.col("params").log10() + shift + math.copysign(beside, shift)
    )
    for ladder in means.partition_by("ladder", maintain_order=True):
        if ladder["ladder"][0]:  # models of no ladder differ in more than size: nothing joins them
            axes.plot(
                ladder["x"],
                ladder["gain"],
                color=look.colour,
                linewidth=1.7,
                dashes=look.dashes or (None, None),
                zorder=3,
            )
            for xs, lows, highs in _bands(ladder):
                axes.fill_between(
                    xs, lows, highs, color=look.colour, alpha=0.15 if solid else 0.06, linewidth=0, zorder=1
                )
    for x, low, high in means.select("x", "low", "high").drop_nulls().iter_rows():
        axes.plot([x, x], [low, high], color=look.colour, linewidth=1.0, solid_capstyle="butt", zorder=2.5)
    axes.scatter(
        seeds["x"], seeds["gain"], s=13, marker=look.marker, color=look.colour, alpha=0.7, linewidths=0, zorder=3.5
    )
    axes.scatter(means["x"], means["gain"], s=46, marker=look.marker, facecolor=face,
                 edgecolor=PAPER if solid else look.colour, linewidths=1.1, zorder=4)  # fmt: skip
    shown = pl.concat([seeds, means]).select("family", "model", "seed", "x", "gain")
    return list(shown.iter_rows())


def _bands(ladder: pl.DataFrame) -> Iterator[tuple[list[float], list[float], list[float]]]:
    """Stretches of neighbouring sizes that have intervals."""
    rows = ladder.select("x", "low", "high").rows()
    for known, stretch in groupby(rows, key=lambda row: row[1] is not None):
        if known:
            xs, lows, highs = zip(*stretch, strict=True)
            yield list(xs), list(lows), list(highs)


def _legend(points: pl.DataFrame) -> list[Line2D]:
    """A handle for each family and scope drawn."""
    present = sorted({(list(LOOKS).index(f), f, s) for f, s in points.select("family", "scope").unique().iter_rows()})
    return [
        Line2D([], [], color=LOOKS[f].colour, marker=LOOKS[f].marker, dashes=LOOKS[f].dashes or (None, None),
               markerfacecolor=LOOKS[f].colour if s == HEADLINE else PAPER, markeredgecolor=LOOKS[f].colour,
               label=family_name(f) + ("" if s == HEADLINE else ", with same-data cells"))
        for _, f, s in present
    ]  # fmt: skip


def _columns(labels: list[str], width: float) -> int:
    """The most columns of a legend of ``labels`` that ``width`` inches hold, at 0.6 em a letter."""
    for columns in range(len(labels), 1, -1):
        short, longer = divmod(len(labels), columns)
        ends = [number * short + min(number, longer) for number in range(columns + 1)]
        longest = [max(map(len, labels[start:end])) for start, end in pairwise(ends)]
        if sum(_HANDLE + _GAP + 1 + 0.6 * letters for letters in longest) * _EM <= width:
            return columns
    return 1
