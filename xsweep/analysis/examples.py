"""Gains on other test rows: the crossed bootstrap of the prediction files, beside the t interval over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from xsweep.analysis.bootstrap import RESAMPLES, Samples, over_seeds, score_samples
from xsweep.analysis.design import BASELINE, Design
from xsweep.analysis.estimate import NO_BAND, Values
from xsweep.analysis.gains import ALL, ENGLISH
from xsweep.analysis.headline import primary_units, quantities
from xsweep.analysis.predictions import Parts, read_parts
from xsweep.errors import EnvironmentProblem

Keys = Mapping[tuple[str, str, str, int], str]
"""Model, arm, target, seed -> key of the stage that scored it."""

_INTERVALS = {
    "estimate": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "low_examples": pl.Float64(),
    "high_examples": pl.Float64(),
    "low_bca": pl.Float64(),
    "high_bca": pl.Float64(),
    "n_seeds": pl.Int64(),
}
GAINS_EXAMPLES = pl.Schema(
    {
        "model": pl.String(),
        "params": pl.Int64(),
        "arm": pl.String(),
        "target": pl.String(),
        **_INTERVALS,
        "n_examples": pl.Int64(),
        "reason": pl.String(),
    }
)
"""The rows of GAINS. ``low`` and ``high`` are the t interval over seeds, for these test rows; ``low_examples`` and
``high_examples`` the percentile interval of the crossed bootstrap over seeds and test rows, ``low_bca`` and
``high_bca`` the same, bias-corrected and accelerated. ``n_examples`` counts rows, parallel ones once. What cannot be
given is null, with a ``reason``."""

HEADLINE_EXAMPLES = pl.Schema({"quantity": pl.String(), **_INTERVALS, "reason": pl.String()})
"""The rows of the headline with the same intervals."""

_DIGITS = 3
"""Decimals of a bootstrapped end: more would be noise of the draws, and of sums in another order."""
_AGREES = 0.01
"""Points by which a score and the sum of its predictions may differ."""


@dataclass(frozen=True)
class Drawn:
    """Gains of the design's units, in points, as they are and on drawn rows; NaN for a unit without predictions."""

    own: Values
    """(units,)"""
    samples: Samples
    """(resamples, units)"""
    examples: int = 0
    reason: str = ""
    """Why a unit has none."""


Gains = Mapping[tuple[str, str, str], Drawn]
"""Model, arm, target -> its gain in languages other than English."""


def drawn_gains(
    frame: pl.DataFrame, design: Design, keys: Keys, results: Callable[[str], Path], resamples: int = RESAMPLES
) -> Gains:
    """Every arm's gain on drawn test rows; ``results`` is the folder of a stage's files. Reads each file once."""
    primary = frame.filter("primary", pl.col("language") != ENGLISH)
    means = primary.group_by("model", "arm", "target", "seed").agg(pl.col("score").mean())
    scores = {(model, arm, target, seed): score for model, arm, target, seed, score in means.iter_rows()}
    metrics = dict(primary.select("target", "metric").unique().iter_rows())
    found: dict[tuple[str, str, str], Drawn] = {}
    for target, codes in design.targets.items():
        languages = [code for code in codes if code != ENGLISH]
        arms = [arm for arm in design.arms if (arm, target) not in design.left_out]
        for model in design.models if languages else ():
            cells = [(model.name, arm, target, seed) for arm in arms for seed in design.seeds]
            own = {cell: keys[cell] for cell in cells if cell in keys}
            parts, reason = _read({key: scores[cell] for cell, key in own.items()}, languages, metrics[target], results)
            drawn = score_samples(list(parts.values()), resamples, target).T if parts else ()
            runs = {key: (float(np.mean([part.score for part in parts[key]])), samples)
                    for key, samples in zip(parts, drawn, strict=True)}  # fmt: skip
            rows = len(np.unique(np.concatenate([part.ids for part in next(iter(parts.values()))]))) if parts else 0
            seeds = {cell[1:4:2]: runs[key] for cell, key in own.items() if key in runs}
            for arm in arms:
                if arm != BASELINE:
                    found[model.name, arm, target] = _paired(arm, seeds, design, resamples, rows, reason)
    return found


def gains_examples(drawn: Gains, gains: pl.DataFrame, design: Design) -> pl.DataFrame:
    """GAINS_EXAMPLES from ``drawn_gains`` and GAINS."""
    rows = []
    for line in gains.iter_rows(named=True):
        own = {t: drawn[line["model"], line["arm"], t] for t in design.targets
               if line["target"] in (ALL, t) and (line["model"], line["arm"], t) in drawn}  # fmt: skip
        whole = _over_targets(own, design)
        rows.append(line | _intervals(whole, line) | {"n_examples": whole.examples or None})
    return pl.DataFrame(rows, GAINS_EXAMPLES)


def headline_examples(drawn: Gains, families: pl.DataFrame, headline: pl.DataFrame, design: Design) -> pl.DataFrame:
    """HEADLINE_EXAMPLES from ``drawn_gains``, ``family_gains`` and the headline."""
    units = primary_units(families, design)
    own = {name: [_family(drawn, name, model.name, design) for model in design.models] for name in ("nli", "qa")}
    lines = {line["quantity"]: line for line in headline.iter_rows(named=True)}
    rows = []
    for name, _, weights, _ in quantities(units):
        line, of = lines[name], name.rpartition("_")[2]
        if line["estimate"] is None or weights is None:
            rows.append(line | _intervals(Drawn(np.zeros(0), np.zeros((0, 0), np.float32)), line))
            continue
        signed = [(1.0, "qa"), (-1.0, "nli")] if of == "difference" else [(1.0, of)]
        terms = [(sign * weight, part) for sign, family in signed
                 for weight, part in zip(weights, own[family], strict=True)]  # fmt: skip
        rows.append(line | _intervals(_weighed(terms), line))
    return pl.DataFrame(rows, HEADLINE_EXAMPLES)


def _read(
    wanted: Mapping[str, float | None], languages: Sequence[str], metric: str, results: Callable[[str], Path]
) -> tuple[dict[str, list[Parts]], str]:
    """Key -> parts by language, of the runs whose predictions can be used, and why others cannot."""
    found: dict[str, list[Parts]] = {}
    reason = ""
    for key, score in wanted.items():
        try:
            folder = results(key)
            read = [read_parts(folder / f"predictions-{code}.parquet", metric) for code in languages]
        except (OSError, EnvironmentProblem):
            reason = "the predictions of a run cannot be read"
            continue
        parts = [own for own in read if own is not None]
        first = next(iter(found.values()), parts)
        if len(parts) < len(read):
            reason = f"{metric} is no ratio of sums over rows here"
        elif not all(np.array_equal(one.ids, other.ids) for one, other in zip(first, parts, strict=True)):
            reason = "runs were scored on different rows"
        elif score is None or abs(float(np.mean([own.score for own in parts])) - score) > _AGREES:
            reason = "the predictions of a run do not give its score"
        else:
            found[key] = parts
    return found, reason


def _paired(
    arm: str,
    runs: Mapping[tuple[str, int], tuple[float, Samples]],
    design: Design,
    resamples: int,
    examples: int,
    reason: str,
) -> Drawn:
    """The gain of an arm from (arm, seed) -> score and its samples; a unit's seeds are averaged."""
    own = np.full(len(design.units), np.nan)
    samples = np.full((resamples, len(design.units)), np.nan, np.float32)
    for place, unit in enumerate(design.units):
        seeds = [seed for seed, repeat in design.draws if unit == (repeat if design.unit == "repeat" else seed)]
        pairs = [(runs.get((arm, seed)), runs.get((BASELINE, seed))) for seed in seeds]
        whole = [(one, base) for one, base in pairs if one is not None and base is not None]
        if len(whole) == len(pairs):
            own[place] = np.mean([one[0] - base[0] for one, base in whole])
            samples[:, place] = np.mean([one[1] - base[1] for one, base in whole], axis=0)
    return Drawn(own, samples, examples, reason)


def _weighed(terms: Sequence[tuple[float, Drawn]]) -> Drawn:
    """A weighted sum; a unit that a part lacks is lacking."""
    reason = next((part.reason for _, part in terms if part.reason), "")
    samples = sum((np.float32(weight) * part.samples for weight, part in terms[1:]),
                  np.float32(terms[0][0]) * terms[0][1].samples)  # fmt: skip
    own = np.sum([weight * part.own for weight, part in terms], axis=0)
    return Drawn(own, samples, sum(part.examples for _, part in terms), reason)


def _mean(parts: Sequence[Drawn]) -> Drawn:
    return _weighed([(1 / len(parts), part) for part in parts])


def _over_targets(parts: Mapping[str, Drawn], design: Design) -> Drawn:
    """Targets of a group, then groups, with equal weights."""
    groups: dict[str, list[Drawn]] = {}
    for target, part in parts.items():
        groups.setdefault(design.groups[target], []).append(part)
    return _mean([_mean(own) for own in groups.values()])


def _family(drawn: Gains, family: str, model: str, design: Design) -> Drawn:
    """The family's headline gain of a model: its arms, each over the targets that it shares no data with."""
    arms = []
    for arm in (name for name, own in design.arms.items() if own == family):
        kept = {t: drawn[model, arm, t] for t in design.targets
                if (model, arm, t) in drawn and (arm, t) not in design.same_data}  # fmt: skip
        arms += [_over_targets(kept, design)] if kept else []
    return _mean(arms) if arms else Drawn(np.zeros(0), np.zeros((0, 0), np.float32))


def _intervals(of: Drawn, line: Mapping[str, Any]) -> dict[str, Any]:
    """The bootstrap's columns beside those of ``line``, and why they are empty."""
    names = ("low_examples", "high_examples", "low_bca", "high_bca")
    there = ~np.isnan(of.own)
    reason = "" if line["n_seeds"] else line["reason"] or "no seed has a gain"
    if not reason and there.sum() != line["n_seeds"]:
        reason = of.reason or "runs without predictions"
    if not reason and line["n_seeds"] < 2:
        reason = NO_BAND
    if reason:
        return dict.fromkeys(names) | {"reason": reason}
    found = over_seeds(of.own[there], of.samples[:, there])
    ends = [round(end, _DIGITS) for end in (*found.percentile(), *found.bca())]
    return dict(zip(names, ends, strict=True)) | {"reason": ""}
