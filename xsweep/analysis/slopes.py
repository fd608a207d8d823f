"""Gain against size, looked at in every declared way: the table behind one number of the headline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from xsweep.analysis.design import Design
from xsweep.analysis.estimate import Estimate, t_estimate
from xsweep.analysis.gains import ALL, family_gains, language_gains, over_languages, over_targets, paired_gains
from xsweep.analysis.headline import NO_SIZE, NO_SLOPE
from xsweep.analysis.language_families import LANGUAGE_FAMILIES
from xsweep.analysis.multiple import adjusted
from xsweep.analysis.permutation import labels
from xsweep.analysis.scales import CHANCE, POINTS, SCALES
from xsweep.analysis.scaling import Sizes
from xsweep.analysis.units import Units, difference, families_of, family_units, of_rows, weighed

SLOPES = pl.Schema(
    {
        "family": pl.String(),
        "target": pl.String(),
        "scale": pl.String(),
        "method": pl.String(),
        "estimate": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "df": pl.Float64(),
        "p": pl.Float64(),
        "q": pl.Float64(),
        "n_seeds": pl.Int64(),
        "n_sizes": pl.Int64(),
        "reason": pl.String(),
    }
)
"""One row per family (``qa - nli`` for their difference), target (or ``all``, or all of them in one family of
languages, such as ``Slavic languages``), scale and method. Slopes are per decade of parameters. ``q`` is the p adjusted
over the exploratory rows: all but those of the headline."""

PER_SEED = "per-seed slopes"
BY_TASK = "tasks exchanged between families"
BETWEEN = "qa - nli"

_FLAT = 1e-9
"""A slope that is rounding, and has no sign."""
_EXACT = 1e-12
"""A sum of squares that is rounding."""
_MEANS = ("hinge: change of slope, of the means", "hinge: AICc less that of a line")
_HINGE = "needs two sizes on each side of 1B"


def slopes(frame: pl.DataFrame, design: Design) -> pl.DataFrame:
    """SLOPES of a FRAME."""
    rows: list[dict[str, Any]] = []
    for scale in SCALES:
        if scale == CHANCE and frame["chance"].null_count():
            continue
        gains = paired_gains(frame, design, scale)
        families = family_gains(gains)
        targets = [ALL, *design.targets] if scale == POINTS and len(design.targets) > 1 else [ALL]
        for target in targets:
            units = _units(families, design, target)
            for family, own in units.items():
                where = {"family": family, "target": target, "scale": scale}
                whole = scale == POINTS and target == ALL
                found = _whole(own) if whole else [(PER_SEED, _slope(own))]
                if whole and family == BETWEEN:
                    found = [*found, *pooled(units["nli"], units["qa"]), (BY_TASK, by_task(gains, design))]
                sizes = own.sizes.count if own.sizes else None
                rows += [where | _row(method, estimate, sizes) for method, estimate in found]
    rows += _by_language_family(language_gains(frame, design), design)
    table = pl.DataFrame(rows, SLOPES)
    exploratory = ~((pl.col("target") == ALL) & (pl.col("scale") == POINTS) & (pl.col("method") == PER_SEED))
    tests = table.with_row_index().filter(exploratory, pl.col("p").is_not_null())
    q = dict(zip(tests["index"], adjusted(tests["p"].to_list(), "fdr_bh"), strict=True))
    return table.with_columns(q=pl.Series([q.get(index) for index in range(table.height)], dtype=pl.Float64))


def _by_language_family(cells: pl.DataFrame, design: Design) -> Iterator[dict[str, Any]]:
    """Slopes in points of the languages of one family alone, where there are two families at least."""
    others = cells.filter(languages="others").with_columns(
        spoken=pl.col("language").replace_strict(LANGUAGE_FAMILIES, default=None, return_dtype=pl.String)
    )
    names = sorted(others["spoken"].drop_nulls().unique())
    for name in names if len(names) > 1 else ():
        families = family_gains(over_languages(others.filter(spoken=name)))
        for family, own in _units(families, design).items():
            where = {"family": family, "target": f"{name} languages", "scale": POINTS}
            yield where | _row(PER_SEED, _slope(own), own.sizes.count if own.sizes else None)


def _units(families: pl.DataFrame, design: Design, target: str = ALL) -> dict[str, Units]:
    """The units of each family, and of the difference of the two that the headline is of."""
    units = {name: family_units(families, name, design, target) for name in families_of(design)}
    if {"nli", "qa"} <= set(units):
        units[BETWEEN] = difference(units["qa"], units["nli"])
    return units


def scale_dependent(table: pl.DataFrame) -> list[str]:
    """Families whose slope has one sign in points and another by the log odds: no finding, whatever its p."""
    shown = table.filter(pl.col("method") == PER_SEED, pl.col("target") == ALL, pl.col("estimate").is_not_null())
    by_scale = {(family, scale): estimate for family, scale, estimate in
                shown.select("family", "scale", "estimate").iter_rows()}  # fmt: skip
    families = dict.fromkeys(shown["family"])
    pairs = {f: [by_scale.get((f, scale)) for scale in (POINTS, "logit")] for f in families}
    return [
        family
        for family, (one, other) in pairs.items()
        if one is not None and other is not None and one * other < 0 and min(abs(one), abs(other)) > _FLAT
    ]


def by_task(gains: pl.DataFrame, design: Design) -> Estimate:
    """The difference of mean slopes with the intermediate task as the unit, from ``paired_gains``; its p is exact."""
    slopes_of: dict[str, list[float]] = {"nli": [], "qa": []}
    cells = gains.filter(pl.col("target") != ALL, ~pl.col("same_data"), languages="others")
    for arm, family in design.arms.items():
        own = cells.filter(arm=arm)
        if family not in slopes_of or own.is_empty():
            continue
        by = ["model", "ladder", "params", "arm", "family", "seed"]
        found = _slope(of_rows(over_targets(own, by, ["gain"]), design))
        if found.value is None:
            return Estimate(reason=f"{arm}: {found.reason}")
        slopes_of[family].append(found.value)
    nli, qa = (np.array(values) for values in slopes_of.values())
    if not len(nli) or not len(qa):
        return Estimate(reason="a family has no task")
    return Estimate(float(qa.mean() - nli.mean()), p=labels(qa, nli), n=len(design.units))


def pooled(nli: Units, qa: Units) -> Iterator[tuple[str, Estimate]]:
    """The difference of slopes from one model of the means: classical, HC3, weighted, and its lack of fit.

    G ~ intercept per ladder and family + L + L:T on the (size, family) means, so that it holds where equal seed numbers
    at two sizes share nothing.
    """
    from statsmodels.regression.linear_model import OLS, WLS

    sizes = nli.sizes
    methods = ("pooled least squares", "pooled, HC3", "weighted by seeds' spread", "lack of fit (Q)")
    reason = nli.reason or qa.reason or (NO_SIZE if sizes is None else NO_SLOPE if sizes.slope() is None else "")
    if reason or sizes is None:
        yield from ((method, Estimate(reason=reason)) for method in methods)
        return
    zero = np.zeros_like(sizes.intercepts)
    columns = np.block([[sizes.intercepts, zero], [zero, sizes.intercepts]])
    logs, treated = np.tile(sizes.logs, 2), np.repeat([0.0, 1.0], len(sizes.params))
    design = np.column_stack([columns, logs, logs * treated])
    means = np.concatenate([nli.gains.mean(axis=0), qa.gains.mean(axis=0)])
    seeds, df = min(len(nli.seeds), len(qa.seeds)), len(means) - design.shape[1]
    if df < 1:
        yield from ((method, Estimate(reason="as many parameters as means")) for method in methods)
        return
    plain = OLS(means, design).fit()
    yield methods[0], _fitted(plain, seeds)
    leverage = np.einsum("ij,ji->i", design, np.linalg.pinv(design))
    if leverage.max() < 1 - 1e-9:
        yield methods[1], _fitted(plain.get_robustcov_results("HC3", use_t=True), seeds)
    else:
        yield methods[1], Estimate(reason="a size fits itself, so HC3 has no value")
    if seeds < 2:
        yield from ((method, Estimate(reason="one seed: no spread to weigh by")) for method in methods[2:])
        return
    variances = np.concatenate([units.gains.var(axis=0, ddof=1) / len(units.seeds) for units in (nli, qa)])
    if variances.min() < 1e-12:
        yield from ((method, Estimate(reason="a size has no spread over seeds")) for method in methods[2:])
        return
    weighted = WLS(means, design, weights=1 / variances).fit()
    value, error = float(weighted.params[-1]), float(np.sqrt(weighted.normalized_cov_params[-1, -1]))
    half = float(stats.norm.ppf(0.975)) * error
    p = float(2 * stats.norm.sf(abs(value) / error))
    yield methods[2], Estimate(value, value - half, value + half, None, p, seeds)
    residual = float(np.sum((means - design @ weighted.params) ** 2 / variances))
    yield methods[3], Estimate(residual, None, None, float(df), float(stats.chi2.sf(residual, df)), seeds)


def _slope(units: Units) -> Estimate:
    sizes = units.sizes
    return weighed(units, sizes.slope() if sizes else None, NO_SLOPE if sizes else NO_SIZE)[0]


def _whole(units: Units) -> list[tuple[str, Estimate]]:
    """Every method on a family's gains in points over all targets."""
    found = [(PER_SEED, _slope(units))]
    sizes = units.sizes
    names = ("hinge: slope up to 1B", "hinge: change of slope at 1B", "hinge: slope above 1B")
    weights = sizes.hinge() if sizes and not units.reason else None
    if weights is None:
        lost = units.reason or (_HINGE if sizes else NO_SIZE)
        found += [(name, Estimate(reason=lost)) for name in (*names, *_MEANS)]
    else:
        found += [(name, t_estimate(units.gains @ row)) for name, row in
                  zip(names, (*weights, weights.sum(axis=0)), strict=True)]  # fmt: skip
        found += zip(_MEANS, _hinge_of_means(units), strict=True)
    return [*found, *_free(units)]


def _hinge_of_means(units: Units) -> tuple[Estimate, Estimate]:
    """Change of slope at 1B from the means alone (t squared is F(1, n - k)), and what it is worth by AICc."""
    from statsmodels.regression.linear_model import OLS

    sizes, means = units.sizes, units.gains.mean(axis=0)
    assert sizes is not None  # there are weights
    line = np.column_stack([sizes.intercepts, sizes.logs])
    bent = np.column_stack([line, np.maximum(0.0, sizes.logs)])
    count, terms = bent.shape
    fit = OLS(means, bent).fit() if count > terms else None
    if fit is None or fit.ssr < _EXACT:
        why = "as many terms as sizes" if fit is None else "the means lie on it"
        return Estimate(reason=why), Estimate(reason=why)
    change = _fitted(fit, len(units.seeds))
    if count < terms + 3:  # AICc of k parameters, the variance among them, needs k + 2 means
        return change, Estimate(reason=f"needs {terms + 3} sizes")
    gain = _aicc(float(fit.ssr), count, terms + 1) - _aicc(float(OLS(means, line).fit().ssr), count, terms)
    return change, Estimate(gain, n=len(units.seeds))


def _aicc(squares: float, count: int, parameters: int) -> float:
    penalty = 2 * parameters * (parameters + 1) / (count - parameters - 1)
    return count * float(np.log(squares / count)) + 2 * parameters + penalty


def _free(units: Units) -> Iterator[tuple[str, Estimate]]:
    """What needs no straight line: the median slope, rank correlation, and the slope without each size in turn."""
    sizes = units.sizes
    names = ("Theil-Sen", "Kendall's tau", "least without one size", "most without one size")
    if units.reason or sizes is None or sizes.count < 3 or len(set(sizes.ladders)) > 1:
        why = units.reason or (NO_SIZE if sizes is None else "needs three sizes of one ladder")
        yield from ((name, Estimate(reason=why)) for name in names)
        return
    means, seeds = units.gains.mean(axis=0), len(units.seeds)
    median, _, low, high = stats.theilslopes(means, sizes.logs)
    yield names[0], Estimate(float(median), float(low), float(high), None, None, seeds)
    tau = stats.kendalltau(
        sizes.logs, means, method="exact" if len(set(means)) == len(means) == sizes.count else "auto"
    )
    known = bool(np.isfinite(tau.statistic))
    yield (
        names[1],
        Estimate(float(tau.statistic), None, None, None, float(tau.pvalue), seeds)
        if known
        else Estimate(reason="no gain differs from another"),
    )
    rest = []
    for size in sorted(set(sizes.params)):
        kept = [number for number, other in enumerate(sizes.params) if other != size]
        left = Sizes(tuple(sizes.params[n] for n in kept), tuple(sizes.ladders[n] for n in kept)).slope()
        if left is not None:
            rest.append(float(means[kept] @ left))
    yield names[2], Estimate(min(rest), n=seeds)
    yield names[3], Estimate(max(rest), n=seeds)


def _fitted(fit: Any, seeds: int) -> Estimate:
    low, high = (float(end) for end in np.asarray(fit.conf_int())[-1])
    return Estimate(float(fit.params[-1]), low, high, float(fit.df_resid), float(fit.pvalues[-1]), seeds)


def _row(method: str, e: Estimate, sizes: int | None) -> dict[str, Any]:
    return {"method": method, "estimate": e.value, "low": e.low, "high": e.high, "df": e.df, "p": e.p, "q": None,
            "n_seeds": e.n, "n_sizes": sizes, "reason": e.reason}  # fmt: skip
