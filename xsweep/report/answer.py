"""What the page says first, in words: the estimate at the largest model, and what keeps it from saying more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import polars as pl

from xsweep.analysis.claims import family_claims
from xsweep.analysis.design import BASELINE, Design
from xsweep.analysis.gains import ALL, HEADLINE, intervals
from xsweep.models.model import Model
from xsweep.report.words import BILLION, DASH, count, draws, family_name, interval, listed, points, size
from xsweep.spec.sweep import CONTROL

RESOLVING = 6
"""Seeds from which an exact test by signs can go below .05."""


@dataclass(frozen=True)
class Tile:
    """One family's estimate at the largest model."""

    family: str
    name: str
    mean: str
    interval: str
    """The interval with what it is over, or why there is none."""
    verdict: str


@dataclass(frozen=True)
class Answer:
    """What the page says first."""

    sentence: str
    tiles: tuple[Tile, ...]
    notes: tuple[str, ...]
    """What keeps the answer from saying more."""


def answer(design: Design, gains: pl.DataFrame, families: pl.DataFrame) -> Answer:
    """The estimate of each family at the largest model that has one; ``families`` are intervals of ``family_gains``."""
    shown = families.filter(scope=HEADLINE, target=ALL, languages="others")
    names = [family for family in dict.fromkeys(design.arms.values()) if family not in (BASELINE, CONTROL)]
    scored = set(shown.filter(pl.col("seeds") > 0)["model"])
    model = next((m for m in reversed(design.models) if m.name in scored), None)
    if model is None:
        sentence = "There is no estimate yet." if names else "There are controls alone, so there is no estimate."
        return Answer(sentence, (), tuple(_notes(design, gains, None)))
    rows = {row["family"]: row for row in shown.filter(model=model.name).iter_rows(named=True)}
    clauses = [_clause(_called(design, f), rows[f], design.unit) for f in names if f in rows and rows[f]["seeds"]]
    absent = [family_name(family) for family in names if family not in rows or not rows[family]["seeds"]]
    sentence = (
        f"{_where(model, design)}, an English intermediate task changes zero-shot scores in languages other than "
        f"English by {listed(clauses)}."
    )
    if absent:
        sentence += f" There is no estimate for {listed(absent)}."
    tiles = tuple(_tile(family, rows.get(family), design.unit) for family in names)
    return Answer(sentence, tiles, tuple(_notes(design, gains, model)))


def _called(design: Design, family: str) -> str:
    """The family's name where its tasks are enough to tell it from them, else with its arms."""
    arms = [arm for arm, own in design.arms.items() if own == family]
    return family_name(family) if family_claims(design) else f"{family_name(family)} by {listed(arms)}"


def _where(model: Model, design: Design) -> str:
    known = f"{size(model.params)} parameters" if model.params else "size unknown"
    if model != design.models[-1]:
        rank = "the largest model with an estimate"
    else:
        rank = "the largest model here" if len(design.models) > 1 else "the only model here"
    return f"At {model.name} ({known}), {rank}"


def _tile(family: str, row: Mapping[str, Any] | None, unit: str) -> Tile:
    name = family_name(family)
    if row is None:
        return Tile(family, name, DASH, "every cell shares training data with its target", "")
    if not row["seeds"]:
        return Tile(family, name, DASH, "runs are missing, see below", "")
    mean = points(row["mean"], signed=True)
    if row["low"] is None:
        return Tile(family, name, mean, f"{_over(1, unit)}, so no interval", "")
    spread = f"{interval(row['low'], row['high'])}, {_over(row['seeds'], unit)}"
    crosses = row["low"] <= 0 <= row["high"]
    return Tile(family, name, mean, spread, "the interval includes zero" if crosses else "the interval excludes zero")


def _clause(name: str, row: Mapping[str, Any], unit: str) -> str:
    over = _over(row["seeds"], unit)
    spread = (
        f"95 % interval {interval(row['low'], row['high'])}, {over}"
        if row["low"] is not None
        else f"{over}, so no interval"
    )
    return f"{points(row['mean'], signed=True)} points for {name} ({spread})"


def _over(number: int, unit: str) -> str:
    said = draws(number, unit)
    return f"one {said.removeprefix('1 ')}" if number == 1 else said


def _notes(design: Design, gains: pl.DataFrame, model: Model | None) -> list[str]:
    notes = []
    if model is not None and model != design.models[-1]:
        notes.append(f"The largest model of the sweep, {design.models[-1].name}, has no estimate yet.")
    largest = max((m.params for m in design.models if m.params), default=None)
    if largest is not None and largest <= BILLION:
        notes.append(f"The largest model has {size(largest)} parameters: nothing here speaks about models beyond 1B.")
    notes += _few(design)
    notes += _narrow(design)
    cells = averaged(design)
    if len({_weights(arms) for arms in cells.values() if arms}) > 1:
        notes.append(
            "Cells that train twice on one data set are left out, so the families weigh the targets differently: "
            "compare them target by target. "
            + " ".join(f"{family_name(f)}: {_composition(a, design)}." for f, a in cells.items())
        )
    if model is not None:
        notes += _control_notes(design, gains, model)
    odd = gains.filter(pl.col("degenerate") & (pl.col("target") != ALL) & pl.col("gain").is_not_null())
    if odd.height:
        pairs = odd.select("model", "arm", "target", "seed").n_unique()
        notes.append(f"Degenerate runs are marked ‡ and kept in every mean: {count(pairs, 'gain')} of those below.")
    return notes


def _control_notes(design: Design, gains: pl.DataFrame, model: Model) -> list[str]:
    """What the controls gain at the model of the answer, each on its own."""
    found = intervals(gains.filter(family=CONTROL, model=model.name, target=ALL, languages="others"))
    rows = {row["arm"]: row for row in found.iter_rows(named=True)}
    said = [_clause(arm, rows[arm], design.unit) for arm in design.arms if arm in rows and rows[arm]["seeds"]]
    if not said:
        return []
    return [f"Controls, which are in no family: {listed(said)}. A gain that a control has too is not the task's."]


def _few(design: Design) -> list[str]:
    """A warning where there are too few units for an exact test to reach 5 %."""
    number = len(design.units)
    if not 1 < number < RESOLVING:
        return []
    return [
        f"{draws(number, design.unit).capitalize()}: a pilot. The intervals lean on normal scatter, and no exact test "
        f"of so few can go below p = {2 / 2**number:.3g}."
    ]


def _narrow(design: Design) -> list[str]:
    """A warning where the sizes are too close for a slope over them to mean much."""
    sizes = [m.params for m in design.models if m.params]
    if len(sizes) < 2 or max(sizes) / min(sizes) >= 2:
        return []
    trunks = [m.params - m.embedding_params for m in design.models if m.params and m.embedding_params]
    rest = (
        f", {max(trunks) / min(trunks):.3g} without the embeddings" if len(trunks) == len(sizes) and min(trunks) else ""
    )
    return [
        f"The models' sizes differ by a factor of {max(sizes) / min(sizes):.3g} only{rest}: the size axis is stretched."
    ]


def averaged(design: Design) -> dict[str, dict[str, list[str]]]:
    """Family -> arm -> the targets that its headline is averaged over."""
    found: dict[str, dict[str, list[str]]] = {}
    for arm, family in design.arms.items():
        if family not in (BASELINE, CONTROL):
            out = design.same_data | design.left_out
            kept = [target for target in design.targets if (arm, target) not in out]
            found.setdefault(family, {}).update({arm: kept} if kept else {})
    return found


def _weights(arms: Mapping[str, Sequence[str]]) -> frozenset[tuple[str, Fraction]]:
    """The weight of each target in a family's headline."""
    weights: dict[str, Fraction] = {}
    for targets in arms.values():
        for target in targets:
            weights[target] = weights.get(target, Fraction(0)) + Fraction(1, len(arms) * len(targets))
    return frozenset(weights.items())


def _composition(arms: Mapping[str, Sequence[str]], design: Design) -> str:
    """What each arm is averaged over, by what it leaves out where that is less to say."""
    said = []
    for arm, targets in arms.items():
        out = [target for target in design.targets if target not in targets]
        rest = f"without {listed(out)}" if out else "on every target"
        said.append(f"{arm} {f'on {listed(targets)}' if len(targets) <= len(out) else rest}")
    return "; ".join(said) or "no cell"
