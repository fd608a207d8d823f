"""Scores computed elsewhere: a tidy CSV or Parquet file -> FRAME, or every row that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import polars as pl

from xsweep.analysis.design import BASELINE
from xsweep.analysis.frame import FRAME, LOST, SCORED, chance_of, group_of
from xsweep.errors import DataError, UsageError
from xsweep.models.catalog import MODELS
from xsweep.tasks.catalog import CATALOG, sources_of
from xsweep.tasks.task import Family

REQUIRED = ("model", "params", "arm", "target", "language", "seed", "score")
ONE_LADDER = "the file's"
"""Ladder of every model of a file that names none."""
SHOWN = 10
"""Faults that are written out; more are counted."""

_IGNORED = ("key", "primary")
"""Columns of xsweep's own score tables that are worked out again."""
_WHOLE = ("params", "embedding_params", "seed", "repeat", "n", "trials")
_NUMBERS = ("score", "chance", "gpu_hours", "dev_score")
_POINTS = ("score", "chance", "dev_score")
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_CELL = ["model", "target", "language", "metric", "seed", "repeat"]
_STATUSES = (*SCORED, *LOST, "missing")


def read_scores(path: Path) -> pl.DataFrame:
    """FRAME of the file at ``path``.

    Raises ``UsageError`` where there is no such file, ``DataError`` naming rows (counted from 1 below the header) where
    its columns or values are wrong, twice there, or have no baseline beside them.
    """
    raw = _text(path)
    faults = [f"{path}: {fault}" for fault in _columns(raw)]
    if faults:
        raise DataError("\n".join(faults))
    typed, wrong = _typed(raw)
    values = [f"row {row}: {what}" for row, what in sorted(wrong)]
    if typed.is_empty():
        _refuse(path, values)
    table, unknown = _filled(typed)
    sound = table.filter(~pl.col("row").is_in([row for row, _ in wrong]))
    faults = [*values, *unknown, *_disagreements(sound), *_duplicates(table)]
    # A row that a wrong value hides might be the one that another is to be compared with.
    _refuse(path, faults if values else [*faults, *_unpaired(table)])
    return table.select(FRAME.names()).cast(FRAME)


def remarks(frame: pl.DataFrame) -> list[str]:
    """What a reader must know of a FRAME that came from a file: what it was silent about, what looks exchanged."""
    said = []
    if frame["model"].n_unique() > 1 and set(frame["ladder"]) == {ONE_LADDER}:
        said.append("The file names no ladder, so its models are taken to differ in size alone.")
    unmarked = frame.filter(~pl.col("same_data")).select("arm", "target").unique(maintain_order=True)
    pairs = [f"{arm} on {target}" for arm, target in unmarked.iter_rows() if _same(arm, target)]
    if pairs:
        said.append(
            f"The file marks no same data for {', '.join(pairs)}, where catalogue entries of these names train on a "
            "common data set; such cells are in the headline here. A column same_data with true keeps them out."
        )
    return said


def _text(path: Path) -> pl.DataFrame:
    """Every column as trimmed text, empty as null, with ``row``."""
    if not path.is_file():
        raise UsageError(f"--scores {path}: no such file")
    try:
        if path.suffix == ".parquet":
            table = pl.read_parquet(path).with_columns(pl.all().cast(pl.String))
        else:
            table = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read as {path.suffix.lstrip('.') or 'csv'}: {error}") from error
    text = pl.all().str.strip_chars()
    text = pl.when(text == "").then(None).otherwise(text).name.keep()
    return table.with_columns(text).with_row_index("row", 1)


def _columns(raw: pl.DataFrame) -> Iterator[str]:
    known = {*FRAME, *_IGNORED}
    lacking = [name for name in REQUIRED if name not in raw.columns]
    strange = [name for name in raw.columns if name not in known and name != "row"]
    if lacking:
        yield f"lacks the column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}"
    if strange:
        told = ", ".join(sorted(known - set(_IGNORED)))
        yield f"has the unknown column{'s' if len(strange) > 1 else ''} {', '.join(strange)}; known are {told}"
    if not lacking and raw.is_empty():
        yield "holds no row"


def _typed(raw: pl.DataFrame) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
    """The columns in FRAME's types, those that the file lacks as null, and rows with what is wrong in them.

    A wrong value is null there; a row that does not say which cell it is of is left out.
    """
    faults: list[tuple[int, str]] = []

    def check(name: str, wrong: pl.Expr, what: str) -> None:
        rows = raw.filter(wrong).select("row", name).iter_rows() if name in raw.columns else ()
        faults.extend((row, f"{name} {value!r} {what}") for row, value in rows)

    for name in ("model", "arm", "target", "language", "seed"):
        check(name, pl.col(name).is_null(), "is empty")
    table = raw.drop([name for name in _IGNORED if name in raw.columns])
    for name in (*_WHOLE, *_NUMBERS):
        if name not in raw.columns:
            continue
        value = pl.col(name).cast(pl.Float64, strict=False)
        check(name, pl.col(name).is_not_null() & (value.is_null() | ~value.is_finite()), "is no number")
        if name in _WHOLE:
            low = 1 if name in ("params", "n") else 0
            check(name, (value != value.floor()) | (value < low) | (value > 2**62), "is no count")
        if name in _POINTS:
            check(name, value.is_finite() & ~value.is_between(0, 100), "is not between 0 and 100 points")
        wrong = [row for row, said in faults if said.startswith(f"{name} ")]
        table = table.with_columns(pl.when(~pl.col("row").is_in(wrong)).then(value).alias(name))
    if "same_data" in raw.columns:
        truth = pl.col("same_data").str.to_lowercase()
        check("same_data", pl.col("same_data").is_not_null() & ~truth.is_in(list(_TRUTH)), "is neither true nor false")
        table = table.with_columns(same_data=truth.replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean))
    if "status" in raw.columns:
        check("status", ~pl.col("status").is_in(_STATUSES), f"is none of {', '.join(_STATUSES)}")
        lost = pl.col("status").fill_null("ok").is_in(SCORED).not_()
        check("score", pl.col("score").is_null() & ~lost, "is missing, though the status says that there is one")
        check("score", pl.col("score").is_not_null() & lost, "is given, though the status says that there is none")
    else:
        check("score", pl.col("score").is_null(), "is missing; a run without one has a status such as failed")
    for name, kind in FRAME.items():
        if name not in table.columns:
            table = table.with_columns(pl.lit(None, kind).alias(name))
        elif name in _WHOLE:
            table = table.with_columns(pl.col(name).cast(pl.Int64))
    return table.drop_nulls(["model", "arm", "target", "language", "seed"]), faults


def _filled(table: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """What the file leaves out, from the catalogues, and what those do not know either."""
    table = table.with_columns(
        status=pl.col("status").fill_null("ok"),
        repeat=pl.col("repeat").fill_null(0),
        family=pl.when(arm=BASELINE).then(pl.lit(BASELINE)).otherwise(
            _known("family", "arm", table, lambda name: CATALOG[name].family if name in CATALOG else None)
            .str.to_lowercase()),
        group=_known("group", "target", table, lambda name: group_of(CATALOG[name]) if name in CATALOG else None),
        chance=_known("chance", "target", table, lambda name: chance_of(CATALOG[name]) if name in CATALOG else None),
        metric=_known("metric", "target", table, lambda name: CATALOG[name].metric if name in CATALOG else "score"),
        params=_known("params", "model", table, lambda name: MODELS[name].params if name in MODELS else None),
        embedding_params=_known("embedding_params", "model", table,
                                lambda name: MODELS[name].embedding_params if name in MODELS else None),
        ladder=_ladders(table),
        same_data=pl.col("same_data").fill_null(False),
    )  # fmt: skip
    faults = [
        f"row {row}: the catalogue does not know {of} {value!r}, so its {name} must be given"
        for name, of in (("family", "arm"), ("group", "target"))
        for value, row in table.filter(pl.col(name).is_null()).group_by(of, maintain_order=True)
        .agg(pl.col("row").first()).iter_rows()
    ]  # fmt: skip
    families = (BASELINE, *get_args(Family))
    odd = table.filter(pl.col("family").is_not_null() & ~pl.col("family").is_in(families))
    faults += [f"row {row}: family {value!r} is none of {', '.join(families)}"
               for row, value in odd.select("row", "family").iter_rows()]  # fmt: skip
    if table.filter(arm=BASELINE).is_empty():
        faults.append(f"no row is of the baseline, the arm {BASELINE!r}")
    targets = (
        table.select("target", "metric")
        .unique(maintain_order=True)
        .group_by("target", maintain_order=True)
        .agg("metric")
    )
    counting: dict[str, str] = {}
    for target, metrics in targets.iter_rows():
        own = CATALOG[target].metric if target in CATALOG else ""
        if len(metrics) > 1 and own not in metrics:
            faults.append(f"{target} has the metrics {', '.join(metrics)}, and the catalogue does not say which counts")
        counting[target] = metrics[0] if len(metrics) == 1 else own
    counts = pl.col("target").replace_strict(counting, return_dtype=pl.String)
    return table.with_columns(primary=pl.col("metric") == counts), faults


def _known(name: str, of: str, table: pl.DataFrame, ask: Callable[[str], object]) -> pl.Expr:
    """The column ``name``, empty places filled by what is known of column ``of``."""
    known = {value: ask(value) for value in table[of].unique()}
    return pl.coalesce(name, pl.col(of).replace_strict(known, return_dtype=FRAME[name]))


def _ladders(table: pl.DataFrame) -> pl.Expr:
    if table["ladder"].null_count() < table.height:
        return pl.col("ladder").fill_null("")
    names = set(table["model"])
    if names <= set(MODELS):
        return pl.col("model").replace_strict({name: MODELS[name].ladder for name in names}, return_dtype=pl.String)
    return pl.lit(ONE_LADDER)


def _same(arm: str, target: str) -> bool:
    """Whether the catalogue knows both, and that they train on a common data set."""
    both = [CATALOG[name] for name in (arm, target) if name in CATALOG]
    return len(both) == 2 and bool(sources_of(both[0]) & sources_of(both[1]))


def _disagreements(table: pl.DataFrame) -> Iterator[str]:
    """Facts of a model, arm or target that differ between its rows."""
    facts = {"model": ("params", "ladder", "embedding_params"), "arm": ("family",), "target": ("group", "chance")}
    for of, names in facts.items():
        for name in names:
            ways = table.unique([of, name], keep="first", maintain_order=True)
            for (value,), own in ways.group_by(of, maintain_order=True):
                if own.height > 1:
                    rows, told = (", ".join(map(str, own[column])) for column in ("row", name))
                    yield f"rows {rows}: {of} {value!r} has more than one {name}: {told}"


def _duplicates(table: pl.DataFrame) -> Iterator[str]:
    twice = table.group_by(["arm", *_CELL], maintain_order=True).agg("row").filter(pl.col("row").list.len() > 1)
    for line in twice.iter_rows(named=True):
        rows = ", ".join(map(str, line["row"]))
        yield f"rows {rows}: the same cell {_cell(line)} more than once"


def _unpaired(table: pl.DataFrame) -> Iterator[str]:
    lone = table.filter(pl.col("arm") != BASELINE).join(
        table.filter(arm=BASELINE), _CELL, "anti", maintain_order="left"
    )
    for line in lone.iter_rows(named=True):
        yield f"row {line['row']}: {_cell(line)} has no row of the arm {BASELINE!r} to be compared with"


def _cell(line: dict[str, object]) -> str:
    parts = [line[name] for name in ("model", "arm", "target", "language")]
    return " / ".join(map(str, [*parts, f"s{line['seed']}"]))


def _refuse(path: Path, faults: Sequence[str]) -> None:
    if faults:
        more = [f"{path}: and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        raise DataError("\n".join([*(f"{path}: {fault}" for fault in faults[:SHOWN]), *more]))
