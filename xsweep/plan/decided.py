"""Plan + store -> what the studies have decided, and the stages that follow from it.

A child of a study gets its key from the study's decision, so what is known grows as decisions are written.
Remembered is only what is written once and never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from xsweep.models.model import Model
from xsweep.plan.cells import BASELINE, Cell, Plan, Role
from xsweep.plan.making import Maker
from xsweep.plan.prints import Prints
from xsweep.plan.stage import Hyper, Stage
from xsweep.plan.study import Study
from xsweep.plan.transfer import Regret, regret, transferred
from xsweep.spec.sweep import Search, Space
from xsweep.store.keys import content_key
from xsweep.store.store import Store


class Decided:
    """Turns cells into studies and stages, given what the store has decided."""

    def __init__(self, plan: Plan, prints: Prints, store: Store) -> None:
        self.plan = plan
        self.prints = prints
        self.store = store
        self.make = Maker(plan, prints)
        self._studies: dict[Cell, Study] = {}
        self._decisions: dict[str, Mapping[str, Any]] = {}

    def model(self, name: str) -> Model:
        """The model of that name, what its declaration leaves out filled in from its folder."""
        return self.make.model(name)

    def pretrained(self, model: str) -> Stage | None:
        """The stage that pretrains a model whose weights start at random; None for a published checkpoint."""
        return self.make.pretrained(model)

    # ---- studies ---------------------------------------------------------------------------------

    def study(self, cell: Cell) -> Study | None:
        """The study of a search cell; None while what it starts from, a smaller model's configurations too, is open."""
        if cell not in self._studies and (study := self._study(cell)):
            self._studies[cell] = study
        return self._studies.get(cell)

    def _study(self, cell: Cell) -> Study | None:
        probe = self._probe(cell)
        before = self.plan.before(cell)
        seeded = self._best(before, cell) if before else ()
        if probe is None or seeded is None:
            return None
        search, halving = self.plan.sweep.search, self.plan.halving(cell)
        study = Study(
            address="",
            label=cell.label,
            kind="target" if cell.target else "intermediate",
            model=cell.model,
            arm=cell.arm,
            target=cell.target,
            space=self.plan.space(cell),
            sampler=search.sampler,
            seed=cell.seed,
            batch=search.batch,
            halving=halving,
            seeded=seeded,
            repeat=cell.repeat,
            full=cell.role == "check",
            before=search.intermediate.of(cell.model) if self.plan.joint(cell) else None,
        )
        return replace(study, address=content_key(_payload(study, probe, search)))

    def _probe(self, cell: Cell) -> Stage | None:
        """A stage that stands for a search's trials in its address; None while what they start from is undecided."""
        probe = Hyper(lr=1.0, epochs=1)
        if self.plan.joint(cell):
            return self._trials(cell, replace(probe, before=probe))[-1]
        if cell.target and cell.arm != BASELINE and self.start(cell) is None:
            return None
        return self._trials(cell, probe)[-1]

    def _best(self, before: Cell, cell: Cell) -> tuple[Hyper, ...] | None:
        """What a search tries of the smaller model's, scaled; None while that one has not decided."""
        decision, transfer = self.decision(before), self.plan.sweep.search.transfer
        if decision is None or transfer is None:
            return None
        smaller, larger = self.model(before.model).shape, self.model(cell.model).shape
        assert smaller is not None
        assert larger is not None
        return transferred(decision, transfer, smaller.width / larger.width)

    def cell(self, study: Study) -> Cell:
        """The search cell that a study belongs to."""
        role: Role = "check" if study.full else "search"
        return Cell(study.model, study.arm, study.target, study.seed, role, study.repeat)

    def start(self, cell: Cell) -> Stage | None:
        """What a search starts from: the pretrained model, or of a target the winning intermediate at its seed."""
        if cell.target is None or cell.arm == BASELINE or self.plan.joint(cell):
            return self.pretrained(cell.model)
        return self.intermediate(cell)

    def trial(self, study: Study, hyper: Hyper) -> Stage:
        """The stage that a trial of ``study`` is judged by."""
        return self.trials(study, hyper)[-1]

    def trials(self, study: Study, hyper: Hyper) -> tuple[Stage, ...]:
        """The stages that a trial of ``study`` trains: one, or in a joint search both."""
        return self._trials(self.cell(study), hyper)

    def _trials(self, cell: Cell, hyper: Hyper) -> tuple[Stage, ...]:
        if cell.target is None:
            return (self.make.intermediate(cell, hyper),)
        if hyper.before is None:
            return (self.make.target(cell, hyper, self.start(cell)),)
        first = self.make.intermediate(cell, hyper.before)
        return (first, self.make.target(cell, hyper, first))

    def decision(self, cell: Cell) -> Mapping[str, Any] | None:
        """What the cell's study decided; None while it has not."""
        study = self.study(cell)
        if study is None:
            return None
        if study.address not in self._decisions and (decision := self.store.decision(study.address)):
            self._decisions[study.address] = decision
        return self._decisions.get(study.address)

    def decided(self, cell: Cell) -> Hyper | None:
        """The hyperparameters that the cell's study chose; None while undecided or when every trial failed."""
        decision = self.decision(cell)
        return Hyper.of(decision["hyper"]) if decision and decision["hyper"] else None

    def regret(self) -> Regret | None:
        """What transfer between sizes lost, where one search in full was declared beside and both have decided."""
        full = self.plan.checked
        if full is None or full.target is None:
            return None
        few = self.decision(replace(full, role="search"))
        return regret(full.model, full.target, few, self.decision(full))

    # ---- reporting stages ------------------------------------------------------------------------

    def intermediate(self, cell: Cell) -> Stage | None:
        """The intermediate stage of a cell, or of an address without a target, at its seed; None while undecided."""
        hyper = self.decided(self.plan.deciding(cell))
        if hyper is None:
            return None
        return self.make.intermediate(cell, hyper.before or hyper)

    def target(self, cell: Cell) -> Stage | None:
        """The target stage of a reporting cell; None while it or its intermediate is undecided.

        A target that is not trained has none.
        """
        assert cell.target
        if not self.plan.target(cell.target).trained:
            return None
        repeat = self.plan.repeat(cell.seed)
        hyper = self.decided(self.plan.target_search(cell.model, cell.arm, cell.target, repeat))
        arm = self.plan.arm(cell.arm)
        if hyper is None:
            return None
        if arm.of is not None:
            return self._lengthened(cell, hyper.lr, arm.of)
        parent = self.intermediate(cell) if arm.trained else self.pretrained(cell.model)
        if parent is None and arm.trained:
            return None
        return self.make.target(cell, hyper, parent)

    def _lengthened(self, cell: Cell, lr: float, of: str) -> Stage | None:
        """The target stage without an intermediate, lengthened to the steps of both stages of the arm ``of``.

        To the nearest whole epoch (of two as near the longer), and to one at least; None while those stages have not
        ended with a model.
        """
        other = replace(cell, arm=of)
        before, after = self.intermediate(other), self.target(other)
        if before is None or after is None or after.hyper is None:
            return None
        first, second = self._steps(before), self._steps(after)
        if first is None or second is None:
            return None
        an_epoch = second // after.hyper.epochs
        epochs = max(1, (2 * (first + second) + an_epoch) // (2 * an_epoch))
        return self.make.target(cell, Hyper(lr, epochs), self.pretrained(cell.model), matches=before.key)

    def _steps(self, stage: Stage) -> int | None:
        """Optimiser steps of a stage that ended with a model."""
        manifest = self.store.manifest(stage.key)
        return manifest.metrics["steps"] if manifest and manifest.status in ("ok", "degenerate") else None

    def evaluate(self, cell: Cell) -> Stage | None:
        """The scoring stage of a reporting cell; None while the stage that it scores is undecided.

        Where the target is not trained that is the intermediate stage, or for the baseline the model as it
        comes: then one stage, of seed 0, serves every reporting seed.
        """
        assert cell.target
        target = self.plan.target(cell.target)
        if self.plan.seedless(cell):
            return self.make.scoring(target, cell.model, self.pretrained(cell.model), 0)
        parent = self.target(cell) if target.trained else self.intermediate(cell)
        return self.make.scoring(target, cell.model, parent, parent.seed) if parent else None


def _payload(study: Study, probe: Stage, search: Search) -> dict[str, Any]:
    """What a study's address is made of: everything that its outcome depends on."""
    # Left out where they say nothing, so that addresses from before there were any stay as they were.
    added = {
        "halving": study.halving and study.halving.model_dump(mode="json", exclude=_unused(study)),
        "seeded": [hyper.told() for hyper in study.seeded],
        "before": study.before and _space(study.before),
    }
    return {
        "stage": probe.payload(),
        "space": _space(study.space),
        "sampler": search.sampler,
        "batch": search.batch if search.sampler == "tpe" else 0,
        **{name: value for name, value in added.items() if value},
    }


def _unused(study: Study) -> set[str]:
    return set() if study.halving and study.halving.asynchronous else {"asynchronous"}


def _space(space: Space) -> dict[str, Any]:
    return space.model_dump(mode="json", exclude={"models"})
