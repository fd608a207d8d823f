"""The learning rate over a stage's steps, and where runs that go further part from it."""

from __future__ import annotations

from dataclasses import dataclass

from xsweep.plan.stage import Stage


@dataclass(frozen=True)
class Schedule:
    """Steps are counted from 0. ``falling`` is the first one with a falling rate."""

    rising: int
    falling: int
    steps: int
    """With the linear schedule more than the stage's own where it is stopped early."""
    last: int
    """Steps that the stage does."""
    parting: int
    """Steps that it has in common with runs that go further."""

    def rate(self, step: int) -> float:
        """Factor of the learning rate: up to 1, then perhaps level, then down towards 0."""
        if step < self.rising:
            return (step + 1) / self.rising
        return (self.steps - step) / (self.steps - self.falling) if step >= self.falling else 1.0


def schedule_of(stage: Stage, per_epoch: int) -> Schedule:
    """The schedule of a training stage whose epochs have ``per_epoch`` steps."""
    assert stage.hyper is not None
    recipe, last = stage.training, stage.end * per_epoch
    if recipe.schedule == "linear":
        steps = stage.hyper.epochs * per_epoch
        rising = round(steps * recipe.warmup)
        return Schedule(rising, rising, steps, last, last)
    falling = last - max(1, round(last * recipe.cooldown))
    return Schedule(min(round(per_epoch * recipe.warmup), falling), falling, last, last, falling)
