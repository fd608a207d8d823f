"""Frames -> what the page prints, in words and strings. The template decides nothing."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import polars as pl

from xsweep.analysis.design import BASELINE, Design
from xsweep.analysis.gains import ALL, ENGLISH, HEADLINE, intervals
from xsweep.models.model import Model
from xsweep.plan.mixing import described
from xsweep.plan.records import Record
from xsweep.report.words import BILLION, DASH, count, family_name, interval, listed, points, size
from xsweep.spec.sweep import CONTROL, Sweep


@dataclass(frozen=True)
class Tile:
    """One family's estimate at the largest model."""

    family: str
    name: str
    mean: str
    interval: str
    """The interval with its seeds, or why there is none."""
    verdict: str


@dataclass(frozen=True)
class Answer:
    """What the page says first."""

    sentence: str
    tiles: tuple[Tile, ...]
    notes: tuple[str, ...]
    """What keeps the answer from saying more."""


@dataclass(frozen=True)
class GainCell:
    """One arm's gain on one target, ready to print."""

    mean: str
    interval: str
    seeds: str
    """``2 of 3 seeds`` where some are missing."""
    marks: str
    reason: str


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
    clauses = [_clause(family, rows[family]) for family in names if family in rows and rows[family]["seeds"]]
    absent = [family_name(family) for family in names if family not in rows or not rows[family]["seeds"]]
    sentence = (
        f"{_where(model, design)}, an English intermediate task changes zero-shot scores in languages other than "
        f"English by {listed(clauses)}."
    )
    if absent:
        sentence += f" There is no estimate for {listed(absent)}."
    tiles = tuple(_tile(family, rows.get(family)) for family in names)
    return Answer(sentence, tiles, tuple(_notes(design, gains, model)))


def _where(model: Model, design: Design) -> str:
    known = f"{size(model.params)} parameters" if model.params else "size unknown"
    if model != design.models[-1]:
        rank = "the largest model with an estimate"
    else:
        rank = "the largest model here" if len(design.models) > 1 else "the only model here"
    return f"At {model.name} ({known}), {rank}"


def _tile(family: str, row: Mapping[str, Any] | None) -> Tile:
    name = family_name(family)
    if row is None:
        return Tile(family, name, DASH, "every cell shares training data with its target", "")
    if not row["seeds"]:
        return Tile(family, name, DASH, "runs are missing, see below", "")
    mean = points(row["mean"], signed=True)
    if row["low"] is None:
        return Tile(family, name, mean, "one seed, so no interval", "")
    spread = f"{interval(row['low'], row['high'])}, {count(row['seeds'], 'seed')}"
    crosses = row["low"] <= 0 <= row["high"]
    return Tile(family, name, mean, spread, "the interval includes zero" if crosses else "the interval excludes zero")


def _clause(family: str, row: Mapping[str, Any]) -> str:
    seeds = count(row["seeds"], "seed") if row["seeds"] > 1 else "one seed"
    spread = (
        f"95 % interval {interval(row['low'], row['high'])}, {seeds}"
        if row["low"] is not None
        else f"{seeds}, so no interval"
    )
    return f"{points(row['mean'], signed=True)} points for {family_name(family)} ({spread})"


def _notes(design: Design, gains: pl.DataFrame, model: Model | None) -> list[str]:
    notes = []
    if model is not None and model != design.models[-1]:
        notes.append(f"The largest model of the sweep, {design.models[-1].name}, has no estimate yet.")
    largest = max((m.params for m in design.models if m.params), default=None)
    if largest is not None and largest <= BILLION:
        notes.append(f"The largest model has {size(largest)} parameters: nothing here speaks about models beyond 1B.")
    notes += _narrow(design)
    cells = averaged(design)
    if len({_weights(arms) for arms in cells.values() if arms}) > 1:
        notes.append(
            "Cells that train twice on one data set are left out, so the families weigh the targets differently: "
            "compare them target by target. "
            + " ".join(f"{family_name(f)}: {_composition(a)}." for f, a in cells.items())
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
    said = [_clause(arm, rows[arm]) for arm in design.arms if arm in rows and rows[arm]["seeds"]]
    if not said:
        return []
    return [f"Controls, which are in no family: {listed(said)}. A gain that a control has too is not the task's."]


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
            kept = [target for target in design.targets if (arm, target) not in design.same_data]
            found.setdefault(family, {}).update({arm: kept} if kept else {})
    return found


def _weights(arms: Mapping[str, Sequence[str]]) -> frozenset[tuple[str, Fraction]]:
    """The weight of each target in a family's headline."""
    weights: dict[str, Fraction] = {}
    for targets in arms.values():
        for target in targets:
            weights[target] = weights.get(target, Fraction(0)) + Fraction(1, len(arms) * len(targets))
    return frozenset(weights.items())


def _composition(arms: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{arm} on {listed(targets)}" for arm, targets in arms.items()) or "no cell"


def gain_rows(design: Design, means: pl.DataFrame, gains: pl.DataFrame, group: str) -> list[dict[str, Any]]:
    """One row per model and arm: ``cells`` for all targets together, then each target, in ``design``'s order."""
    table = {(r["model"], r["arm"], r["target"]): r for r in means.filter(languages=group).iter_rows(named=True)}
    why = gains.filter(pl.col("reason") != "", languages=group).unique(
        ["model", "arm", "target"], keep="first", maintain_order=True
    )
    reasons = {(r["model"], r["arm"], r["target"]): r["reason"] for r in why.iter_rows(named=True)}
    rows = []
    for model in design.models:
        for arm, family in design.arms.items():
            if arm != BASELINE:
                keys = [(model.name, arm, target) for target in columns(design)]
                cells = [_gain_cell(table.get(key), reasons.get(key, "")) for key in keys]
                rows.append({"model": model, "arm": arm, "family": family, "cells": cells})
    return rows


def columns(design: Design) -> list[str]:
    """Targets as columns: all of them together first, where there is more than one."""
    return [ALL, *design.targets] if len(design.targets) > 1 else list(design.targets)


def _gain_cell(row: Mapping[str, Any] | None, reason: str) -> GainCell:
    if row is None:
        return GainCell(DASH, "", "", "", "not scored in these languages")
    marks = ("†" if row["same_data"] else "") + ("‡" if row["degenerate"] else "")
    planned = row["seeds"] + row["missing"]
    seeds = f"{row['seeds']} of {count(planned, 'seed')}" if row["missing"] else ""
    spread = interval(row["low"], row["high"]) if row["low"] is not None else ""
    return GainCell(points(row["mean"], signed=True), spread, seeds, marks, reason)


def score_tables(design: Design, scores: pl.DataFrame) -> list[dict[str, Any]]:
    """One table per target: mean over seeds of the metric that counts, per model, arm and language."""
    tables = []
    for target, languages in design.targets.items():
        own = scores.filter("primary", target=target)
        order = sorted(languages, key=lambda code: (code != ENGLISH, code))
        rows = [
            {"model": model, "arm": arm, **_means(own.filter(model=model.name, arm=arm), order, len(design.seeds))}
            for model in design.models
            for arm in design.arms
            if (arm, target) not in design.left_out
        ]
        tables.append({"target": target, "metric": next(iter(own["metric"]), ""), "languages": order, "rows": rows})
    return tables


def _means(own: pl.DataFrame, languages: Sequence[str], planned: int) -> dict[str, Any]:
    values: dict[str, list[float]] = {code: own.filter(language=code)["score"].to_list() for code in languages}
    means = [statistics.fmean(found) if found else None for found in values.values()]
    others = [mean for mean, code in zip(means, languages, strict=True) if code != ENGLISH]
    known = [mean for mean in others if mean is not None]
    seeds = own["seed"].n_unique()
    return {
        "cells": [points(mean) for mean in means],
        "others": points(statistics.fmean(known)) if known and len(known) == len(others) else DASH,
        "seeds": "" if seeds == planned else f"{seeds} of {count(planned, 'seed')}",
        "degenerate": bool((own["status"] == "degenerate").any()),
    }


def control_rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per task of the artificial world: the control and the best of the models, by language."""
    rows = []
    for (task,), own in table.group_by("task", maintain_order=True):
        lines = list(own.iter_rows(named=True))
        others = [line for line in lines if line["language"] != ENGLISH]
        scored = all(line["score"] is not None for line in lines)
        means = [statistics.fmean(line[name] for line in others) for name in ("control", "score")] if scored else []
        rows.append(
            {
                "task": task,
                "languages": [line["language"] for line in lines],
                "control": [points(line["control"]) for line in lines],
                "best": [points(line["score"]) for line in lines],
                "scored": scored,
                "held_out": not scored and any(line["score"] is not None for line in lines),
                "copying": [line["language"] for line in lines if line["copying"]],
                "all_copying": bool(means) and means[0] >= means[1],
            }
        )
    return rows


def point_rows(drawn: pl.DataFrame, panel: str) -> list[dict[str, str]]:
    """The means that a panel draws, as a table beside it."""
    rows = drawn.filter(pl.col("seed").is_null(), panel=panel).iter_rows(named=True)
    return [
        {
            "family": family_name(row["family"]) + ("" if row["scope"] == HEADLINE else ", with same-data cells"),
            "model": row["model"],
            "params": size(row["params"]),
            "gain": points(row["gain"], signed=True),
            "interval": interval(row["low"], row["high"]),
            "seeds": str(row["seeds"]),
        }
        for row in rows
    ]


def budget_rows(budgets: pl.DataFrame, sweep: Sweep) -> list[dict[str, str]]:
    """The budgets table as strings."""
    blind = {arm.name for arm in sweep.arms if arm.control == "shuffled-labels"}
    rows = []
    for row in budgets.iter_rows(named=True):
        lost = [f"{row[name]} {name}" for name in ("degenerate", "pruned", "diverged", "failed") if row[name]]
        if row["degenerate"] and row["arm"] in blind and row["target"] is None:
            lost[0] += ", as this control should be"
        rows.append(
            {
                "model": row["model"],
                "arm": row["arm"],
                "search": row["target"] or "intermediate",
                "trials": f"{row['trials_done']} of {row['trials_planned']}" if row["trials_planned"] else "baseline's",
                "lost": ", ".join(lost) or DASH,
                "dev": points(row["dev_score"]),
                "lr": DASH if row["lr"] is None else f"{row['lr']:.2g}",
                "epochs": DASH if row["epochs"] is None else str(row["epochs"]),
                "runs": f"{row['runs_done']} of {row['runs_planned']}",
            }
        )
    return rows


def declared(sweep: Sweep) -> list[str]:
    """What the sweep file declares that makes its numbers differ from a full fine-tune."""
    said = []
    if sweep.train.freeze != "none":
        said.append(f"frozen in every stage: {sweep.train.freeze}")
    said += [f"{arm.name} trains on {arm.examples:,} rows" for arm in sweep.arms if arm.examples]
    said += [f"{arm.name} trains on shuffled labels" for arm in sweep.arms if arm.control == "shuffled-labels"]
    said += [f"{arm.name} trains each target as long as both stages of {arm.of}" for arm in sweep.arms if arm.of]
    said += [f"{target.name} trains on {target.examples:,} English rows" for target in sweep.targets if target.examples]
    said += [f"{t.name} is scored on {t.score_examples:,} rows per language" for t in sweep.targets if t.score_examples]
    numbered = [text.replace(",", "\N{NARROW NO-BREAK SPACE}") for text in said]
    return _searched(sweep) + numbered + [told for arm in sweep.arms if (told := described(arm))]


def _searched(sweep: Sweep) -> list[str]:
    """What makes its searches differ from every trial in full for every size."""
    search, said = sweep.search, []
    if sweep.train.schedule == "wsd":
        said.append(
            f"the learning rate stays after its warm-up, and falls in the last {sweep.train.cooldown:.0%} alone"
        )
    if search.halving:
        what = (
            f"the best 1/{search.halving.eta} of the trials go on, first after {count(search.halving.epochs, 'epoch')}"
        )
        said.append(f"trials stop early, by synchronous successive halving on English held-out data: {what}")
    if search.transfer:
        what = f"tries the best {search.transfer.trials} configurations of the model before"
        said.append(
            f"each larger model of a ladder {what}, learning rates by width to the power {search.transfer.power:g}"
        )
    if search.repeats > 1:
        said.append(f"the search is done {search.repeats} times, and reporting seeds take turns with its decisions")
    return said


def versions(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Program -> the versions of it that the results were made with."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, version in (record.manifest.versions if record.manifest else {}).items():
            found.setdefault(name, set()).add(str(version))
    return [(name, ", ".join(sorted(found[name]))) for name in sorted(found)]
