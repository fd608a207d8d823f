"""How every figure looks, and how it becomes a file: the same figure, the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine

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

_FONT = "xsweep Sans"
"""DejaVu Sans with the letters of European scripts alone; what else a name may hold is taken from the whole font."""
_LETTERS = (range(0x20, 0x530), range(0x2000, 0x2300))

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xsweep",
    "pdf.fonttype": 42,  # TrueType, which journals take
    # It comes with matplotlib, so the bytes do not depend on the machine's fonts.
    "font.family": [_FONT, "DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titley": 1.0,  # no ticks above: matplotlib need not measure every label to place a title
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
def styled() -> Iterator[None]:
    """Matplotlib with the look of the report inside, and as it was after."""
    _register()
    with matplotlib.style.context(["default", _STYLE]):
        yield


def svg(figure: Figure, title: str, description: str) -> str:
    """The figure as SVG with text as text, a title, a description and no date."""
    text = _saved(figure, "svg", {"Date": None, "Creator": None, "Title": title}).decode()
    end = text.index("</title>") + len("</title>")
    text = f"{text[:end]}\n <desc>{_escaped(description)}</desc>{text[end:]}"
    return text.replace(f"'{_FONT}', 'DejaVu Sans'", FONTS)


def settle(figure: Figure) -> None:
    """Lay the figure out once and for all; one with an engine of its own would be drawn twice for every file."""
    with styled():
        FigureCanvasAgg(figure)
        ConstrainedLayoutEngine().execute(figure)


def pdf(figure: Figure, title: str) -> bytes:
    """The figure as PDF with its fonts inside and no date."""
    return _saved(figure, "pdf", {"Creator": None, "Producer": None, "CreationDate": None, "Title": title})


def png(figure: Figure) -> bytes:
    """The figure as PNG at 300 dots per inch."""
    return _saved(figure, "png", {"Software": None})


@cache
def _register() -> TemporaryDirectory[str]:
    """Make the small font known; it lives as long as the program.

    Every PDF has its fonts cut down to its letters, and a large font is read for that as if it were new each time.
    """
    from fontTools import subset

    folder = TemporaryDirectory(prefix="xsweep-fonts-")
    options = subset.Options(layout_features=[], notdef_outline=True, name_IDs=["*"], recalc_timestamp=False)
    options.drop_tables += ["FFTM"]  # a time stamp, which the library would warn of
    for weight in ("normal", "bold"):
        font = subset.load_font(findfont(FontProperties(family="DejaVu Sans", weight=weight)), options)
        cut = subset.Subsetter(options)
        cut.populate(unicodes=[letter for letters in _LETTERS for letter in letters])
        cut.subset(font)
        for record in font["name"].names:
            if record.nameID in (1, 3, 4, 6, 16):
                record.string = _FONT if record.nameID != 6 else f"xsweepSans-{weight}"
        path = Path(folder.name) / f"{weight}.ttf"
        subset.save_font(font, path, options)
        fontManager.addfont(path)
    return folder


def _saved(figure: Figure, kind: str, metadata: dict[str, str | None]) -> bytes:
    with styled():
        stream = BytesIO()
        packed: dict[str, Any] = (
            {"pil_kwargs": {"compress_level": 3}} if kind == "png" else {}
        )  # a fifth larger in half the time
        figure.savefig(stream, format=kind, dpi=300, metadata=metadata, **packed)
        return stream.getvalue()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
