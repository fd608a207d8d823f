"""Which splits a sweep reads, so that every one can be loaded, checked and fingerprinted before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from xsweep.models.model import Model, Shape
from xsweep.spec.sweep import Sweep
from xsweep.tasks.task import Part, Task


@dataclass(frozen=True)
class Reading:
    """One split that a sweep reads; ``language`` for test rows only."""

    task: Task
    part: Part
    language: str | None = None

    @property
    def name(self) -> str:
        """``train/xnli``, ``selection/xnli`` or ``test/xnli/de``: how stages name it."""
        return "/".join([self.part, self.task.name, *([self.language] if self.language else [])])


@dataclass(frozen=True)
class Prints:
    """Fingerprints of all that a sweep reads: of splits by reading name, of models by model name."""

    splits: Mapping[str, str]
    models: Mapping[str, str]
    params: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Parameter counts by model name: ``forward``, ``total``, ``embedding``, ``trunk``."""
    shapes: Mapping[str, tuple[str, Shape]] = field(default_factory=dict)
    """Type and shape of each model by its name, as its folder says."""

    def filled(self, model: Model) -> Model:
        """``model`` with its parameters, type and shape from its folder where its declaration leaves them out."""
        told: dict[str, object] = {}
        if model.params is None and (counted := self.params.get(model.name)):
            told |= {"params": counted["forward"], "embedding_params": counted["embedding"]}
        if model.shape is None and (read := self.shapes.get(model.name)):
            told |= {"model_type": read[0], "shape": read[1]}
        return model.model_copy(update=told) if told else model


def readings(sweep: Sweep) -> Iterator[Reading]:
    """Every split of a sweep, once, in file order."""
    seen: set[str] = set()
    for reading in _all(sweep):
        if reading.name not in seen:
            seen.add(reading.name)
            yield reading


def _all(sweep: Sweep) -> Iterator[Reading]:
    for model in sweep.models:
        if model.pretrain is not None:
            yield Reading(model.pretrain.task, "train")
            yield Reading(model.pretrain.task, "selection")
    for arm in sweep.arms:
        for task in arm.tasks:
            yield Reading(task, "train")
            yield Reading(task, "selection")
        if arm.mlm:
            yield Reading(arm.mlm.task, "train")
    for target in sweep.targets:
        if target.trained:
            yield Reading(target.task, "train")
            yield Reading(target.task, "selection")
        for language in target.languages:
            yield Reading(target.task, "test", language)
