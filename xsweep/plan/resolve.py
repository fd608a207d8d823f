"""Plan + store -> the jobs that may run now: decided stages that have not ended, each with what must run before it."""

from __future__ import annotations

from collections.abc import Iterator

from xsweep.plan.cells import Plan
from xsweep.plan.decided import Decided
from xsweep.plan.layout import placement
from xsweep.plan.prints import Prints
from xsweep.plan.stage import Job, Stage
from xsweep.spec.sweep import Layout
from xsweep.store.store import Store


class Resolver(Decided):
    """What is decided, what of that has ended, and what may run now."""

    def __init__(self, plan: Plan, prints: Prints, store: Store) -> None:
        super().__init__(plan, prints, store)
        self._layouts: dict[str, Layout] = {}
        self._statuses: dict[str, str] = {}
        """Of the stages that are done with."""

    def layout(self, model: str) -> Layout:
        """How the jobs of a model are laid on the machine; raises ``UsageError`` where it fits nowhere."""
        if model not in self._layouts:
            self._layouts[model] = placement(self.plan.sweep, self.model(model)).layout
        return self._layouts[model]

    def job(self, stage: Stage, *, begins: bool = False) -> Job:
        """The stage, preceded by every ancestor whose weights are gone and must be made again."""
        chain = [stage]
        while (parent := chain[0].parent) and not self.store.has_weights(parent):
            chain.insert(0, self.make.stage(parent))
        before: list[Stage] = []
        while parent := (before or chain)[0].parent:
            before.insert(0, self.make.stage(parent))
        passed_on = ("pretrain", "intermediate", *(["target"] if self.plan.sweep.keep == "all" else []))
        kept = [s for s in [*before, *chain] if s.kind in passed_on]
        keep = frozenset(s.key for s in kept if not (s.hyper and s.hyper.until))
        return Job(tuple(chain), keep, self.layout(stage.model.name), begins, ancestors=tuple(before))

    def pretraining(self) -> Iterator[tuple[str, Job]]:
        """(label, job) of every model that must be pretrained before anything else can run; the largest first."""
        for model in sorted(self.plan.sweep.models, key=lambda model: -(self.model(model.name).params or 0)):
            stage = self.pretrained(model.name)
            if stage and self._must_train(stage):
                yield f"{model.name} / pretraining", self.job(stage)

    def ready(self) -> Iterator[tuple[str, Job]]:
        """(label, job) of every reporting stage that may run now and has not ended.

        Intermediate stages come first and alone, since several targets may share each; a target is trained and
        scored in one job, and a scoring stage that serves several seeds comes once. A stage whose parent ended
        without weights to pass on is never ready.
        """
        waiting: set[str] = set()
        given: set[str] = set()
        for cell in self.plan.cells:
            if not self.plan.arm(cell.arm).trained or not self._wanted(self.evaluate(cell)):
                continue
            stage = self.intermediate(cell)
            if stage and stage.key not in waiting and self._must_train(stage):
                waiting.add(stage.key)
                yield (
                    f"{self.plan.intermediate(cell).label}{' (intermediate)' * self.plan.joint(cell)}",
                    self.job(stage),
                )
        for cell in self.plan.cells:
            stage = self.evaluate(cell)
            if stage and stage.key not in given and self._wanted(stage) and not self.ancestors(stage) & waiting:
                given.add(stage.key)
                yield cell.label, self.job(stage)

    def ancestors(self, stage: Stage) -> set[str]:
        """Keys of the stages that ``stage`` descends from."""
        return {ancestor.key for ancestor in self.make.ancestors(stage)}

    def status(self, stage: Stage) -> str:
        """How a stage that is done with ended; "" of one that is not."""
        if stage.key not in self._statuses:
            manifest = self.store.manifest(stage.key)
            if manifest is None or not manifest.final:
                return ""
            self._statuses[stage.key] = manifest.status
        return self._statuses[stage.key]

    def _wanted(self, stage: Stage | None) -> bool:
        """Whether a scoring stage is decided, has not ended, and is not past hope."""
        if stage is None:
            return True
        return not self.status(stage) and not any(map(self._stuck, self.make.ancestors(stage)))

    def _must_train(self, stage: Stage) -> bool:
        return not self.status(stage) or (not self._stuck(stage) and not self.store.has_weights(stage.key))

    def _stuck(self, stage: Stage) -> bool:
        """Whether a stage ended for good without weights to go on from."""
        return self.status(stage) not in ("", "ok", "degenerate")
