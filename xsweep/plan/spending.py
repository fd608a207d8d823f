"""What a sweep has spent, counted from the manifests of its stages, and whether that is all it may."""

from __future__ import annotations

from dataclasses import dataclass, field

from xsweep.spec.sweep import Budget, Sweep
from xsweep.store.manifests import Manifest


@dataclass
class Spending:
    """Hours of GPUs, or of workers where there are none, by stage key: a stage that is run again counts once."""

    budget: Budget | None
    gpus: float
    """GPUs per worker; a share of one where several workers share it."""
    price: float | None
    """Of one GPU for an hour."""
    _hours: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, sweep: Sweep) -> Spending:
        """Nothing spent yet."""
        return cls(sweep.budget, sweep.layout.gpus, sweep.layout.gpu_hour_cost)

    def count(self, manifest: Manifest | None) -> None:
        """Count a stage that has ended, in whatever way."""
        if manifest is not None:
            each = (self.gpus or 1.0) if manifest.layout.get("device") == "cuda" else 1.0
            self._hours[manifest.key] = manifest.seconds / 3600 * manifest.layout.get("world", 1) * each

    @property
    def hours(self) -> float:
        """All that was counted."""
        return sum(self._hours.values())

    @property
    def over(self) -> str:
        """Why nothing more may be started, or ""."""
        if self.budget is None:
            return ""
        unit = "GPU-hours" if self.gpus else "worker-hours (there are no GPUs)"
        if self.budget.gpu_hours is not None and self.hours >= self.budget.gpu_hours:
            return f"the budget is spent: {self.hours:.4g} of {self.budget.gpu_hours:g} {unit}"
        spent = self.hours * (self.price or 0.0)
        if self.budget.cost is not None and spent >= self.budget.cost:
            return f"the budget is spent: {spent:.4g} of {self.budget.cost:g} in money, {self.hours:.4g} {unit}"
        return ""
