"""Sweep -> plan: every cell and every search that the file implies. Pure: no data, no store, no clock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from xsweep.plan.halving import live
from xsweep.spec.sweep import Arm, Halving, Space, Sweep, Target

Role = Literal["search", "check", "report"]

BASELINE = "none"


@dataclass(frozen=True)
class Cell:
    """An address known from the sweep file alone.

    A cell of role ``search`` is one study: of the intermediate stage where ``target`` is None, else of the target
    stage, or of both (``Plan.joint``). One of role ``check`` is a study in full, beside one that takes configurations
    from a smaller model; nothing is chosen by it. A cell of role ``report`` is one trained and scored model that enters
    the curves.
    """

    model: str
    arm: str
    target: str | None
    seed: int
    role: Role
    repeat: int = 0
    """Which of the repeated searches, of a search cell; then ``seed`` is that one's training seed."""

    @property
    def label(self) -> str:
        """For people: what varies, in reading order."""
        parts = [self.model, self.arm, *([self.target] if self.target else [])]
        parts += [f"repeat {self.repeat + 1}"] if self.repeat else []
        parts += ["in full"] if self.role == "check" else []
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
    def intermediates(self) -> tuple[Cell, ...]:
        """The address of every intermediate stage behind the reporting cells, once, in their order."""
        return tuple(dict.fromkeys(self.intermediate(cell) for cell in self.cells if self.arm(cell.arm).trained))

    def joint(self, cell: Cell) -> bool:
        """Whether both stages of a cell are decided by one study.

        Not where only one of them is trained: the baseline's targets, and what an arm does for a target without
        training rows, are searched as in a staged sweep.
        """
        if self.sweep.search.mode == "staged" or cell.target is None:
            return False
        return self.arm(cell.arm).trained and self.target(cell.target).trained

    def intermediate(self, cell: Cell) -> Cell:
        """The address of the intermediate stage of a cell: shared by its arm's targets, or of a joint one its own."""
        return cell if self.joint(cell) else replace(cell, target=None)

    def seedless(self, cell: Cell) -> bool:
        """Whether a reporting cell scores the model as it comes, so that one stage serves every seed."""
        return cell.arm == BASELINE and not self.target(cell.target or "").trained

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return self._arms[name]

    def target(self, name: str) -> Target:
        """The target of that name."""
        return self._targets[name]

    @cached_property
    def _arms(self) -> dict[str, Arm]:
        return {arm.name: arm for arm in self.sweep.arms}

    @cached_property
    def _targets(self) -> dict[str, Target]:
        return {target.name: target for target in self.sweep.targets}

    @cached_property
    def search_seeds(self) -> tuple[int, ...]:
        """The training seed of each repeat's trials: no reporting seed, and no other repeat's."""
        seeds = [self.sweep.search.seed]
        for repeat in range(1, self.sweep.search.repeats):
            digest = hashlib.sha256(f"{self.sweep.search.seed}/repeat/{repeat}".encode()).digest()
            seed = int.from_bytes(digest[:4], "big")
            while seed in seeds or seed in self.sweep.seeds:
                seed = (seed + 1) % 2**32
            seeds.append(seed)
        return tuple(seeds)

    @cached_property
    def _repeats(self) -> dict[int, int]:
        turns = {seed: turn % self.sweep.search.repeats for turn, seed in enumerate(self.sweep.seeds)}
        return turns | {seed: repeat for repeat, seed in enumerate(self.search_seeds)}

    def repeat(self, seed: int) -> int:
        """Which of the repeated searches a reporting seed, or a search's own, belongs to."""
        return self._repeats[seed]

    @cached_property
    def _before(self) -> dict[str, str]:
        last: dict[str, str] = {}
        before = {}
        for model in self.sweep.models if self.sweep.search.transfer else ():
            if model.ladder and model.ladder in last:
                before[model.name] = last[model.ladder]
            last[model.ladder] = model.name
        return before

    def before(self, cell: Cell) -> Cell | None:
        """The search that a search cell takes its configurations from; None where it searches for itself."""
        model = self._before.get(cell.model) if cell.role == "search" else None
        return replace(cell, model=model) if model else None

    def space(self, cell: Cell) -> Space:
        """The search space of a search cell."""
        search = self.sweep.search
        space = (search.target if cell.target else search.intermediate).of(cell.model)
        if search.transfer and self.before(cell):
            return space.model_copy(update={"trials": search.transfer.trials})
        return space

    def halving(self, cell: Cell) -> Halving | None:
        """How a search cell stops trials early; configurations of a smaller model are all run to their ends."""
        return None if self.before(cell) else self.sweep.search.halving

    def runs(self, cell: Cell) -> int:
        """Jobs of a search cell: one a trial, or under halving one for each rung that it reaches."""
        halving, space = self.halving(cell), self.space(cell)
        if halving is None:
            return space.trials
        return sum(alive for _, alive in live(halving, space.trials, space.epochs.high))

    def sharing(self, searches: Iterable[Cell]) -> list[list[Cell]]:
        """Those of some searches whose trials train intermediate stages, together where they may share them."""
        found: dict[tuple[object, ...], list[Cell]] = {}
        for cell in searches:
            if cell.target is None or self.joint(cell):
                found.setdefault((cell.model, cell.arm, cell.repeat, self.joint(cell)), []).append(cell)
        return list(found.values())

    def intermediate_runs(self, searches: Sequence[Cell]) -> int:
        """Intermediate stages that the trials of ``sharing`` searches train, at most.

        Points are drawn from the search's seed, so that joint searches of several targets try the same intermediate
        stages: all of them, or with TPE those of its first batch, as later ones depend on the target's scores.
        Configurations of a smaller model differ by target.
        """
        trials = [self.space(cell).trials for cell in searches]
        search, first = self.sweep.search, searches[0]
        if first.target is None:
            return sum(trials)
        common = min(search.batch, trials[0]) if search.sampler == "tpe" else trials[0]
        if self.before(first):
            common = 0
        space = search.intermediate.of(first.model)
        runs = common + sum(own - common for own in trials)
        return min(runs, space.epochs.high - space.epochs.low + 1) if space.lr.low == space.lr.high else runs

    def deciding(self, cell: Cell) -> Cell:
        """The search that decides the intermediate stage of a cell."""
        repeat = self.repeat(cell.seed)
        if self.joint(cell):
            return self.target_search(cell.model, cell.arm, cell.target or "", repeat)
        return self.intermediate_search(cell.model, cell.arm, repeat)

    def intermediate_search(self, model: str, arm: str, repeat: int = 0) -> Cell:
        """The search that decides the intermediate stage of (model, arm)."""
        return Cell(model, arm, None, self.search_seeds[repeat], "search", repeat)

    def target_search(self, model: str, arm: str, target: str, repeat: int = 0) -> Cell:
        """The search that decides the target stage of (model, arm, target).

        It is the baseline's where declared so, and for an arm without an intermediate stage.
        """
        shared = self.sweep.search.target_per == "baseline" or not self.arm(arm).trained
        return Cell(model, BASELINE if shared else arm, target, self.search_seeds[repeat], "search", repeat)

    @cached_property
    def checked(self) -> Cell | None:
        """The search in full that transfer between sizes is compared with; its repeat is the first."""
        transfer = self.sweep.search.transfer
        trained = [target.name for target in self.sweep.targets if target.trained]
        if transfer is None or transfer.check is None or not trained:
            return None
        return replace(self.target_search(transfer.check, BASELINE, trained[0]), role="check")


def build_plan(sweep: Sweep) -> Plan:
    """Expand a sweep into its searches and reporting cells."""
    plan = Plan(sweep, (), ())
    models = [model.name for model in sweep.models]
    arms = [arm.name for arm in sweep.arms]
    trained = [target.name for target in sweep.targets if target.trained]
    repeats = range(sweep.search.repeats)
    alone = sweep.search.mode == "staged" or len(trained) < len(sweep.targets)
    staged = [a for a in arms if alone and plan.arm(a).trained]
    first = [plan.intermediate_search(m, a, r) for r in repeats for m in models for a in staged]
    asked = dict.fromkeys(
        plan.target_search(m, a, t, r) for r in repeats for m in models for a in arms for t in trained
    )
    searches = [*first, *(cell for cell in asked if cell.arm == BASELINE)]
    searches += [plan.checked] if plan.checked else []
    searches += [cell for cell in asked if cell.arm != BASELINE]
    levels: dict[int, list[Cell]] = {}
    for cell in searches:
        levels.setdefault(_level(plan, cell), []).append(cell)
    pairs = [(arm.name, target.name) for arm in sweep.arms for target in sweep.targets if paired(arm, target)]
    cells = tuple(Cell(m, a, t, s, "report") for m in models for a, t in pairs for s in sweep.seeds)
    return Plan(sweep, tuple(tuple(levels[level]) for level in sorted(levels)), cells)


def _level(plan: Plan, cell: Cell) -> int:
    """How many searches have to be decided one after the other before this one can start, at most."""
    before = plan.before(cell)
    own = int(bool(cell.target) and cell.arm != BASELINE and not plan.joint(cell))
    return own if before is None else 1 + _level(plan, before)


def paired(arm: Arm, target: Target) -> bool:
    """Whether an arm is tried on a target: a stage can only be lengthened where there is one."""
    return arm.of is None or target.trained
