"""Gains of a family as a matrix, units by models, and the quantities that are weighted sums of its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from xsweep.analysis.design import BASELINE, Design
from xsweep.analysis.estimate import Estimate, Values, t_estimate
from xsweep.analysis.gains import ALL, HEADLINE
from xsweep.analysis.scaling import Sizes
from xsweep.spec.sweep import CONTROL


@dataclass(frozen=True)
class Units:
    """Gains (seeds, models) of the seeds that have one at every model, with the sizes of the models."""

    seeds: tuple[int, ...]
    gains: Values
    models: tuple[str, ...]
    params: tuple[int | None, ...]
    ladders: tuple[str, ...]
    reason: str = ""
    """Why there is no seed at all."""

    @property
    def sizes(self) -> Sizes | None:
        """None where a model's size is not known, or there are no models."""
        known = [size for size in self.params if size]
        return Sizes.of(known, self.ladders) if known and len(known) == len(self.params) else None

    @property
    def mean(self) -> Values:
        """(seeds,): each seed's mean over models."""
        return np.asarray(self.gains.mean(axis=1)) if self.gains.size else np.zeros(0)


def family_units(families: pl.DataFrame, family: str, design: Design, target: str = ALL) -> Units:
    """The headline gains of a family in languages other than English, from ``family_gains``."""
    own = families.filter(family=family, scope=HEADLINE, target=target, languages="others")
    if own.is_empty():
        return _none(_absent(design, family))
    return of_rows(own, design)


def of_rows(rows: pl.DataFrame, design: Design) -> Units:
    """Units from rows of model, seed, gain and reason, one for each model and seed."""
    by_cell = {(model, seed): gain for model, seed, gain in rows.select("model", "seed", "gain").iter_rows()}
    seeds = sorted(rows["seed"].unique())
    names = [model.name for model in design.models]
    whole = [seed for seed in seeds if all(by_cell.get((name, seed)) is not None for name in names)]
    if not whole:
        why = next((r for r in rows.filter(pl.col("gain").is_null())["reason"] if r), "runs are missing")
        return _none(f"no seed has a gain at every model ({why})")
    gains = np.array([[by_cell[name, seed] for name in names] for seed in whole], dtype=np.float64)
    return Units(tuple(whole), gains, tuple(names), tuple(m.params for m in design.models),
                 tuple(m.ladder for m in design.models))  # fmt: skip


def difference(one: Units, other: Units) -> Units:
    """``one`` minus ``other``, of the seeds that both have."""
    if one.reason or other.reason:
        return _none(one.reason or other.reason)
    seeds = [seed for seed in one.seeds if seed in other.seeds]
    if not seeds:
        return _none("no seed has both families")
    gains = [one.gains[one.seeds.index(s)] - other.gains[other.seeds.index(s)] for s in seeds]
    return Units(tuple(seeds), np.array(gains), one.models, one.params, one.ladders)


def weighed(units: Units, weights: Values | None, why: str) -> tuple[Estimate, Values]:
    """The t estimate of the seeds' weighted sums, and those; ``why`` says what is wrong where there are no weights."""
    if units.reason:
        return Estimate(reason=units.reason), np.zeros(0)
    if weights is None:
        return Estimate(reason=why), np.zeros(0)
    values = units.gains @ weights
    return t_estimate(values), values


def families_of(design: Design) -> list[str]:
    """The families to average over, in the order of their arms."""
    return [family for family in dict.fromkeys(design.arms.values()) if family not in (BASELINE, CONTROL)]


def _absent(design: Design, family: str) -> str:
    if family not in design.arms.values():
        return f"no arm is of the family {family}"
    if not any(code != "en" for languages in design.targets.values() for code in languages):
        return "English is the only language"
    return f"every {family} cell shares training data with its target"


def _none(reason: str) -> Units:
    return Units((), np.zeros((0, 0)), (), (), (), reason)
