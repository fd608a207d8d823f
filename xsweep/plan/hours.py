"""From FLOPs and tokens to hours of GPUs: by measured rates where stages of the kind have run, else as assumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from xsweep.errors import UsageError
from xsweep.models.model import Model
from xsweep.plan.cells import Plan
from xsweep.plan.cost import Line, estimate, trunk_params
from xsweep.plan.layout import Placement, placement
from xsweep.plan.records import Record
from xsweep.plan.stage import Work
from xsweep.spec.sweep import Layout

PEAK = 989e12
"""Dense bf16 FLOP/s of one H100 or H200, by its data sheet."""
ASSUMED: tuple[tuple[float, float], ...] = ((1.5e8, 0.05), (5e8, 0.08), (5e9, 0.25), (float("inf"), 0.20))
"""(trunk parameters up to, share of ``PEAK`` that training reaches): assumed, until measured.

Small trunks wait for kernels to be launched: at 32 short inputs a step their arithmetic is 1 to 5 ms beside tens of
milliseconds of launches. Large ones wait for parameters to be gathered over the workers.
"""
RECOMPUTED = 4 / 3
"""Arithmetic with activations worked out again, over that without."""

Rates = Mapping[tuple[str, Work], float]
"""(model, kind of stage) -> real tokens per second of one worker group, as measured."""


@dataclass(frozen=True)
class Hours:
    """Hours of one line: of GPUs, or without GPUs of workers; None when unknown."""

    hours: float | None
    measured: bool


def rates(records: Iterable[Record], layouts: Mapping[str, Layout]) -> dict[tuple[str, Work], float]:
    """Median tokens per second of the stages that ended in the layout that their model now has."""
    found: dict[tuple[str, Work], list[float]] = {}
    for record in records:
        manifest, layout = record.manifest, layouts.get(record.model.name)
        rate = manifest.timings.get("tokens_per_second") if manifest else None
        if manifest and layout and rate and record.work and _laid(manifest.layout, layout):
            found.setdefault((record.model.name, record.work), []).append(rate)
    return {key: median(values) for key, values in found.items()}


def _laid(manifest: Mapping[str, object], layout: Layout) -> bool:
    """Whether a stage ran as the layout says; half a micro-batch, after memory ran out, is near enough."""
    on = "cuda" if layout.gpus else "cpu"
    now = (layout.workers, on, layout.recompute)
    return (manifest.get("world"), manifest.get("device"), manifest.get("recompute", False)) == now


def hours(line: Line, model: Model, layout: Layout, measured: Rates) -> Hours:
    """Hours that the stages of ``line`` take, over all GPUs of their layout."""
    rate, trunk = measured.get((line.model, line.stage)), trunk_params(model)
    each = layout.workers * (layout.gpus or 1.0)
    if not line.runs:
        return Hours(0.0, True)
    if rate and line.tokens is not None:
        return Hours(line.tokens / rate * each / 3600, True)
    if line.flops is None or trunk is None or not layout.gpus:
        return Hours(None, False)
    again = RECOMPUTED if layout.recompute and line.stage != "evaluate" else 1.0
    return Hours(line.flops * again / (PEAK * assumed_share(trunk)) / 3600, False)


def assumed_share(trunk: int) -> float:
    """Share of ``PEAK`` that a trunk of so many parameters is assumed to reach."""
    return next(share for most, share in ASSUMED if trunk <= most)


@dataclass(frozen=True)
class Price:
    """What one model of a sweep takes."""

    model: str
    params: int | None
    trunk: int | None
    workers: int | None
    recompute: bool
    gigabytes: float | None
    """Predicted of one GPU; None without GPUs and of an unknown shape."""
    hours: float | None
    """Of GPUs (of workers, without), of those stages whose hours are known; None where there are none."""
    least: bool
    """Whether some stage's hours are unknown."""
    measured: bool
    """Whether all hours come from measured rates."""
    cost: float | None
    """``hours`` times the price of one, where the file tells it."""
    problem: str = ""
    """Why the model has no layout."""


def prices(plan: Plan, records: Iterable[Record]) -> list[Price]:
    """The price of each model, in the sweep's order."""
    placed: dict[str, Placement] = {}
    problems: dict[str, str] = {}
    for model in plan.sweep.models:
        try:
            placed[model.name] = placement(plan.sweep, model)
        except UsageError as problem:
            problems[model.name] = str(problem)
    measured = rates(records, {name: one.layout for name, one in placed.items()})
    lines = estimate(plan).each
    return [
        _price(plan, model, placed.get(model.name), problems.get(model.name, ""), lines, measured)
        for model in plan.sweep.models
    ]


def _price(
    plan: Plan, model: Model, placed: Placement | None, problem: str, lines: Sequence[Line], measured: Rates
) -> Price:
    mine = [line for line in lines if line.model == model.name]
    found = [hours(line, model, placed.layout, measured) for line in mine] if placed else []
    known = [one.hours for one in found if one.hours is not None]
    whole = sum(known) if any(known) else None
    each = plan.sweep.layout.gpu_hour_cost
    memory = placed.memory if placed else None
    return Price(
        model=model.name,
        params=model.params,
        trunk=trunk_params(model),
        workers=placed.layout.workers if placed else None,
        recompute=bool(placed and placed.layout.recompute),
        gigabytes=memory.total / 1e9 if memory else None,
        hours=whole,
        least=len(known) < len(mine),
        measured=bool(found) and all(one.measured for one in found),
        cost=None if whole is None or each is None else whole * each,
        problem=problem,
    )
