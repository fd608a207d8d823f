"""The price of a sweep with and without each thing that makes it cheaper, how long its chain is, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from xsweep.models.model import Model
from xsweep.plan.cells import Cell, Plan, build_plan
from xsweep.plan.cost import estimate
from xsweep.plan.halving import live
from xsweep.plan.resolve import Resolver
from xsweep.spec.sweep import Sweep, Target

BYTES = 4
"""Of a parameter in the store."""
FIELDS = ("intermediate", "target")

Runs: TypeAlias = tuple[float, float | None]
"""Training runs, and their FLOPs; None when unknown."""


@dataclass(frozen=True)
class Price:
    """What a sweep comes to with one lever more than the line before."""

    lever: str
    declared: bool
    """Whether the sweep pulls it; of one that it does not pull the price is the one of the line before."""
    trainings: int
    """Training runs that start; under halving a run that goes on counts again."""
    flops: float | None
    """Of training, at most; None when unknown."""
    scoring: float | None
    """FLOPs of scoring test rows; None when unknown."""


def levers(plan: Plan, resolver: Resolver | None) -> list[Price]:
    """The price of doing every pipeline from scratch, and with each lever after the other.

    From scratch, every target of every arm has an intermediate stage, and a search for it, of its own, every arm
    searches its target stage, and each trial is scored in all languages.
    """
    sweep = plan.sweep
    if resolver is not None:
        sweep = sweep.model_copy(update={"models": tuple(resolver.model(model.name) for model in sweep.models)})
    parts = [_Part.of(sweep, model, target) for model in sweep.models for target in sweep.targets]
    search = sweep.search
    told: list[tuple[str, bool, Callable[[_Part], _Part]]] = [
        ("every pipeline from scratch", True, lambda part: part),
        ("intermediates shared by targets", True, _Part.sharing),
        ("trials scored on English alone", True, lambda part: replace(part, trial_scoring=0.0)),
        ("one target search for all arms", search.target_per == "baseline", _Part.one_target_search),
        ("halving", search.halving is not None, _halved(plan)),
        ("transfer between sizes", search.transfer is not None, _transferred(plan)),
    ]
    prices = []
    for lever, declared, pull in told:
        parts = [pull(part) for part in parts] if declared else parts
        flops, scoring = (_total(getattr(part, what) for part in parts) for what in ("flops", "scored"))
        prices.append(Price(lever, declared, round(sum(part.trainings for part in parts)), flops, scoring))
    return prices


def _total(numbers: Iterable[float | None]) -> float | None:
    known = list(numbers)
    return None if None in known else sum(number for number in known if number is not None)


@dataclass(frozen=True)
class _Part:
    """One model on one target: runs and FLOPs of its searches for the two stages, and of its reporting runs."""

    model: str
    own: tuple[float, float]
    """Shares of the intermediate stages, of searches and of reporting runs, that are left on its account once others
    of its model share theirs with it: all of the first such target's."""
    joint: bool
    """Whether one search decides both stages."""
    searches: tuple[Runs, ...]
    """Of the intermediate and of the target stage, each trial to its end."""
    shared: float
    """The share of target searches that is left when all arms use the baseline's."""
    reports: tuple[Runs, ...]
    """Of the same stages."""
    scoring: float | None
    trial_scoring: float | None
    unshared: Runs = (0.0, 0.0)
    """Of the intermediate's search, before any of it was shared."""
    shares: tuple[tuple[float, float], ...] = ((1.0, 1.0), (1.0, 1.0))
    """Shares of the searches' runs and FLOPs that are left where trials are fewer, or shorter."""

    @classmethod
    def of(cls, sweep: Sweep, model: Model, target: Target) -> _Part:
        plain = {"halving": None, "transfer": None, "repeats": 1, "target_per": "arm"}
        alone = {"models": (model,), "targets": (target,), "search": sweep.search.model_copy(update=plain)}
        plan = build_plan(sweep.model_copy(update=alone))
        lines = {line.stage: line for line in estimate(plan).lines}
        times = sweep.search.repeats
        runs = {stage: (float(line.runs), line.flops) for stage, line in lines.items()}
        nothing = (0.0, 0.0)
        searches = tuple(
            (times * count, None if flops is None else times * flops)
            for count, flops in (runs.get(stage, nothing) for stage in ("intermediate trials", "target trials"))
        )
        scoring, arms = lines["evaluate"].flops, max(1, sum(cell.target is not None for cell in plan.searches))
        each = None if scoring is None else scoring / max(1, lines["evaluate"].runs)
        return cls(
            model=model.name,
            own=_own(sweep, plan, target),
            joint=any(plan.joint(cell) for cell in plan.searches),
            searches=searches,
            shared=1 / arms,
            reports=tuple(runs.get(stage, nothing) for stage in ("intermediate", "target")),
            scoring=scoring,
            trial_scoring=None if each is None else each * searches[1][0],
        )

    @property
    def _runs(self) -> list[Runs]:
        left = [_times(search, *share) for search, share in zip(self.searches, self.shares, strict=True)]
        return [*left, *self.reports]

    @property
    def trainings(self) -> float:
        return sum(count for count, _ in self._runs)

    @property
    def flops(self) -> float | None:
        return _total(flops for _, flops in self._runs)

    @property
    def scored(self) -> float | None:
        return _total([self.scoring, self.trial_scoring])

    def sharing(self) -> _Part:
        """With intermediates that targets share on the first one's account alone."""
        (search, after), (run, last), (trials, reports) = self.searches, self.reports, self.own
        shared = (_times(search, trials, trials), after), (_times(run, reports, reports), last)
        return replace(self, searches=shared[0], reports=shared[1], unshared=search)

    def transferring(self) -> _Part:
        """With configurations of a smaller model, which differ by target: joint trials share no intermediate then."""
        return replace(self, searches=(self.unshared, self.searches[1])) if self.joint else self

    def one_target_search(self) -> _Part:
        """With the baseline's target search for all arms."""
        return replace(self, searches=(self.searches[0], _times(self.searches[1], self.shared, self.shared)))


def _own(sweep: Sweep, alone: Plan, target: Target) -> tuple[float, float]:
    """Shares of its intermediate stages that a target has to itself; ``alone`` is the plan of that target only."""
    joint = [cell for cell in alone.searches if alone.joint(cell)]
    like = [other for other in sweep.targets if sweep.search.mode == "staged" or other.trained == target.trained]
    if target == like[0]:
        return 1.0, 1.0
    if not joint:
        return 0.0, 0.0
    two, one = alone.intermediate_runs([joint[0], joint[0]]), alone.intermediate_runs(joint[:1])
    return two / one - 1, 1.0


def _times(search: Runs, runs: float, flops: float) -> Runs:
    return search[0] * runs, None if search[1] is None else search[1] * flops


def _halved(plan: Plan) -> Callable[[_Part], _Part]:
    halving, training = plan.sweep.search.halving, plan.sweep.train
    cooldown = training.cooldown if training.schedule == "wsd" else 0.0

    def pull(part: _Part) -> _Part:
        shares = []
        for field in FIELDS:
            if part.joint and field == "intermediate":
                shares.append((1.0, 1.0))  # every trial trains that stage to its end before it is judged
                continue
            space = getattr(plan.sweep.search, field).of(part.model)
            runs, work, before = 0, 0.0, 0.0
            for epochs, alive in live(halving, space.trials, space.epochs.high) if halving else ():
                runs, work = runs + alive, work + alive * (epochs - before)
                before = (1 - cooldown) * epochs  # a run goes on from where it parted from the one before
            shares.append((runs / space.trials, work / (space.trials * space.epochs.high)))
        return replace(part, shares=tuple(shares))

    return pull


def _transferred(plan: Plan) -> Callable[[_Part], _Part]:
    """Models after the first of a ladder run few trials, each to its end."""
    search = plan.sweep.search
    taking = {cell.model for cell in plan.searches if plan.before(cell)}

    def pull(part: _Part) -> _Part:
        if part.model not in taking or search.transfer is None:
            return part
        shares = (search.transfer.trials / getattr(search, field).trials for field in FIELDS)
        return replace(part.transferring(), shares=tuple((share, share) for share in shares))

    return pull


def chain(plan: Plan) -> int:
    """Training and scoring stages of the longest chain, each of which waits for the one before."""
    found = int(any(model.pretrain for model in plan.sweep.models))
    for level in plan.levels:
        found += max(_rounds(plan, cell) for cell in level)
    trained = any(plan.arm(cell.arm).trained for cell in plan.cells)
    targets = any(plan.target(cell.target or "").trained for cell in plan.cells)
    return found + trained + targets + 1


def _rounds(plan: Plan, cell: Cell) -> int:
    """How many stages of a search's trials are run one after the other at least."""
    halving, space, both = plan.halving(cell), plan.space(cell), int(plan.joint(cell))
    if halving:
        return both + len(live(halving, space.trials, space.epochs.high))
    return (1 + both) * (-(-space.trials // plan.sweep.search.batch) if plan.sweep.search.sampler == "tpe" else 1)


def retained(plan: Plan, resolver: Resolver | None) -> int | None:
    """Bytes of the weights that stay when all is done; None where parameters are unknown."""
    sweep = plan.sweep
    models = {model.name: resolver.model(model.name) if resolver else model for model in sweep.models}
    stages = [model.name for model in sweep.models if model.pretrain]
    if sweep.keep != "none":
        stages += [cell.model for cell in plan.searches if cell.target is None]
        stages += [cell.model for cell in plan.intermediates]
    if sweep.keep == "all":
        stages += [cell.model for cell in plan.cells if plan.target(cell.target or "").trained]
        stages += [cell.model for cell in plan.searches for _ in range(plan.space(cell).trials) if cell.target]
    params = [models[name].params for name in stages]
    return None if None in params else BYTES * sum(count or 0 for count in params)


def lever_rows(plan: Plan, resolver: Resolver | None) -> dict[str, Any]:
    """All of it as JSON."""
    prices = [
        {"lever": p.lever, "declared": p.declared, "trainings": p.trainings, "flops": p.flops, "scoring": p.scoring}
        for p in levers(plan, resolver)
    ]
    return {"levers": prices, "chain": chain(plan), "retained_bytes": retained(plan, resolver)}


def lever_text(plan: Plan, resolver: Resolver | None) -> list[str]:
    """All of it in a few lines."""
    found = levers(plan, resolver)
    lines = [f"  {'what makes it cheaper':<34} {'trainings':>9} {'FLOPs':>9} {'left':>6} {'scoring FLOPs':>18}"]
    whole = found[0].flops
    for price in found:
        name = price.lever if price is found[0] else f"+ {price.lever}"
        if not price.declared:
            lines.append(f"  {name:<34} {'not used':>9}")
            continue
        share = f"{100 * price.flops / whole:.0f} %" if price.flops and whole else ""
        told = ["unknown" if flops is None else f"{flops:.1e}" for flops in (price.flops, price.scoring)]
        lines.append(f"  {name:<34} {price.trainings:>9,} {told[0]:>9} {share:>6} {told[1]:>18}")
    kept, waits = retained(plan, resolver), chain(plan)
    return [
        *lines,
        "",
        f"  Stages that wait for one another, however many run at once: {waits}.",
        f"  Weights in the store at the end (keep: {plan.sweep.keep}): {'unknown' if kept is None else _bytes(kept)}.",
    ]


def _bytes(count: int) -> str:
    """Three digits or so and a unit."""
    units = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    unit, name = next((found for found in units if count >= found[0]), (1.0, "B"))
    return f"{count / unit:.3g} {name}"
