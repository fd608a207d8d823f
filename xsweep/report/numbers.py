"""The headline, slopes, claims and other looks at the numbers, as the page prints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from xsweep.analysis.claims import family_claims, named
from xsweep.analysis.design import Design
from xsweep.analysis.equivalence import GAIN, LOSS, NOTHING
from xsweep.report.words import DASH, count, decimals, draws, listed, p_value

ALPHA = 0.05
_DIFFERS = "a difference that matters"
_QUANTITIES = {
    "mean_gain_nli": "Mean gain, {nli}",
    "mean_gain_qa": "Mean gain, {qa}",
    "mean_gain_difference": "Mean gain, {qa} minus {nli}",
    "slope_nli": "Slope per decade of parameters, {nli}",
    "slope_qa": "Slope per decade of parameters, {qa}",
    "slope_difference": "Slope, {qa} minus {nli}",
    "beyond_1b_nli": "Beyond 1B minus up to 1B, {nli}",
    "beyond_1b_qa": "Beyond 1B minus up to 1B, {qa}",
    "gain_beyond_1b_nli": "Gain beyond 1B, {nli}",
    "gain_beyond_1b_qa": "Gain beyond 1B, {qa}",
    "gain_beyond_1b_difference": "Gain beyond 1B, {qa} minus {nli}",
}


def quantity(name: str, design: Design) -> str:
    """A row of the headline in words; families by their tasks where those are too few to stand for one."""
    return _QUANTITIES[name].format(nli=named(design, "nli"), qa=named(design, "qa"))


def question(headline: pl.DataFrame, design: Design) -> str:
    """One sentence: does the gain change otherwise with size for QA than for NLI, or why that cannot be said."""
    row = headline.row(by_predicate=pl.col("quantity") == "slope_difference", named=True)
    nli, qa = (named(design, family) for family in ("nli", "qa"))
    if row["estimate"] is None:
        return f"Whether the gain changes with size otherwise for {qa} than for {nli} cannot be said: {row['reason']}."
    change = f"{decimals(row['estimate'], 2, True)} points per decade of parameters"
    if row["low"] is None:
        return f"The gain's slope over size is {change} for {qa} minus {nli}; {row['reason']}."
    spread = f"95 % interval {_span(row, 2)}, {draws(row['n_seeds'], design.unit)}, {count(row['n_sizes'], 'size')}"
    apart = row["low"] > 0 or row["high"] < 0
    resolved = "differs" if apart and row["p_holm"] < ALPHA else "is not resolved to differ"
    said = f"With size, the gain from {qa} {resolved} from that from {nli}: slopes {change} apart ({spread})."
    if apart and row["p_holm"] >= ALPHA:
        said += f" Among the four primary tests it does not stand (Holm's p {p_value(row['p_holm'])})."
    few = "" if family_claims(design) else " With so few tasks a side this speaks of those tasks, not of families."
    return said + few


def headline_rows(table: pl.DataFrame, design: Design) -> list[dict[str, str]]:
    """The headline's rows as strings."""
    rows = []
    for row in table.iter_rows(named=True):
        digits = 2 if row["quantity"].startswith("slope") else 1
        rows.append(
            {
                "what": quantity(row["quantity"], design),
                "estimate": decimals(row["estimate"], digits, True),
                "interval": _span(row, digits),
                "df": decimals(row["df"], 0),
                "p": p_value(row["p"]),
                "flip": p_value(row["p_sign_flip"]),
                "holm": p_value(row["p_holm"]),
                "n": f"{row['n_seeds']} / {row['n_sizes'] or DASH}",
                "reason": row["reason"],
            }
        )
    return rows


def example_rows(table: pl.DataFrame, design: Design) -> list[dict[str, str]]:
    """The headline with the bootstrap over seeds and test rows beside the t interval, as strings."""
    rows = []
    for row in table.iter_rows(named=True):
        digits = 2 if row["quantity"].startswith("slope") else 1
        rows.append(
            {
                "what": quantity(row["quantity"], design),
                "estimate": decimals(row["estimate"], digits, True),
                "interval": _span(row, digits),
                "rows": _span({"low": row["low_examples"], "high": row["high_examples"]}, digits),
                "bca": _span({"low": row["low_bca"], "high": row["high_bca"]}, digits),
                "reason": row["reason"],
            }
        )
    return rows


def slope_rows(table: pl.DataFrame, design: Design) -> tuple[list[dict[str, str]], list[str]]:
    """The slopes that have a value, as strings, and a sentence for those of one reason that have none."""
    rows = []
    unsaid: dict[str, dict[str, list[str]]] = {}
    for row in table.iter_rows(named=True):
        if row["estimate"] is None:
            family = _families(row["family"], design)
            unsaid.setdefault(row["reason"], {}).setdefault(row["method"], []).append(family)
            continue
        rows.append(
            {
                "family": _families(row["family"], design),
                "what": ("all targets" if row["target"] == "all" else row["target"]) + ", " + row["scale"],
                "method": row["method"],
                "estimate": decimals(row["estimate"], 2, True),
                "interval": _span(row, 2),
                "p": p_value(row["p"]),
                "q": p_value(row["q"]),
                "reason": row["reason"],
            }
        )
    lost = []
    for reason, methods in unsaid.items():
        families = list(dict.fromkeys(family for own in methods.values() for family in own))
        lost.append(f"Not given for {listed(families)}: {', '.join(methods)} ({reason}).")
    return rows, lost


def claim_rows(table: pl.DataFrame) -> tuple[list[dict[str, str]], list[str]]:
    """The claims that there is an estimate for, as strings, and the others with why there is none."""
    rows = [
        {
            "text": row["text"],
            "verdict": row["verdict"],
            "estimate": decimals(row["estimate"], 2, True),
            "interval": _span(row, 2),
            "basis": "; ".join(part for part in (row["basis"], row["reason"]) if part),
        }
        for row in table.filter(pl.col("estimate").is_not_null()).iter_rows(named=True)
    ]
    others = table.filter(pl.col("estimate").is_null()).select("text", "reason").iter_rows()
    return rows, [f"{text}: {reason}." for text, reason in others]


def equivalence_rows(table: pl.DataFrame, design: Design) -> list[dict[str, str]]:
    """The equivalence tests as strings."""
    return [
        {
            "what": quantity(row["quantity"], design),
            "margin": f"±{row['margin']:g}",
            "estimate": decimals(row["estimate"], 1, True),
            "interval": _span(row, 1),
            "p": p_value(row["p"]),
            "verdict": _verdict(row),
            "reason": row["reason"],
        }
        for row in table.iter_rows(named=True)
    ]


def _verdict(row: Mapping[str, Any]) -> str:
    """Of a difference between two gains, which is no gain itself, in its own words."""
    verdict = str(row["verdict"])
    apart = {GAIN: _DIFFERS, LOSS: _DIFFERS, NOTHING: "no difference that matters"}
    return apart.get(verdict, verdict) if row["quantity"].endswith("difference") else verdict


def three_way_rows(table: pl.DataFrame, design: Design) -> list[dict[str, str]]:
    """The headline by each analysis of runs that ended badly."""
    return [
        {
            "what": quantity(row["quantity"], design),
            "analysis": row["analysis"],
            "estimate": decimals(row["estimate"], 2, True),
            "interval": _span(row, 2),
            "reason": row["reason"],
        }
        for row in table.iter_rows(named=True)
    ]


def suspect_notes(table: pl.DataFrame) -> list[str]:
    """A sentence for each disagreement about which languages are hard."""
    return [
        f"{row['target']}, {row['metric']}: read with {row['what']}, the scores of {row['models']} would agree with "
        f"those of {row['against']} (correlation over languages {row['as_given']:.2f} as given, "
        f"{row['once_reordered']:.2f} so). Nothing was changed."
        for row in table.iter_rows(named=True)
    ]


def _families(name: str, design: Design) -> str:
    return " minus ".join(named(design, part) for part in name.split(" - "))


def _span(row: Mapping[str, Any], digits: int) -> str:
    if row["low"] is None or row["high"] is None:
        return DASH
    return f"{decimals(row['low'], digits, True)} to {decimals(row['high'], digits, True)}"
