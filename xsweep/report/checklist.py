"""What a reviewer asks, each question answered from the data; where that does not say, so does the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from xsweep.analysis.claims import family_claims
from xsweep.analysis.design import Design
from xsweep.analysis.equivalence import MARGIN
from xsweep.analysis.gains import ENGLISH
from xsweep.analysis.outcomes import uneven
from xsweep.analysis.slopes import scale_dependent
from xsweep.report.words import BILLION, count, decimals, family_name, listed, points, size
from xsweep.spec.sweep import CONTROL, Space, Sweep

NOT_KNOWN = "Not known"


@dataclass(frozen=True)
class Material:
    """What the answers are made from."""

    design: Design
    tables: Mapping[str, pl.DataFrame]
    sweep: Sweep | None


@dataclass(frozen=True)
class Item:
    """A question and what the data answers."""

    question: str
    answer: str

    @property
    def known(self) -> bool:
        """Whether the data says."""
        return not self.answer.startswith(NOT_KNOWN)


def checklist(design: Design, tables: Mapping[str, pl.DataFrame], sweep: Sweep | None) -> list[Item]:
    """Every question, in the order in which a paper answers them."""
    material = Material(design, tables, sweep)
    return [Item(question, answer(material)) for question, answer in _QUESTIONS.items()]


def _intervals(of: Material) -> str:
    if len(of.design.seeds) < 2:
        return "There are none: one seed has no spread."
    here = f"Student's t over {count(len(_units(of.design)), of.design.unit)}: {of.design.covers}, for these languages"
    return f"{here} and test rows. An interval for languages in general stands in the table gains_all_languages."


def _seeds(of: Material) -> str:
    seeds = f"{count(len(of.design.seeds), 'reporting seed')} ({', '.join(map(str, of.design.seeds))})"
    if of.sweep is None:
        return f"{NOT_KNOWN} whether they differ from a search's: the file gives {seeds}."
    return f"{seeds}, none of which trained a trial of a search."


def _tuning(of: Material) -> str:
    if of.sweep is None:
        trials: list[int] = of.tables["budgets"]["trials_done"].drop_nulls().to_list()
        if not trials:
            return f"{NOT_KNOWN}: the file has no column trials."
        told = f"{min(trials)} to {max(trials)} trials a search"
        return f"{told}; {NOT_KNOWN.lower()}: space, sampler and rule of selection." + _parity(of)
    search = of.sweep.search
    stages = [f"intermediate stage {_space(search.intermediate)}", f"target stage {_space(search.target)}"]
    mode = "both stages in one study of each arm and target: " if search.mode == "joint" else ""
    early = "; trials stop early, by synchronous successive halving" if search.halving else ""
    if search.halving and search.halving.asynchronous:
        early = "; trials stop early, by asynchronous successive halving, whose choices depend on timing"
    return (
        f"{mode}{listed(stages)}; {search.sampler} sampler{early}; the best score on English held-out rows wins; "
        "epochs are searched, so the last checkpoint counts." + _parity(of)
    )


def _space(space: Space) -> str:
    bounds = (
        f"learning rate {space.lr.low:.2g} to {space.lr.high:.2g}, epochs {space.epochs.low} to {space.epochs.high}"
    )
    return f"{count(space.trials, 'trial')} ({bounds})"


def _parity(of: Material) -> str:
    odd = uneven(of.tables["budgets"])
    return f" {count(len(odd), 'search', 'searches')} had another budget than the baseline's." if odd else (
        " Target searches had equal budgets."
    )  # fmt: skip


def _matched(of: Material) -> str:
    if of.sweep is None:
        own = [arm for arm, family in of.design.arms.items() if family == CONTROL]
        return f"Controls in the file: {listed(own)}." if own else f"{NOT_KNOWN}: no arm of the file is a control."
    own = [f"{arm.name} (as long as {arm.of})" for arm in of.sweep.arms if arm.of]
    return f"{listed(own)}." if own else "There is none in this sweep, so more training alone may explain a gain."


def _lost(of: Material) -> str:
    table = of.tables["failures"]
    ends = [f"{table[name].sum()} {name}" for name in ("degenerate", "diverged", "failed", "missing")]
    made = f"Of {count(int(table['runs'].sum()), 'run')} made: {listed(ends)}."
    return f"{made} All are counted by arm and size, and the primary quantities by three ways of counting such runs."


def _scales(of: Material) -> str:
    if of.tables["slopes"]["estimate"].null_count() == of.tables["slopes"].height:
        return "There is no slope to depend on a scale."
    turned = scale_dependent(of.tables["slopes"])
    return (
        f"Yes: the slope of {listed(map(family_name, turned))} changes its sign between points and log odds."
        if turned
        else "No slope changes its sign between points and log odds; error reduction stands beside them."
    )


def _english(of: Material) -> str:
    scored = [target for target, codes in of.design.targets.items() if ENGLISH in codes]
    if not scored:
        return f"{NOT_KNOWN}: no target is scored in English."
    return f"Apart in every table and figure; English is scored on {listed(scored)} and is in no headline."


def _languages(of: Material) -> str:
    codes = {code for own in of.design.targets.values() for code in own}
    where = "scores of each stand in the table scores"
    return (
        f"{count(len(codes), 'language')}; {where}. Slopes by family of languages stand in the table slopes; "
        "there is no split by size of pretraining data."
    )


def _families(of: Material) -> str:
    own = {
        name: [arm for arm, family in of.design.arms.items() if family == name]
        for name in dict.fromkeys(of.design.arms.values())
        if name not in ("none", CONTROL)
    }
    said = [f"{family_name(name)} {len(arms)} ({', '.join(arms)})" for name, arms in own.items()]
    enough = "enough for claims about families" if family_claims(of.design) else "too few for claims about families, " \
             "so tasks are named"  # fmt: skip
    return f"{listed(said) or 'no arm'}: {enough}."


def _ladders(of: Material) -> str:
    ladders = list(dict.fromkeys(model.ladder for model in of.design.models))
    if len(ladders) == 1 and ladders[0]:
        return f"One ladder, {ladders[0]}: {', '.join(m.name for m in of.design.models)}."
    named = listed(name or "none" for name in ladders)
    return f"{len(ladders)} ladders ({named}). Each has an intercept of its own; sizes of two never make one slope."


def _billion(of: Material) -> str:
    sizes = [m.params for m in of.design.models if m.params]
    if len(sizes) < len(of.design.models):
        return f"{NOT_KNOWN} for every model: {len(of.design.models) - len(sizes)} of them have no parameter count."
    beyond = [size(params) for params in sizes if params > BILLION]
    trunk = all(m.embedding_params for m in of.design.models)
    held = " Embeddings are given apart." if trunk else " The embeddings' share is not known for every model."
    return f"All parameters of the encoder, embeddings too. Above 1B: {listed(beyond) or 'no model'}.{held}"


def _power(of: Material) -> str:
    row = of.tables["headline"].row(by_predicate=pl.col("quantity") == "slope_difference", named=True)
    if row["low"] is None:
        return f"{NOT_KNOWN}: {row['reason']}."
    half = decimals((row["high"] - row["low"]) / 2, 2)
    return (
        f"The interval of the difference of slopes is ±{half} points per decade: a smaller one would not be seen here."
    )


def _multiplicity(_: Material) -> str:
    return "Four primary quantities, adjusted by Holm; all else by Benjamini and Hochberg, called exploratory."


def _equivalence(of: Material) -> str:
    table = of.tables["equivalence"]
    said = [
        f"{row['quantity'].removeprefix('gain_beyond_1b_')}: {row['verdict']}" for row in table.iter_rows(named=True)
    ]
    return f"Two one-sided tests against a margin of {MARGIN:g} points, beyond 1B: {'; '.join(said)}."


def _overlap(of: Material) -> str:
    pairs = sorted(of.design.same_data)
    said = f"{count(len(pairs), 'pair')} of arm and target train on a common data set" if pairs else "No pair does"
    more = (
        f" ({', '.join(' on '.join(pair) for pair in pairs[:6])}{' and more' if len(pairs) > 6 else ''})"
        if pairs
        else ""
    )
    where = f"{said}{more}; such cells are in no headline."
    return f"{where} What the models saw in pretraining is not known. XNLI and XQuAD are translated from English sets."


def _released(of: Material) -> str:
    where = "Every score of every run: tables/scores.csv and .parquet"
    return where + ("; predictions are in the store, by stage key." if of.sweep else ".")


def _cost(of: Material) -> str:
    hours: list[float] = of.tables["budgets"]["gpu_hours"].drop_nulls().to_list()
    if of.sweep:
        return "Seconds of every stage stand in tables/budgets_times.csv; energy was not measured."
    if not hours:
        return f"{NOT_KNOWN}: the file has no column gpu_hours."
    return f"{points(sum(hours))} GPU-hours in all by the file; energy is not known."


def _programs(of: Material) -> str:
    trained = of.tables["environment"].filter(pl.col("name").str.starts_with("trained with"))
    if trained.is_empty():
        return f"{NOT_KNOWN}: the file does not say what the scores were made with."
    said = [f"{name.removeprefix('trained with ')} {value}" for name, value in trained.iter_rows()]
    return f"{', '.join(said)}; precision {of.sweep.train.precision}." if of.sweep else ", ".join(said)


def _proxy(of: Material) -> str:
    table = of.tables["proxy"].filter(pl.col("rho").is_not_null())
    if table.is_empty():
        return f"{NOT_KNOWN}: no target has held-out scores of enough models and arms."
    said = [
        f"{target} {decimals(rho, 2)}" + ("" if within is None else f" ({decimals(within, 2)} within models)")
        for target, rho, within in table.select("target", "rho", "rho_within").iter_rows()
    ]
    return f"Spearman's correlation over models and arms: {listed(said)}."


def _chosen(of: Material) -> str:
    best = of.tables["budgets"].filter(pl.col("lr").is_not_null()).height
    if best:
        return (
            f"Learning rate, epochs and best score of {count(best, 'search', 'searches')} stand in the table budgets."
        )
    return f"{NOT_KNOWN}: no search is behind these scores, or none has ended."


def _units(design: Design) -> tuple[int, ...]:
    return design.repeats if design.unit == "repeat" else design.seeds


_QUESTIONS: Mapping[str, Callable[[Material], str]] = {
    "What do the intervals cover?": _intervals,
    "How many seeds, and are they apart from the search's?": _seeds,
    "What was tuned, in which space, how long and by which rule?": _tuning,
    "Which values were chosen?": _chosen,
    "Does English held-out data, by which all is chosen, rank as other languages do?": _proxy,
    "Is there a baseline with as much training?": _matched,
    "Are failed runs shown?": _lost,
    "Does the finding depend on the scale of the metric?": _scales,
    "English and the other languages?": _english,
    "Language families and low-resource languages?": _languages,
    "How many tasks stand for a family?": _families,
    "Are the sizes of one ladder?": _ladders,
    "What counts as 1B?": _billion,
    "What effect could have been seen?": _power,
    "How are many tests accounted for?": _multiplicity,
    "Is “no effect” tested?": _equivalence,
    "Overlap and contamination of data?": _overlap,
    "Is every run's data given?": _released,
    "What did it cost?": _cost,
    "Parameters, programs and precision?": _programs,
}
