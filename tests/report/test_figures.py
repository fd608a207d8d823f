from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import polars as pl
import pytest
from matplotlib.figure import Figure

from tests import made_up
from xsweep.analysis.design import Design
from xsweep.analysis.gains import family_gains, intervals, paired_gains
from xsweep.models.model import Model
from xsweep.report import style
from xsweep.report.curve import POINTS, curve_points
from xsweep.report.figures import marked
from xsweep.report.style import GRID, INK, LOOKS, MUTED, PAPER, png, svg


def points_of(sweep: Any, **how: Any) -> pl.DataFrame:
    frame = made_up.frame(sweep, **how)
    families = family_gains(paired_gains(frame, Design.of(frame)))
    return curve_points(families, intervals(families))


def test_points_are_the_seeds_and_their_means() -> None:
    points = points_of(made_up.sweep())
    assert points.schema == POINTS
    curve = points.filter(panel="all", family="nli", model="small")
    assert curve.filter(pl.col("seed").is_not_null()).sort("seed")["gain"].to_list() == pytest.approx([1.25, 1.5, 1.75])
    mean = curve.filter(pl.col("seed").is_null()).row(0, named=True)
    half = 4.302652729911275 * 0.25 / 3**0.5
    assert (mean["gain"], mean["low"], mean["high"]) == pytest.approx((1.5, 1.5 - half, 1.5 + half))
    assert (mean["params"], mean["seeds"]) == (100_000_000, 3)


def test_one_seed_has_points_and_no_band() -> None:
    points = points_of(made_up.sweep(seeds=(2,)))
    assert points.select(pl.col("low", "high").null_count()).row(0) == (points.height, points.height)
    assert points.filter(panel="all", family="qa", model="large")["gain"].to_list() == pytest.approx([0.5, 0.5])


def test_same_data_is_drawn_apart_in_its_own_panel_alone() -> None:
    points = points_of(made_up.sweep(), same_data=[("squad", "xquad")])
    shown = points.select("panel", "family", "scope").unique().rows()
    assert ("xquad", "qa", "with same-data") in shown
    assert ("xquad", "qa", "headline") not in shown
    assert {(panel, family) for panel, family, scope in shown if scope == "with same-data"} == {("xquad", "qa")}


def test_models_of_unknown_size_are_not_drawn() -> None:
    sizeless = made_up.LARGE.model_copy(update={"params": None})
    assert set(points_of(made_up.sweep(models=[made_up.SMALL, sizeless]))["model"]) == {"small"}


def sized(*params: int, ladder: str = "x") -> list[Model]:
    return [Model(name=f"m{n}", path="m", ladder=ladder, params=n) for n in params]


def draw(points: pl.DataFrame, panels: list[str], width: float, height: float) -> Figure:
    return marked(points, panels, width, height)[0]


def drawn(models: list[Model], panels: list[str] | None = None, **how: Any) -> str:
    points = points_of(made_up.sweep(models=models, **how))
    return svg(draw(points, panels or ["all"], 7.4, 4), "Title", "What <was> found & seen")


@pytest.mark.parametrize(
    ("params", "says", "edge"),
    [
        ((100_000_000, 560_000_000), "1B", False),  # as far again as the models reach: the axis goes there
        ((99_900_000, 103_400_000), "9.7 ×", True),  # within a decade, but the models would be one blot
        ((1_000_000, 10_000_000), "100 ×", True),
        ((500_000_000, 3_000_000_000), "1B", False),
        ((2_000_000_000, 9_000_000_000), None, False),
    ],
)
def test_one_billion_is_shown_or_said(params: tuple[int, ...], says: str | None, edge: bool) -> None:
    root = ElementTree.fromstring(drawn(sized(*params)))
    texts = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text")]
    about = [text for text in texts if "1B" in text]
    assert len(about) == (says is not None)
    if says:
        assert says in about[0]
        assert ("edge" in about[0]) == edge


def test_svg_keeps_text_and_says_what_it_shows() -> None:
    root = ElementTree.fromstring(drawn(sized(100_000_000, 560_000_000)))
    space = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{space}title") == "Title"
    assert root.findtext(f"{space}desc") == "What <was> found & seen"
    texts = {node.text for node in root.iter(f"{space}text")}
    assert {"m100000000", "100M", "560M", "NLI", "QA", "Parameters (log scale)"} <= texts


def test_bytes_repeat() -> None:
    models = sized(100_000_000, 560_000_000)
    assert drawn(models, ["xnli", "xquad"]) == drawn(models, ["xnli", "xquad"])
    points = points_of(made_up.sweep())
    assert png(draw(points, ["all"], 3.7, 3)) == png(draw(points, ["all"], 3.7, 3))


@pytest.mark.parametrize("models", [sized(5_000), sized(5_000, 5_000_000, ladder="")], ids=["one size", "no ladder"])
def test_few_points_can_be_drawn(models: list[Model]) -> None:
    assert "5k" in drawn(models, seeds=(1,))


@pytest.mark.parametrize("width", [3.75, 7.4])
@pytest.mark.parametrize("families", [2, 4, len(LOOKS)])
def test_a_legend_of_many_families_stays_inside_the_figure(families: int, width: float) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    points = points_of(made_up.sweep()).filter(family="nli")
    parts = [
        points.with_columns(family=pl.lit(name), scope=pl.lit(scope))
        for name in list(LOOKS)[:families]
        for scope in ("headline", "with same-data")
    ]
    figure = draw(pl.concat(parts), ["all"], width, 4.0)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent(canvas.get_renderer())
    assert len(legend.get_texts()) == 2 * families
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y0 >= figure.axes[0].get_window_extent().y1


def test_no_points_can_be_drawn() -> None:
    empty = pl.DataFrame(schema=POINTS)
    assert "Gain (points)" in svg(draw(empty, ["all"], 7.4, 4), "t", "d")


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_marks_stand_out_in_light_and_dark_and_differ_in_more_than_colour() -> None:
    for look in LOOKS.values():
        assert contrast(look.colour, PAPER) >= 3
        assert contrast(look.colour, "#14181d") >= 3
    assert len({(look.marker, look.dashes) for look in LOOKS.values()}) == len({look.marker for look in LOOKS.values()})
    assert contrast(INK, PAPER) >= 4.5
    assert contrast(MUTED, PAPER) >= 4.5
    assert len({INK, MUTED, GRID, PAPER, *(look.colour for look in LOOKS.values())}) == 4 + len(LOOKS)


def test_nothing_is_left_in_matplotlibs_settings() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw(points_of(made_up.sweep()), ["all"], 7.4, 4)
    assert dict(matplotlib.rcParams) == before
    assert style.FONTS.startswith("'DejaVu Sans'")
