"""Sweep -> plan: every cell and every search that the file implies. Pure: no data, no store, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xsweep.spec.sweep import Arm, Space, Sweep, Target

Role = Literal["search", "report"]

BASELINE = "none"


@dataclass(frozen=True)
class Cell:
    """An address known from the sweep file alone.

    A cell of role ``search`` is one study: of the intermediate stage where ``target`` is None, else of the
    target stage. A cell of role ``report`` is one trained and scored model that enters the curves.
    """

    model: str
    arm: str
    target: str | None
    seed: int
    role: Role

    @property
    def label(self) -> str:
        """For people: what varies, in reading order."""
        parts = [self.model, self.arm, *([self.target] if self.target else [])]
        return " / ".join(parts + ([f"s{self.seed}"] if self.role == "report" else []))


@dataclass(frozen=True)
class Plan:
    """What a sweep will do: searches level by level, then the reporting cells."""

    sweep: Sweep
    levels: tuple[tuple[Cell, ...], ...]
    """Searches; those of one level need decisions of the levels before it only."""
    cells: tuple[Cell, ...]
    """Reporting cells, in file order."""

    @property
    def searches(self) -> tuple[Cell, ...]:
        """Every search, level by level."""
        return tuple(cell for level in self.levels for cell in level)

    @property
    def intermediates(self) -> tuple[tuple[str, str, int], ...]:
        """(model, arm, seed) of every intermediate stage behind the reporting cells, once, in their order."""
        trained = (cell for cell in self.cells if self.arm(cell.arm).trained)
        return tuple(dict.fromkeys((cell.model, cell.arm, cell.seed) for cell in trained))

    def seedless(self, cell: Cell) -> bool:
        """Whether a reporting cell scores the model as it comes, so that one stage serves every seed."""
        return cell.arm == BASELINE and not self.target(cell.target or "").trained

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.sweep.arms if arm.name == name)

    def target(self, name: str) -> Target:
        """The target of that name."""
        return next(target for target in self.sweep.targets if target.name == name)

    def space(self, cell: Cell) -> Space:
        """The search space of a search cell."""
        return self.sweep.search.target if cell.target else self.sweep.search.intermediate

    def intermediate_search(self, model: str, arm: str) -> Cell:
        """The search that decides the intermediate stage of (model, arm)."""
        return Cell(model, arm, None, self.sweep.search.seed, "search")

    def target_search(self, model: str, arm: str, target: str) -> Cell:
        """The search that decides the target stage of (model, arm, target).

        It is the baseline's where declared so, and for an arm without an intermediate stage.
        """
        shared = self.sweep.search.target_per == "baseline" or not self.arm(arm).trained
        return Cell(model, BASELINE if shared else arm, target, self.sweep.search.seed, "search")


def build_plan(sweep: Sweep) -> Plan:
    """Expand a sweep into its searches and reporting cells."""
    plan = Plan(sweep, (), ())
    models = [model.name for model in sweep.models]
    arms = [arm.name for arm in sweep.arms]
    trained = [target.name for target in sweep.targets if target.trained]
    first = [plan.intermediate_search(m, a) for m in models for a in arms if plan.arm(a).trained]
    searches = dict.fromkeys(plan.target_search(m, a, t) for m in models for a in arms for t in trained)
    first += [cell for cell in searches if cell.arm == BASELINE]
    second = [cell for cell in searches if cell.arm != BASELINE]
    levels = tuple(tuple(level) for level in (first, second) if level)
    pairs = [(arm.name, target.name) for arm in sweep.arms for target in sweep.targets if paired(arm, target)]
    cells = tuple(Cell(m, a, t, s, "report") for m in models for a, t in pairs for s in sweep.seeds)
    return Plan(sweep, levels, cells)


def paired(arm: Arm, target: Target) -> bool:
    """Whether an arm is tried on a target: a stage can only be lengthened where there is one."""
    return arm.of is None or target.trained
