"""Tables for papers: booktabs, no vertical rules, numbers to the digits that they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

CAPTIONS: Mapping[str, str] = {
    "headline": "Primary quantities: points, slopes in points per decade of parameters. 95\\,\\% $t$ intervals over "
    "reporting seeds, or repeats of the search where there are three; $p$ adjusted by Holm over the primary set.",
    "gains": "Gain in zero-shot score in languages other than English, points, with 95\\,\\% $t$ intervals over "
    "seeds, or repeats of the search where there are three. "
    "$\\dagger$: intermediate task and target train on a common data set.",
    "gains_all_languages": "Gain in points with 95\\,\\% intervals for these languages and for languages in general "
    "(seeds crossed with languages, Satterthwaite).",
    "slopes": "Gain against $\\log_{10}$ of parameters, by every declared method. "
    "$q$: Benjamini--Hochberg, exploratory.",
    "budgets": "What each search was allowed to spend.",
    "failures": "Runs by how they ended, with Wilson's 95\\,\\% interval of the share that ended badly.",
    "claims": "Claims under test.",
    "data": "Data sets and row counts.",
    "environment": "Programs.",
}
"""Tables that have a LaTeX form, and what stands above each."""

_SPECIAL = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
            "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
            "<": r"\textless{}", ">": r"\textgreater{}"}  # fmt: skip
_LEFT_OUT = ("covers", "q", "missing", "same_data", "p_sign_flip")
_PS = ("p", "p_holm", "q", "p_fisher", "p_sign_flip")
_BOLD = "estimate"


def escape(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def latex(name: str, table: pl.DataFrame) -> str:
    """The table ``name`` as a floating booktabs table; an en dash where nothing is defined.

    An estimate is bold where its interval leaves zero out. Needs the package booktabs alone.
    """
    columns = [column for column in table.columns if column not in _LEFT_OUT or (name == "slopes" and column == "q")]
    kinds = "".join("l" if table.schema[column] == pl.String else "r" for column in columns)
    lines = [" & ".join(escape(column.replace("_", " ")) for column in columns) + r" \\"]
    lines += [r"\midrule"]
    lines += [
        " & ".join(_cell(column, row, name) for column in columns) + r" \\" for row in table.iter_rows(named=True)
    ]
    body = "\n".join(lines)
    return (
        f"% needs \\usepackage{{booktabs}}\n\\begin{{table}}\n\\centering\n\\caption{{{CAPTIONS[name]}}}\n"
        f"\\label{{tab:{name.replace('_', '-')}}}\n\\begin{{tabular}}{{{kinds}}}\n\\toprule\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def _cell(column: str, row: Mapping[str, Any], name: str) -> str:
    value = row[column]
    if value is None or value == "":
        return "--"
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, bool | int):
        return str(value)
    if column in _PS:
        return "$<$.001" if value < 0.001 else f"{value:.3f}".lstrip("0") if value < 1 else "1.000"
    digits = 2 if name in ("slopes", "claims") or str(row.get("quantity", "")).startswith("slope") else 1
    if column == "df":
        return f"${value:.0f}$"
    if column in ("rate", "low", "high") and name == "failures":
        digits = 2
    text = f"{value:.1e}" if column == "lr" else f"{value:.{digits}f}"
    text = text.lstrip("-") if float(text) == 0 else text
    if column == _BOLD and row.get("low") is not None and (row["low"] > 0 or row["high"] < 0):
        text = rf"\mathbf{{{text}}}"
    mark = r"^\dagger" if column == _BOLD and row.get("same_data") else ""
    return f"${text}{mark}$"
