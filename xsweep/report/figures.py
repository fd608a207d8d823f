"""Drawing: gain against parameters, one panel per target or one for all. Same points, same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby, pairwise

import matplotlib.style
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xsweep.analysis.gains import ALL, HEADLINE
from xsweep.report.words import BILLION, MINUS, factor, family_name, size

INK, MUTED, GRID, PAPER = "#1b1f24", "#59636e", "#d8dee4", "#ffffff"
"""Each used for nothing else, so that a page can replace them by its own."""
FONTS = "'DejaVu Sans', Verdana, sans-serif"


@dataclass(frozen=True)
class Look:
    """How a family is told from the others: never by colour alone.

    The first two are Okabe and Ito's; the others follow them, darkened until they stand out on white and on black.
    """

    colour: str
    marker: str
    dashes: tuple[float, ...] = ()


LOOKS = {
    "nli": Look("#0072b2", "o"),
    "qa": Look("#d55e00", "s", (5, 2)),
    "paraphrase": Look("#009e73", "^", (1, 1.5)),
    "completion": Look("#b8618f", "D", (5, 1.5, 1, 1.5)),
    "commonsense": Look("#a87d00", "v", (3, 1, 1, 1, 1, 1)),
    "tagging": Look("#3b84b8", "P", (8, 2)),
    "mixture": Look("#8a63b8", "X", (2, 1)),
    "control": Look("#7a7a7a", "h", (1, 3)),
    "retrieval": Look("#4f8a3d", "<", (4, 1, 4, 3)),
    "text": Look("#9a6b4f", ">", (2, 3)),
}

_EM = 0.125
"""Size of the legend's letters, in inches."""
_HANDLE, _GAP = 3.2, 2.0
"""Length of a legend's mark, and what is between two columns, in its letters' size."""

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xsweep",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the bytes do not depend on the machine's fonts
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.major.size": 0,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
}


@contextmanager
def _style() -> Iterator[None]:
    with matplotlib.style.context(["default", _STYLE]):
        yield


def draw(points: pl.DataFrame, panels: Sequence[str], width: float, height: float, columns: int = 1) -> Figure:
    """POINTS -> a figure of ``width`` by ``height`` inches, its panels in rows of ``columns``.

    It is higher where the legend takes more than one line.
    """
    with _style():
        rows = math.ceil(len(panels) / columns)
        handles = _legend(points.filter(pl.col("panel").is_in(panels)))
        across = _columns([str(handle.get_label()) for handle in handles], width)
        more = max(0, -(-len(handles) // across) - 1)
        figure = Figure(figsize=(width, height + 1.6 * _EM * more), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for place, (panel, axes) in enumerate(zip(panels, grid.flat, strict=False)):
            _panel(axes, points.filter(panel=panel), width / columns)
            if panel != ALL:
                axes.set_title(panel, loc="left", fontsize=9.5, fontweight="bold")
            if place % columns == 0:
                axes.set_ylabel("Gain (points)")
        if handles:
            figure.legend(handles=handles, loc="outside upper left", ncols=across, handlelength=_HANDLE,
                          columnspacing=_GAP, fontsize=72 * _EM)  # fmt: skip
        return figure


def svg(figure: Figure, title: str, description: str) -> str:
    """The figure as SVG with text as text, a title, a description and no date."""
    text = _saved(figure, "svg", {"Date": None, "Creator": None, "Title": title}).decode()
    end = text.index("</title>") + len("</title>")
    text = f"{text[:end]}\n <desc>{_escaped(description)}</desc>{text[end:]}"
    return text.replace("'DejaVu Sans'", FONTS)


def png(figure: Figure) -> bytes:
    """The figure as PNG at 300 dots per inch."""
    return _saved(figure, "png", {"Software": None})


def _saved(figure: Figure, kind: str, metadata: dict[str, str | None]) -> bytes:
    with _style():
        stream = BytesIO()
        figure.savefig(stream, format=kind, dpi=300, metadata=metadata)
        return stream.getvalue()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _panel(axes: Axes, points: pl.DataFrame, width: float) -> None:
    sizes = points.select("model", "params").unique().sort("params", "model").rows()
    left, right = _span([params for _, params in sizes])
    axes.set_xlim(left, right)
    axes.axhline(0, color=INK, linewidth=1.0, zorder=1.5)
    curves = list(points.partition_by("family", "scope", maintain_order=True))
    curves.sort(key=lambda part: (list(LOOKS).index(part["family"][0]), part["scope"][0]))
    inch = (right - left) / (width - 0.7)
    for number, part in enumerate(curves):
        _curve(axes, part, (number - (len(curves) - 1) / 2) * 0.09 * inch, 0.1 * inch)
    _ticks(axes, sizes, width)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+g}".replace("-", MINUS) if abs(value) > 1e-9 else "0")
    axes.margins(y=0.12)
    _billion(axes, sizes, width)


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
        place, half = math.log10(params), 2.9 * max(len(name), 5) * per_point
        step = next((step for step, end in enumerate(ends) if place - half > end), len(ends))
        ends[step : step + 1] = [place + half]
        for text, drop, colour in ((name, 8, INK), (size(params), 18.5, MUTED)):
            axes.annotate(text, (place, 0), (0, -drop - 25 * step), xycoords=axes.get_xaxis_transform(),
                          textcoords="offset points", ha="center", va="top", color=colour)  # fmt: skip
    axes.set_xticks([math.log10(params) for _, params in sizes], [""] * len(sizes))
    axes.set_xlabel("Parameters (log scale)", labelpad=23 + 25 * max(len(ends) - 1, 0))


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


def _curve(axes: Axes, points: pl.DataFrame, shift: float, beside: float) -> None:
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
