"""Weights of a sweep that nothing still to be done starts from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xsweep.plan.cells import Cell
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.stage import Hyper, Stage


@dataclass(frozen=True)
class Garbage:
    """What may go: the bytes of weights by the key of their stage, and of beginnings by theirs."""

    weights: dict[str, int]
    beginnings: dict[str, int]

    @property
    def bytes(self) -> int:
        """All bytes together."""
        return sum([*self.weights.values(), *self.beginnings.values()])

    def __str__(self) -> str:
        return f"weights of {len(self.weights)} stages, {len(self.beginnings)} beginnings of ended searches"


def collect_garbage(resolver: Resolver, *, dry_run: bool) -> Garbage:
    """Remove what is ``unneeded``, or only say what it is; raises ``StoreBusy`` while a sweep runs on the store."""
    with resolver.store.lease():
        found = unneeded(resolver)
        for key in () if dry_run else found.weights:
            resolver.store.evict(key)
        for key in () if dry_run else found.beginnings:
            resolver.store.drop_beginning(key)
    return found


def unneeded(resolver: Resolver) -> Garbage:
    """The weights of this sweep's stages that no unfinished one starts from, whatever ``keep`` says.

    Stages of other sweeps in the same store are left alone, and trials of searches that have not decided.
    """
    needed = {key for stage in _starts(resolver) for key in (stage.key, *resolver.ancestors(stage))}
    open_ = {(cell.model, cell.arm) for cell in _undecided(resolver) if resolver.plan.joint(cell)}
    found: dict[str, int] = {}
    for record in collect(resolver):
        manifest = record.manifest
        # Another target's trials may start from the same intermediate stages.
        shared = record.role == "search" and not record.judged and (record.model.name, record.arm) in open_
        if manifest and not shared and record.key not in needed and resolver.store.has_weights(manifest.key):
            found[manifest.key] = sum(entry["bytes"] for entry in manifest.weights.values())
    return Garbage(found, {key: sum(resolver.store.beginning(key).held().values()) for key in _beginnings(resolver)})


def _beginnings(resolver: Resolver) -> list[str]:
    """Beginnings that a decided search of the sweep has left: one whose end was cut off."""
    there = set(resolver.store.beginnings())
    left = []
    for cell in resolver.plan.searches if there else ():
        study, decision = resolver.study(cell), resolver.decision(cell)
        if study is not None and decision is not None:
            for run in (*decision["trials"], *decision.get("rungs", ())):
                left.append(resolver.trial(study, Hyper.of(run)).beginning)
    return sorted(there.intersection(left))


def _undecided(resolver: Resolver) -> list[Cell]:
    return [cell for cell in resolver.plan.searches if resolver.decision(cell) is None]


def _starts(resolver: Resolver) -> Iterator[Stage]:
    """What searches without a decision and cells without a score start from, or would once they are decided."""
    plan = resolver.plan
    for cell in _undecided(resolver):
        if start := resolver.start(cell):
            yield start
    for cell in plan.cells:
        scoring = resolver.evaluate(cell)
        if scoring is None:
            trained = plan.arm(cell.arm).trained
            start = resolver.intermediate(cell) if trained else None
            if start := start or resolver.pretrained(cell.model):
                yield start
        elif not resolver.status(scoring):
            yield scoring
