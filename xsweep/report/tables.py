"""Tables as files: CSV, Parquet and LaTeX with the same rows, equal bytes for equal results on any machine."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from xsweep.report.latex import CAPTIONS, latex
from xsweep.store.files import write_atomic

DECIMALS = 6
_FORMULA = r"^([=+\-@\t\r])"


def rounded(table: pl.DataFrame) -> pl.DataFrame:
    """Every number but learning rates to six decimals, so that the last bits of a sum cannot show."""
    columns = [name for name, kind in table.schema.items() if kind == pl.Float64]
    rates = [name for name in columns if name == "lr"]
    table = table.with_columns(
        *(pl.col(name).round(DECIMALS) for name in columns if name not in rates),
        *(pl.col(name).round_sig_figs(DECIMALS) for name in rates),
    )
    # A rounded sum may be a negative zero, which prints as one.
    return table.with_columns(
        pl.when(pl.col(name) == 0).then(0.0).otherwise(pl.col(name)).alias(name) for name in columns
    )


def csv(table: pl.DataFrame) -> str:
    """RFC 4180 with a header; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    guarded = pl.col(pl.String).str.replace(_FORMULA, "'$1")
    return rounded(table).with_columns(guarded).write_csv(float_scientific=False)


def write_table(folder: Path, name: str, table: pl.DataFrame) -> None:
    """``name.csv`` and ``name.parquet`` in ``folder``, and ``name.tex`` of those that papers print."""
    write_atomic(folder / f"{name}.csv", csv(table).encode())
    if name in CAPTIONS:
        write_atomic(folder / f"{name}.tex", latex(name, table).encode())
    temporary = folder / f".{name}.parquet"
    rounded(table).write_parquet(temporary, compression="zstd")
    write_atomic(folder / f"{name}.parquet", temporary.read_bytes())
    temporary.unlink()
