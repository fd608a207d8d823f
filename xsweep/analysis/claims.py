"""The claims of ``claims.yaml`` against the data: supported, contradicted, or not resolvable with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from xsweep.analysis.design import BASELINE, Design
from xsweep.analysis.estimate import Estimate, Values, t_estimate
from xsweep.analysis.gains import ALL, over_targets
from xsweep.analysis.units import of_rows
from xsweep.spec.node import Findings
from xsweep.spec.sweep import CONTROL
from xsweep.spec.yaml12 import read
from xsweep.tasks.benchmarks import BENCHMARKS
from xsweep.tasks.task import Declared

SUPPORTED, CONTRADICTED, OPEN = "supported", "contradicted", "not resolvable with this data"
DISJOINT_ARMS = 4
"""Arms without common data on each side that a claim about families takes: three against three cannot reach p = .05."""

CLAIMS = pl.Schema(
    {
        "claim": pl.String(),
        "text": pl.String(),
        "verdict": pl.String(),
        "estimate": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "region_low": pl.Float64(),
        "region_high": pl.Float64(),
        "n_seeds": pl.Int64(),
        "basis": pl.String(),
        "reason": pl.String(),
    }
)
"""One row per claim. Points, but for shares of arms; an open end of the region is null. ``basis`` says what the
estimate is of, ``reason`` why there is none or no verdict."""


class Region(Declared):
    """Where the quantity should lie."""

    low: float | None = None
    high: float | None = None


class Claim(Declared):
    """One predicate of ``claims.yaml``, whose head explains the fields."""

    id: str
    text: str
    quantity: Literal["gain", "difference", "share", "headline"]
    arm: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    region: Region
    same_data: bool = False
    benchmark: str = ""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    row: str = ""
    families: bool = False


@cache
def declared() -> tuple[Claim, ...]:
    """The claims of ``claims.yaml``."""
    found = Findings(str(Path(__file__).with_name("claims.yaml")))
    root = read(Path(__file__).with_name("claims.yaml"), found)
    assert root is not None  # it comes with the program, and a test reads it
    return tuple(Claim(**claim) for claim in root.plain()["claims"])


def claims(gains: pl.DataFrame, headline: pl.DataFrame, design: Design) -> pl.DataFrame:
    """CLAIMS from ``paired_gains`` and the headline."""
    rows = {row["quantity"]: row for row in headline.iter_rows(named=True)}
    return pl.DataFrame([_row(claim, gains, rows, design) for claim in declared()], CLAIMS)


def named(design: Design, family: str) -> str:
    """How the text may call a family: by its name with enough data-disjoint arms on both sides, else by its tasks."""
    arms = [arm for arm, own in design.arms.items() if own == family]
    if family_claims(design) or not arms:
        return {"nli": "NLI", "qa": "QA"}.get(family, family)
    return " and ".join(arms) if len(arms) < 3 else f"{', '.join(arms[:-1])} and {arms[-1]}"


def family_claims(design: Design) -> bool:
    """Whether NLI and QA each have four arms that share no data, so that they can be told from their tasks."""
    return all(disjoint(design, family) >= DISJOINT_ARMS for family in ("nli", "qa"))


def disjoint(design: Design, family: str) -> int:
    """The most arms of a family of which no two train on a common data set."""
    arms = [design.sources[arm] for arm, own in design.arms.items() if own == family]
    for count in range(min(len(arms), DISJOINT_ARMS), 0, -1):
        for chosen in combinations(arms, count):
            if all(not one & other for one, other in combinations(chosen, 2)):
                return count
    return 0


def _row(
    claim: Claim, gains: pl.DataFrame, headline: Mapping[str, Mapping[str, Any]], design: Design
) -> dict[str, Any]:
    found, basis = _quantity(claim, gains, headline, design)
    verdict, reason = _verdict(claim, found)
    texts = {family: named(design, family) for family in ("nli", "qa")}
    if claim.families and found.value is not None and not family_claims(design):
        counts = ", ".join(f"{disjoint(design, family)} of {family}" for family in texts)
        note = (
            f"data-disjoint arms: {counts}, {DISJOINT_ARMS} of each are needed, so this speaks of tasks, not families"
        )
        reason = f"{reason}; {note}" if reason else note
    return {"claim": claim.id, "text": claim.text.format(**texts), "verdict": verdict, "estimate": found.value,
            "low": found.low, "high": found.high, "region_low": claim.region.low, "region_high": claim.region.high,
            "n_seeds": found.n, "basis": basis, "reason": reason}  # fmt: skip


def _verdict(claim: Claim, found: Estimate) -> tuple[str, str]:
    if found.low is None or found.high is None:
        return OPEN, found.reason
    low = -np.inf if claim.region.low is None else claim.region.low
    high = np.inf if claim.region.high is None else claim.region.high
    # A share can reach the region's edge exactly, and then it is in; a gain does so with no probability.
    inside = (
        found.low >= low and found.high <= high if claim.quantity == "share" else low < found.low <= found.high < high
    )
    if inside:
        return SUPPORTED, found.reason
    if found.high < low or found.low > high:
        return CONTRADICTED, found.reason
    return OPEN, found.reason or "the interval lies across the edge"


def _quantity(
    claim: Claim, gains: pl.DataFrame, headline: Mapping[str, Mapping[str, Any]], design: Design
) -> tuple[Estimate, str]:
    """The claim's estimate, and what it is of."""
    if claim.quantity == "headline":
        row = headline[claim.row]
        found = Estimate(row["estimate"], row["low"], row["high"], row["df"], row["p"], row["n_seeds"], row["reason"])
        return found, f"headline.csv, {claim.row}"
    targets, reason = _targets(claim, design)
    if reason:
        return Estimate(reason=reason), ""
    if claim.quantity == "share":
        return _share(claim, gains, targets, design)
    sides = [_arm(names, design) for names in (claim.arm, claim.against) if names]
    if None in sides:
        lost = claim.arm if sides[0] is None else claim.against
        return Estimate(reason=f"no arm is named {' or '.join(lost)}"), ""
    arms = [arm for arm in sides if arm is not None]
    values = [_seeds(arm, gains, targets, claim, design) for arm in arms]
    basis = f"{' minus '.join(arms)} on {', '.join(targets)}; {_models(design)}"
    broken = next((why for _, why in values if why), "")
    if broken:
        return Estimate(reason=broken), basis
    common = sorted(set.intersection(*(set(own) for own, _ in values)))
    signs = (1.0, -1.0)
    total = np.array([sum(sign * own[s] for sign, (own, _) in zip(signs, values, strict=False)) for s in common])
    return (t_estimate(total, claim.level) if common else Estimate(reason="no seed has both arms")), basis


def _share(claim: Claim, gains: pl.DataFrame, targets: Sequence[str], design: Design) -> tuple[Estimate, str]:
    """The share of arms whose gain is above zero; from those surely above to those possibly above."""
    arms = [arm for arm, family in design.arms.items() if family not in (BASELINE, CONTROL)]
    found = [t_estimate(np.array(list(own.values()))) for arm in arms
             for own, why in [_seeds(arm, gains, targets, claim, design)] if not why]  # fmt: skip
    known = [e for e in found if e.value is not None and e.low is not None and e.high is not None]
    basis = f"{len(known)} arms on {', '.join(targets)}; {_models(design)}"
    if not known:
        return Estimate(reason="no arm has an interval there"), basis
    above, surely, perhaps = (
        sum(test) / len(known)
        for test in ([(e.value or 0) > 0 for e in known], [(e.low or 0) > 0 for e in known],
                     [(e.high or 0) > 0 for e in known])
    )  # fmt: skip
    return Estimate(above, surely, perhaps, n=min(e.n for e in known)), basis


def _seeds(
    arm: str, gains: pl.DataFrame, targets: Sequence[str], claim: Claim, design: Design
) -> tuple[dict[int, float], str]:
    """Seed -> the arm's gain over targets and models, or why there is none."""
    own = gains.filter(pl.col("target").is_in(list(targets)), pl.col("target") != ALL, arm=arm, languages="others")
    own = own if claim.same_data else own.filter(~pl.col("same_data"))
    if own.is_empty():
        return {}, f"{arm} shares training data with these targets, or is not scored there"
    if claim.benchmark:
        own = own.with_columns(group=pl.lit(""))  # the published average weighs tasks, not groups
    by = ["model", "ladder", "params", "arm", "family", "seed"]
    units = of_rows(over_targets(own, by, ["gain"]), design)
    values: Values = units.mean
    return dict(zip(units.seeds, values.tolist(), strict=True)), units.reason


def _targets(claim: Claim, design: Design) -> tuple[list[str], str]:
    """The targets that the claim is of, or why the data has not got them."""
    if claim.benchmark:
        wanted = [entry.task for entry in BENCHMARKS[claim.benchmark]]
        lost = [task for task in wanted if task not in design.targets]
        return wanted, f"{claim.benchmark}'s tasks are not all here: no {', '.join(lost)}" if lost else ""
    if not claim.targets:
        return list(design.targets), ""
    kept = [target for target, group in design.groups.items() if {target, group} & set(claim.targets)]
    return kept, "" if kept else f"no target is {' or '.join(claim.targets)}"


def _arm(names: Sequence[str], design: Design) -> str | None:
    return next((name for name in names if name in design.arms), None)


def _models(design: Design) -> str:
    return design.models[0].name if len(design.models) == 1 else f"mean over {len(design.models)} models"
