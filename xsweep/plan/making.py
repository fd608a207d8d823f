"""Cells and hyperparameters -> stages: every input of a stage put together. Pure."""

from __future__ import annotations

from xsweep.models.model import Model
from xsweep.plan.cells import Cell, Plan
from xsweep.plan.prints import Prints
from xsweep.plan.stage import Hyper, Stage
from xsweep.spec.sweep import Arm, Target, Training


class Maker:
    """Makes the stages of one plan, and finds them again by key."""

    def __init__(self, plan: Plan, prints: Prints) -> None:
        self.plan = plan
        self.prints = prints
        self._models = {model.name: model for model in plan.sweep.models}
        self._stages: dict[str, Stage] = {}
        self._made: dict[tuple[object, ...], Stage] = {}
        """The same by what they were made from, which is quicker to compare than to hash."""

    def model(self, name: str) -> Model:
        """The model of that name, what its declaration leaves out filled in from its folder."""
        return self.prints.filled(self._models[name])

    def stage(self, key: str) -> Stage:
        """A stage that was made before."""
        return self._stages[key]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All that were made so far."""
        return tuple(self._stages.values())

    def ancestors(self, stage: Stage) -> list[Stage]:
        """The stages that ``stage`` descends from, the nearest first."""
        found = []
        while stage.parent:
            stage = self._stages[stage.parent]
            found.append(stage)
        return found

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

    def intermediate(self, cell: Cell, hyper: Hyper) -> Stage:
        """The intermediate stage of a cell's arm, at the cell's seed."""
        return self._trained(cell, self.plan.arm(cell.arm), hyper, self.pretrained(cell.model))

    def target(self, cell: Cell, hyper: Hyper, parent: Stage | None, matches: str | None = None) -> Stage:
        """The target stage of a cell, at its seed; ``parent`` is None where it starts from the model as it comes."""
        return self._trained(cell, self.plan.target(cell.target or ""), hyper, parent, matches)

    def scoring(self, target: Target, model: str, parent: Stage | None, seed: int) -> Stage:
        """The stage that scores ``parent``, or the model as it comes."""
        made = (target.name, model, parent and parent.key, seed)
        if made not in self._made:
            names = [f"test/{target.name}/{language}" for language in target.languages]
            self._made[made] = self._remember(
                Stage(
                    kind="evaluate",
                    model=self._models[model],
                    model_print=self.prints.models[model],
                    tasks=(target.task,),
                    prints={name: self.prints.splits[name] for name in names},
                    training=self.plan.sweep.train,
                    seed=seed,
                    parent=parent.key if parent else None,
                    languages=target.languages,
                    score_examples=target.score_examples,
                )
            )
        return self._made[made]

    def _trained(
        self, cell: Cell, source: Arm | Target, hyper: Hyper, parent: Stage | None, matches: str | None = None
    ) -> Stage:
        made = (cell.model, type(source), source.name, hyper, cell.seed, parent and parent.key, matches)
        if made not in self._made:
            self._made[made] = self._make(cell, source, hyper, parent, matches)
        return self._made[made]

    def _make(self, cell: Cell, source: Arm | Target, hyper: Hyper, parent: Stage | None, matches: str | None) -> Stage:
        tasks = (source.task,) if isinstance(source, Target) else source.tasks
        names = [f"{part}/{task.name}" for task in tasks for part in ("train", "selection")]
        mixture = source.mixture if isinstance(source, Arm) else None
        if mixture and mixture.mlm:
            names.append(f"train/{mixture.mlm.task.name}")
        return self._remember(
            Stage(
                kind="target" if isinstance(source, Target) else "intermediate",
                model=self._models[cell.model],
                model_print=self.prints.models[cell.model],
                tasks=tasks,
                prints={name: self.prints.splits[name] for name in names},
                training=self.plan.sweep.train,
                seed=cell.seed,
                hyper=hyper,
                examples=source.examples,
                parent=parent.key if parent else None,
                score_examples=self.plan.sweep.search.score_examples,
                mixture=mixture,
                shuffled=isinstance(source, Arm) and source.control == "shuffled-labels",
                matches=matches,
            )
        )

    def _remember(self, stage: Stage) -> Stage:
        return self._stages.setdefault(stage.key, stage)
