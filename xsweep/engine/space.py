"""Is there room for what a sweep will keep? Asked before anything starts: a full disk in the night helps nobody."""

from __future__ import annotations

from xsweep.errors import StoreFull
from xsweep.plan.resolve import Resolver

_BESIDE = 64 << 20
"""Bytes for results, MLflow's runs and the report, beside the weights."""


def check_space(resolver: Resolver) -> None:
    """Raise ``StoreFull`` when the disk of the store has no room for the weights that are still to be written.

    Counted at four bytes a parameter; nothing is said where parameters are unknown.
    """
    free = resolver.store.free()
    if free is None:
        return
    needed = _BESIDE + weights_to_write(resolver) + trials_to_write(resolver) + beginnings_to_write(resolver)
    if free < needed:
        what = f"{free / 1e9:.2f} GB are free, and the sweep needs about {needed / 1e9:.2f} GB"
        raise StoreFull(f"{resolver.store.where}: {what}; free some, or choose another --store")


def weights_to_write(resolver: Resolver) -> int:
    """Bytes of the weights that are kept and not there yet: of pretraining and of every intermediate stage."""
    plan, store = resolver.plan, resolver.store
    stages = [job.stages[-1] for _, job in resolver.pretraining()]
    params = [resolver.model(stage.model.name).params or 0 for stage in stages]
    searches = [cell for cell in plan.searches if cell.target is None]
    for cell in (*searches, *plan.intermediates):
        stage = resolver.intermediate(cell)
        if stage is None or not store.has_weights(stage.key):
            params.append(resolver.model(cell.model).params or 0)
    return 4 * sum(params)


def trials_to_write(resolver: Resolver) -> int:
    """Bytes of the intermediate stages of trials, which stay until all searches of a level have decided.

    Of the level where that is most.
    """
    plan, most = resolver.plan, 0
    for level in plan.levels:
        open_ = [cell for cell in level if resolver.decision(cell) is None]
        each = [(resolver.model(cells[0].model).params, plan.intermediate_runs(cells)) for cells in plan.sharing(open_)]
        most = max(most, 4 * sum((params or 0) * runs for params, runs in each))
    return most


def beginnings_to_write(resolver: Resolver) -> int:
    """Bytes that the first runs of one search leave behind under halving, of the model where that is most.

    Parameters and two moments each; searches are run one after the other, and what was stopped is removed.
    """
    plan = resolver.plan
    open_ = [cell for cell in plan.searches if plan.halving(cell) and resolver.decision(cell) is None]
    return max((3 * 4 * plan.space(c).trials * (resolver.model(c.model).params or 0) for c in open_), default=0)
