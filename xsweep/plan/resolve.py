"""Plan + store -> the stages that are decided so far, and those that may run now.

A child of a study gets its key from the study's decision, so what is ready grows as decisions are written.
Everything here is read from the store; remembered is only what is written once and never changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from xsweep.models.model import Model
from xsweep.plan.cells import BASELINE, Cell, Plan, Role
from xsweep.plan.layout import placement
from xsweep.plan.prints import Prints
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.plan.study import Study
from xsweep.plan.transfer import Regret, regret, transferred
from xsweep.spec.sweep import Arm, Layout, Target, Training
from xsweep.store.keys import content_key
from xsweep.store.store import Store


class Resolver:
    """Turns cells into stages and jobs, given what the store has decided."""

    def __init__(self, plan: Plan, prints: Prints, store: Store) -> None:
        self.plan = plan
        self.prints = prints
        self.store = store
        self._models = {model.name: model for model in plan.sweep.models}
        self._stages: dict[str, Stage] = {}
        self._layouts: dict[str, Layout] = {}
        self._made: dict[tuple[object, ...], Stage] = {}
        """The same by what they were made from, which is quicker to compare than to hash."""
        self._studies: dict[Cell, Study] = {}
        self._decisions: dict[str, Mapping[str, Any]] = {}
        self._statuses: dict[str, str] = {}
        """Of the stages that are done with."""

    def model(self, name: str) -> Model:
        """The model of that name, what its declaration leaves out filled in from its folder."""
        return self.prints.filled(self._models[name])

    def layout(self, model: str) -> Layout:
        """How the jobs of a model are laid on the machine; raises ``UsageError`` where it fits nowhere."""
        if model not in self._layouts:
            self._layouts[model] = placement(self.plan.sweep, self.model(model)).layout
        return self._layouts[model]

    # ---- pretraining -----------------------------------------------------------------------------

    def pretrained(self, model: str) -> Stage | None:
        """The stage that pretrains a model whose weights start at random; None for a published checkpoint."""
        recipe = self._models[model].pretrain
        if recipe is None:
            return None
        names = [f"{part}/{recipe.task.name}" for part in ("train", "selection")]
        return self._remember(
            Stage(
                kind="pretrain",
                model=self._models[model],
                model_print=self.prints.models[model],
                tasks=(recipe.task,),
                prints={name: self.prints.splits[name] for name in names},
                training=Training(batch_size=recipe.batch_size),
                seed=recipe.seed,
                hyper=Hyper(recipe.lr, recipe.epochs),
            )
        )

    def pretraining(self) -> Iterator[tuple[str, Job]]:
        """(label, job) of every model that must be pretrained before anything else can run; the largest first."""
        for model in sorted(self._models, key=lambda name: -(self.model(name).params or 0)):
            stage = self.pretrained(model)
            if stage and self._must_train(stage):
                yield f"{model} / pretraining", self.job(stage)

    # ---- studies ---------------------------------------------------------------------------------

    def study(self, cell: Cell) -> Study | None:
        """The study of a search cell; None while what it starts from, a smaller model's configurations too, is open."""
        if cell not in self._studies and (study := self._study(cell)):
            self._studies[cell] = study
        return self._studies.get(cell)

    def _study(self, cell: Cell) -> Study | None:
        parent = self.start(cell)
        if parent is None and cell.target and cell.arm != BASELINE:
            return None
        before = self.plan.before(cell)
        seeded = self._best(before, cell) if before else ()
        if seeded is None:
            return None
        search, space = self.plan.sweep.search, self.plan.space(cell)
        halving = self.plan.halving(cell)
        probe = self._training_stage(cell, Hyper(lr=1.0, epochs=1), cell.seed, _key(parent))
        # Left out where they say nothing, so that addresses from before there were any stay as they were.
        added = {
            "halving": halving and halving.model_dump(mode="json"),
            "seeded": [{"lr": hyper.lr, "epochs": hyper.epochs} for hyper in seeded],
        }
        address = content_key(
            {
                "stage": probe.payload(),
                "space": space.model_dump(mode="json", exclude={"models"}),
                "sampler": search.sampler,
                "batch": search.batch if search.sampler == "tpe" else 0,
                **{name: value for name, value in added.items() if value},
            }
        )
        return Study(
            address=address,
            label=cell.label,
            kind="target" if cell.target else "intermediate",
            model=cell.model,
            arm=cell.arm,
            target=cell.target,
            space=space,
            sampler=search.sampler,
            seed=cell.seed,
            batch=search.batch,
            halving=halving,
            seeded=seeded,
            repeat=cell.repeat,
            full=cell.role == "check",
        )

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

    def trial(self, study: Study, hyper: Hyper) -> Stage:
        """The training stage that a trial of ``study`` runs."""
        cell = self.cell(study)
        parent = self.start(cell)
        return self._training_stage(cell, hyper, study.seed, _key(parent))

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
        return Hyper(**decision["hyper"]) if decision and decision["hyper"] else None

    def regret(self) -> Regret | None:
        """What transfer between sizes lost, where one search in full was declared beside and both have decided."""
        full = self.plan.checked
        if full is None or full.target is None:
            return None
        few = self.decision(replace(full, role="search"))
        return regret(full.model, full.target, few, self.decision(full))

    # ---- reporting stages ------------------------------------------------------------------------

    def intermediate(self, model: str, arm: str, seed: int) -> Stage | None:
        """The intermediate stage of (model, arm) at a reporting seed; None while undecided."""
        search = self.plan.intermediate_search(model, arm, self.plan.repeat(seed))
        hyper = self.decided(search)
        return self._training_stage(search, hyper, seed, _key(self.pretrained(model))) if hyper else None

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
        parent = self.intermediate(cell.model, cell.arm, cell.seed) if arm.trained else self.pretrained(cell.model)
        if parent is None and arm.trained:
            return None
        return self._training_stage(cell, hyper, cell.seed, _key(parent))

    def _lengthened(self, cell: Cell, lr: float, of: str) -> Stage | None:
        """The target stage without an intermediate, lengthened to the steps of both stages of the arm ``of``.

        To the nearest whole epoch (of two as near the longer), and to one at least; None while those stages have not
        ended with a model.
        """
        before, after = self.intermediate(cell.model, of, cell.seed), self.target(replace(cell, arm=of))
        if before is None or after is None or after.hyper is None:
            return None
        first, second = self._steps(before), self._steps(after)
        if first is None or second is None:
            return None
        an_epoch = second // after.hyper.epochs
        epochs = max(1, (2 * (first + second) + an_epoch) // (2 * an_epoch))
        parent = _key(self.pretrained(cell.model))
        return self._training_stage(cell, Hyper(lr, epochs), cell.seed, parent, matches=before.key)

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
            return self._scoring(target, cell.model, self.pretrained(cell.model), 0)
        parent = self.target(cell) if target.trained else self.intermediate(cell.model, cell.arm, cell.seed)
        return self._scoring(target, cell.model, parent, parent.seed) if parent else None

    def _scoring(self, target: Target, model: str, parent: Stage | None, seed: int) -> Stage:
        """The stage that scores ``parent``, or the model as it comes."""
        made = (target.name, model, _key(parent), seed)
        if made not in self._made:
            self._made[made] = self._make_scoring(target, model, parent, seed)
        return self._made[made]

    def _make_scoring(self, target: Target, model: str, parent: Stage | None, seed: int) -> Stage:
        names = [f"test/{target.name}/{language}" for language in target.languages]
        return self._remember(
            Stage(
                kind="evaluate",
                model=self._models[model],
                model_print=self.prints.models[model],
                tasks=(target.task,),
                prints={name: self.prints.splits[name] for name in names},
                training=self.plan.sweep.train,
                seed=seed,
                parent=_key(parent),
                languages=target.languages,
                score_examples=target.score_examples,
            )
        )

    # ---- jobs ------------------------------------------------------------------------------------

    def job(self, stage: Stage, *, begins: bool = False) -> Job:
        """The stage, preceded by every ancestor whose weights are gone and must be made again."""
        chain = [stage]
        while (parent := chain[0].parent) and not self.store.has_weights(parent):
            chain.insert(0, self._stages[parent])
        before: list[Stage] = []
        while parent := (before or chain)[0].parent:
            before.insert(0, self._stages[parent])
        passed_on = ("pretrain", "intermediate", *(["target"] if self.plan.sweep.keep == "all" else []))
        kept = [s for s in [*before, *chain] if s.kind in passed_on]
        keep = frozenset(s.key for s in kept if not (s.hyper and s.hyper.until))
        return Job(tuple(chain), keep, self.layout(stage.model.name), begins, tuple(before))

    def ready(self) -> Iterator[tuple[str, Job]]:
        """(label, job) of every reporting stage that may run now and has not ended.

        Intermediate stages come first and alone, since several targets share each; a target is trained and
        scored in one job, and a scoring stage that serves several seeds comes once. A stage whose parent ended
        without weights to pass on is never ready.
        """
        waiting: set[str] = set()
        given: set[str] = set()
        for cell in self.plan.cells:
            if not self.plan.arm(cell.arm).trained or not self._wanted(self.evaluate(cell)):
                continue
            stage = self.intermediate(cell.model, cell.arm, cell.seed)
            if stage and stage.key not in waiting and self._must_train(stage):
                waiting.add(stage.key)
                yield f"{cell.model} / {cell.arm} / s{cell.seed}", self.job(stage)
        for cell in self.plan.cells:
            stage = self.evaluate(cell)
            if stage and stage.key not in given and self._wanted(stage) and not self.ancestors(stage) & waiting:
                given.add(stage.key)
                yield cell.label, self.job(stage)

    def ancestors(self, stage: Stage) -> set[str]:
        """Keys of the stages that ``stage`` descends from."""
        return {stage.parent} | self.ancestors(self._stages[stage.parent]) if stage.parent else set()

    def _wanted(self, stage: Stage | None) -> bool:
        """Whether a scoring stage is decided, has not ended, and is not past hope."""
        if stage is None:
            return True
        return not self.status(stage) and not self._stuck(stage)

    def status(self, stage: Stage) -> str:
        """How a stage that is done with ended; "" of one that is not."""
        if stage.key not in self._statuses:
            manifest = self.store.manifest(stage.key)
            if manifest is None or not manifest.final:
                return ""
            self._statuses[stage.key] = manifest.status
        return self._statuses[stage.key]

    def _must_train(self, stage: Stage) -> bool:
        return not self.status(stage) or (not self._stuck_here(stage) and not self.store.has_weights(stage.key))

    def _stuck(self, stage: Stage) -> bool:
        """Whether an ancestor ended for good without weights to go on from."""
        parent = self._stages.get(stage.parent or "")
        return parent is not None and (self._stuck_here(parent) or self._stuck(parent))

    def _stuck_here(self, stage: Stage) -> bool:
        return self.status(stage) not in ("", "ok", "degenerate")

    # ---- making stages ---------------------------------------------------------------------------

    def start(self, cell: Cell) -> Stage | None:
        """What a search starts from: the pretrained model, or of an arm the winning intermediate at the search seed."""
        if cell.target is None or cell.arm == BASELINE:
            return self.pretrained(cell.model)
        return self.intermediate(cell.model, cell.arm, cell.seed)

    def _training_stage(
        self, cell: Cell, hyper: Hyper, seed: int, parent: str | None, matches: str | None = None
    ) -> Stage:
        made = (cell.model, None if cell.target else cell.arm, cell.target, hyper, seed, parent, matches)
        if made not in self._made:
            self._made[made] = self._make_training_stage(cell, hyper, seed, parent, matches)
        return self._made[made]

    def _make_training_stage(
        self, cell: Cell, hyper: Hyper, seed: int, parent: str | None, matches: str | None
    ) -> Stage:
        source: Arm | Target = self.plan.target(cell.target) if cell.target else self.plan.arm(cell.arm)
        tasks = (source.task,) if isinstance(source, Target) else source.tasks
        names = [f"{part}/{task.name}" for task in tasks for part in ("train", "selection")]
        mixture = source.mixture if isinstance(source, Arm) else None
        if mixture and mixture.mlm:
            names.append(f"train/{mixture.mlm.task.name}")
        return self._remember(
            Stage(
                kind="target" if cell.target else "intermediate",
                model=self._models[cell.model],
                model_print=self.prints.models[cell.model],
                tasks=tasks,
                prints={name: self.prints.splits[name] for name in names},
                training=self.plan.sweep.train,
                seed=seed,
                hyper=hyper,
                examples=source.examples,
                parent=parent,
                score_examples=self.plan.sweep.search.score_examples,
                mixture=mixture,
                shuffled=isinstance(source, Arm) and source.control == "shuffled-labels",
                matches=matches,
            )
        )

    def _remember(self, stage: Stage) -> Stage:
        return self._stages.setdefault(stage.key, stage)


def _key(stage: Stage | None) -> str | None:
    return stage.key if stage else None
