"""How every figure looks, and how it becomes a file: the same figure, the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
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

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xsweep",
    "pdf.fonttype": 42,  # TrueType, which journals take
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the bytes do not depend on the machine's fonts
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
    with matplotlib.style.context(["default", _STYLE]):
        yield


def svg(figure: Figure, title: str, description: str) -> str:
    """The figure as SVG with text as text, a title, a description and no date."""
    text = _saved(figure, "svg", {"Date": None, "Creator": None, "Title": title}).decode()
    end = text.index("</title>") + len("</title>")
    text = f"{text[:end]}\n <desc>{_escaped(description)}</desc>{text[end:]}"
    return text.replace("'DejaVu Sans'", FONTS)


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
