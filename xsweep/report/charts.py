"""Drawing of everything but curves of gains: heat map, forest, scores, budgets, ends. Same points, same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import matplotlib
import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from xsweep.analysis.design import BASELINE
from xsweep.analysis.gains import ALL
from xsweep.report.points import STATUSES
from xsweep.report.style import INK, LOOKS, MUTED, PAPER, Look, settle, styled
from xsweep.report.words import DASH, family_name, points, signed, size

WIDTH = 7.4
"""Inches of a figure across a page."""
_LETTER = 0.075
"""Inches of a letter of a label."""
_DARK, _LIGHT = "#101010", "#fefefe"
"""Numbers inside coloured cells: of no other use, so that a page in the dark leaves them as they are."""

_ENDS = {
    "ok": ("#a9c7dc", ""),
    "degenerate": ("#e69f00", "////"),
    "diverged": ("#b3441e", "xxxx"),
    "failed": ("#5b2c6f", "...."),
    "missing": ("#f0f0f0", ""),
}
"""Colour and hatching of each way to end: light to dark, so that grey tells them apart too."""


def heat_map(drawn: pl.DataFrame) -> Figure:
    """HEAT -> one map of arms by targets for each model, the number in every cell, same-data cells hatched."""
    models = drawn.select("panel", "params").unique(maintain_order=True).rows()
    arms, targets = (drawn[name].unique(maintain_order=True).to_list() for name in ("arm", "target"))
    left = _LETTER * max(map(len, arms)) + 0.35
    titled = 1.15 * _LETTER * max(len(f"{model}, {size(params)}") for model, params in models)
    columns = max(1, min(len(models), int((WIDTH - left) / (max(0.52 * len(targets), titled) + 0.25))))
    rows = math.ceil(len(models) / columns)
    top = drawn["gain"].abs().max()
    bound = max(float(top), 0.1) if isinstance(top, float) else 1.0
    with styled():
        height = rows * (0.26 * len(arms) + 0.5) + 0.45 + _slant(targets)
        figure = Figure(figsize=(WIDTH, height))
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        _hide(grid.flat[len(models) :])
        for (model, params), axes in zip(models, grid.flat, strict=False):
            axes.set_title(f"{model}, {size(params)}", loc="left", fontsize=9, fontweight="bold")
            _cells(axes, drawn.filter(panel=model), arms, targets, bound)
        for place, axes in enumerate(grid.flat):
            under = place + columns >= len(models)
            axes.tick_params(labelbottom=under, length=0)
            if under:
                axes.set_xticks(range(len(targets)), targets, rotation=40, ha="right", rotation_mode="anchor")
        hatched = [Patch(facecolor=PAPER, edgecolor=MUTED, hatch="////", label="same data in both stages")]
        if drawn["same_data"].any():
            figure.legend(handles=hatched, loc="outside upper right", fontsize=8)
    settle(figure)
    return figure


def _cells(axes: Axes, cells: pl.DataFrame, arms: Sequence[str], targets: Sequence[str], bound: float) -> None:
    colours = matplotlib.colormaps["PuOr"]
    axes.grid(visible=False)
    axes.set_xlim(-0.5, len(targets) - 0.5)
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.set_yticks(range(len(arms)), arms)
    axes.spines[:].set_visible(False)
    boxes, fills = [], []
    for arm, target, gain, same in cells.select("arm", "target", "gain", "same_data").iter_rows():
        x, y = targets.index(target), arms.index(arm)
        rgba = colours(0.5 + 0.45 * gain / bound) if gain is not None else (0.94, 0.94, 0.94, 1.0)
        bright = 0.299 * rgba[0] + 0.587 * rgba[1] + 0.114 * rgba[2]
        ink = _DARK if bright > 0.5 else _LIGHT
        boxes.append(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92))
        fills.append(rgba)
        if same:
            axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, fill=False, edgecolor=ink, alpha=0.45,
                                     hatch="////", lw=0, zorder=2))  # fmt: skip
        box = {"facecolor": rgba, "linewidth": 0, "pad": 1.2} if same else None
        said = axes.text(x, y, DASH if gain is None else points(gain, True), ha="center", va="center", fontsize=8,
                         color=ink, bbox=box)  # fmt: skip
        said.set_in_layout(False)  # it is inside its cell: measuring it would change nothing
    axes.add_collection(PatchCollection(boxes, facecolors=fills, linewidths=0))


def forest(drawn: pl.DataFrame) -> Figure:
    """FOREST -> slopes with their intervals, a row per target and a mark where the false discovery rate allows one."""
    targets = [name for name in drawn["target"].unique(maintain_order=True) if name != ALL]
    rows = [*targets, ALL]
    families = drawn["family"].unique(maintain_order=True).to_list()
    with styled():
        height = 0.17 * len(families) * len(rows) + 0.2 * len(rows) + 1.1
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.subplots()
        axes.grid(visible=False)
        axes.axvline(0, color=INK, linewidth=1.0, zorder=1)
        if targets:
            axes.axhline(len(targets) - 0.5, color=MUTED, linewidth=0.7)
        for number, family in enumerate(families):
            own = drawn.filter(family=family)
            look, shift = _look(family), (number - (len(families) - 1) / 2) * 0.8 / len(families)
            for target, slope, low, high, marked in own.select("target", "slope", "low", "high", "marked").iter_rows():
                y = rows.index(target) + shift
                if low is not None:
                    axes.plot([low, high], [y, y], color=look.colour, linewidth=1.3, zorder=2)
                area = 62 if target == ALL else 32
                axes.scatter([slope], [y], s=area, marker=look.marker, color=look.colour, zorder=3)
                if marked:
                    end = slope if high is None else high
                    axes.annotate("q ≤ .10", (end, y), (5, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_yticks(range(len(rows)), [*targets, "all targets"])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.margins(x=0.1)
        axes.xaxis.set_major_formatter(lambda value, _: signed(value))
        axes.set_xlabel("Slope (points per decade of parameters)")
        _legend(figure, [(family_name(family), _look(family)) for family in families])
    settle(figure)
    return figure


def levels(drawn: pl.DataFrame) -> Figure:
    """LEVELS -> scores against parameters, a panel per target: the baseline, and each family after its arms."""
    panels = drawn["panel"].unique(maintain_order=True).to_list()
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    series = sorted(drawn["series"].unique(), key=lambda name: (name != BASELINE, name))
    with styled():
        figure = Figure(figsize=(WIDTH, 0.8 + 2.1 * rows))
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
        _hide(grid.flat[len(panels) :])
        for place, (panel, axes) in enumerate(zip(panels, grid.flat, strict=False)):
            own = drawn.filter(panel=panel)
            for name in series:
                _level(axes, own.filter(series=name), _look(name))
            chance = own["chance"][0]
            if chance:
                axes.axhline(chance, color=MUTED, linewidth=1.0, linestyle=(0, (1, 2)))
                axes.annotate("chance", (1, chance), (0, 2), xycoords=("axes fraction", "data"),
                              textcoords="offset points", ha="right", fontsize=8, color=MUTED)  # fmt: skip
            axes.set_title(panel, loc="left", fontsize=9, fontweight="bold")
            axes.margins(x=0.1, y=0.12)
            _size_axis(axes, drawn["params"].unique().sort().to_list(), labels=place + columns >= len(panels))
            if place % columns == 0:
                axes.set_ylabel("Score (points)")
        figure.supxlabel("Parameters (log scale)", fontsize=8.5)
        called = {name: "baseline" if name == BASELINE else f"after {family_name(name)}" for name in series}
        _legend(figure, [(called[name], _look(name)) for name in series])
    settle(figure)
    return figure


def _level(axes: Axes, own: pl.DataFrame, look: Look) -> None:
    for ladder in own.partition_by("ladder", maintain_order=True):
        line = look.dashes or (None, None)
        width = 1.5 if ladder["ladder"][0] else 0  # models of no ladder differ in more than size
        axes.plot(ladder["params"], ladder["score"], color=look.colour, dashes=line, linewidth=width,
                  marker=look.marker, markersize=5)  # fmt: skip


def budgets(drawn: pl.DataFrame) -> Figure:
    """BUDGET -> expected best score after k trials, a panel per model, with the most trials that all arms have."""
    panels = drawn["panel"].unique(maintain_order=True).to_list()
    arms = dict(drawn.select("arm", "family").unique(maintain_order=True).iter_rows())
    looks = _arm_looks(arms)
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    with styled():
        figure = Figure(figsize=(WIDTH, 0.8 + 2.2 * rows + 0.2 * (len(arms) // 5)))
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
        _hide(grid.flat[len(panels) :])
        for place, (panel, axes) in enumerate(zip(panels, grid.flat, strict=False)):
            own = drawn.filter(panel=panel)
            for arm in arms:
                line, look = own.filter(arm=arm), looks[arm]
                axes.plot(line["k"], line["expected"], color=look.colour, dashes=look.dashes or (None, None),
                          linewidth=1.5, marker=look.marker, markersize=4.5)  # fmt: skip
            equal = own["equal"][0]
            axes.axvline(equal, color=MUTED, linewidth=1.0, linestyle=(0, (2, 2)))
            axes.annotate("equal budget", (equal, 0), (-3, 3), xycoords=("data", "axes fraction"),
                          textcoords="offset points", ha="right", fontsize=8, color=MUTED)  # fmt: skip
            axes.set_title(panel, loc="left", fontsize=9, fontweight="bold")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.margins(x=0.1, y=0.15)
            if place % columns == 0:
                axes.set_ylabel("Best dev score (points)")
        figure.supxlabel("Trials", fontsize=8.5)
        _legend(figure, [("baseline" if arm == BASELINE else arm, looks[arm]) for arm in arms])
    settle(figure)
    return figure


def ends(drawn: pl.DataFrame) -> Figure:
    """ENDS -> runs by how they ended, a bar per arm and a panel per model."""
    models = drawn.select("panel", "params").unique(maintain_order=True).rows()
    arms = drawn["arm"].unique(maintain_order=True).to_list()
    columns = min(3, len(models))
    rows = math.ceil(len(models) / columns)
    present = [name for name in STATUSES if drawn.filter(pl.col("runs") > 0, status=name).height]
    with styled():
        figure = Figure(figsize=(WIDTH, 0.75 + rows * (0.24 * len(arms) + 0.55)))
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        _hide(grid.flat[len(models) :])
        for (model, params), axes in zip(models, grid.flat, strict=False):
            own = drawn.filter(panel=model)
            before = dict.fromkeys(arms, 0)
            for status in present:
                colour, hatch = _ENDS[status]
                for arm, runs in own.filter(status=status).select("arm", "runs").iter_rows():
                    axes.barh(arms.index(arm), runs, 0.72, before[arm], facecolor=colour, edgecolor=_DARK, hatch=hatch,
                              linewidth=0.5, linestyle=":" if status == "missing" else "-")  # fmt: skip
                    before[arm] += runs
            axes.set_title(f"{model}, {size(params)}", loc="left", fontsize=9, fontweight="bold")
            axes.grid(axis="x")
            axes.grid(visible=False, axis="y")
            axes.xaxis.get_major_locator().set_params(integer=True)
        grid[0, 0].set_yticks(range(len(arms)), ["baseline" if arm == BASELINE else arm for arm in arms])
        grid[0, 0].set_ylim(len(arms) - 0.5, -0.5)
        figure.supxlabel("Runs", fontsize=8.5)
        patches = [Patch(fc=_ENDS[s][0], hatch=_ENDS[s][1], ec=_DARK, lw=0.5, label=s) for s in present]
        figure.legend(handles=patches, loc="outside upper left", ncols=len(present), columnspacing=1.5)
    settle(figure)
    return figure


def _size_axis(axes: Axes, sizes: Sequence[int], labels: bool) -> None:
    """A tick at every size, a name where there is room for it."""
    axes.set_xscale("log")
    axes.minorticks_off()
    span = math.log10(max(sizes) / min(sizes)) or 1.0
    named: list[int] = []
    for params in sizes:
        if not named or math.log10(params / named[-1]) > 0.2 * span:
            named.append(params)
    axes.set_xticks(list(sizes), [size(params) if params in named else "" for params in sizes])
    axes.tick_params(axis="x", labelbottom=labels)


def _look(series: str) -> Look:
    """The look of a family; the baseline's, and that of a difference, are of ink."""
    return LOOKS.get(series) or (Look(INK, "o") if series == BASELINE else Look(INK, "d", (4, 1.5)))


def _arm_looks(arms: dict[str, str]) -> dict[str, Look]:
    """Its family's colour for each arm, and a marker of its own among its family."""
    found, seen = {}, dict.fromkeys(arms.values(), 0)
    markers = [look.marker for look in LOOKS.values()]
    for arm, family in arms.items():
        own = _look(family)
        first = markers.index(own.marker)
        marker = markers[(first + 2 * seen[family]) % len(markers)]
        found[arm] = Look(own.colour, marker, own.dashes if not seen[family] else (1 + 2 * seen[family], 1.5))
        seen[family] += 1
    return found


def _legend(figure: Figure, named: Sequence[tuple[str, Look]]) -> None:
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, dashes=look.dashes or (None, None), label=name)
        for name, look in named
    ]
    across = max(1, int(WIDTH / (0.75 + _LETTER * max(len(name) for name, _ in named))))
    figure.legend(handles=handles, loc="outside upper left", ncols=min(across, len(handles)), handlelength=3.2)


def _hide(spare: Iterable[Axes]) -> None:
    for axes in spare:
        axes.set_visible(False)


def _slant(labels: Sequence[str]) -> float:
    """Inches that slanted labels are high."""
    return 0.65 * _LETTER * max(map(len, labels)) + 0.1
