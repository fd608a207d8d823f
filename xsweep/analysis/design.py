"""What a sweep set out to measure: without it, nobody could tell that something is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xsweep.models.model import Model
from xsweep.plan.cells import BASELINE, paired
from xsweep.plan.records import Record
from xsweep.spec.sweep import Sweep

__all__ = ["BASELINE", "Design"]


@dataclass(frozen=True)
class Design:
    """The grid of a sweep, each part in file order but models by size."""

    models: tuple[Model, ...]
    arms: Mapping[str, str]
    """Arm, the baseline included -> its family."""
    targets: Mapping[str, tuple[str, ...]]
    """Target -> the languages that it is scored in."""
    seeds: tuple[int, ...]
    """Reporting seeds."""
    same_data: frozenset[tuple[str, str]] = frozenset()
    """(arm, target) pairs that train on a common data set."""
    left_out: frozenset[tuple[str, str]] = frozenset()
    """(arm, target) pairs that are no cells: a target that is not trained cannot be lengthened."""

    @classmethod
    def of(cls, sweep: Sweep, records: Sequence[Record]) -> Design:
        """The design of ``sweep``; sizes, families and shared data are taken from its records."""
        models = {record.model.name: record.model for record in records}
        return cls(
            models=tuple(sorted((models.get(m.name, m) for m in sweep.models), key=lambda m: m.params or 0)),
            arms={arm.name: next((r.family for r in records if r.arm == arm.name), "") for arm in sweep.arms},
            targets={target.name: target.languages for target in sweep.targets},
            seeds=sweep.seeds,
            same_data=frozenset((r.arm, r.target) for r in records if r.same_data and r.target),
            left_out=frozenset((a.name, t.name) for a in sweep.arms for t in sweep.targets if not paired(a, t)),
        )
