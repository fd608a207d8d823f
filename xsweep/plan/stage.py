"""A stage: one unit of work whose every input is decided, and the content key that names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from xsweep.models.model import Model
from xsweep.spec.sweep import Layout, Mixture, Training
from xsweep.store.keys import content_key
from xsweep.tasks.task import Task

Kind = Literal["pretrain", "intermediate", "target", "evaluate"]

Work = Literal["pretrain", "intermediate trials", "target trials", "intermediate", "target", "evaluate"]
"""The same as a plan counts them: trials apart."""


def trial_work(kind: Kind) -> Work:
    """What a trial's stage of a kind is counted as."""
    return "intermediate trials" if kind == "intermediate" else "target trials"


TRAINING_VERSION = 2
"""Semantic version of the training code: raised when a change to it changes results."""


_KEYED = {"name", "format", "labels", "metric", "max_length", "stride"}
"""Fields of a task that results depend on beside its rows; for retrieval, ``pool`` too."""


@dataclass(frozen=True)
class Hyper:
    """What a study decides for one training stage, or, where it is joint, for two."""

    lr: float
    epochs: int
    until: int | None = None
    """The epoch after which a trial's run is stopped to be compared with others; None runs to the end."""
    before: Hyper | None = None
    """In a joint search, the same of the intermediate stage. Its key tells it, so it is in no other one."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Hyper:
        """What a decision tells of a trial, or of what it chose."""
        before = told.get("before")
        return cls(told["lr"], told["epochs"], told.get("until"), cls.of(before) if before else None)

    def told(self) -> dict[str, Any]:
        """The same as a decision tells it; what says nothing is left out."""
        return {**_hyper_payload(self), **({"before": self.before.told()} if self.before else {})}

    def __str__(self) -> str:
        """For people."""
        stopped = f"{self.until} of " if self.until else ""
        after = f"{self.before}, then " if self.before else ""
        return f"{after}lr {self.lr:g}, {stopped}{self.epochs} epochs"


@dataclass(frozen=True)
class Stage:
    """One unit of work with every input decided.

    ``prints`` maps the splits it reads ("train/NAME", "selection/NAME", "test/NAME/LANGUAGE", NAME a
    task) to their fingerprints; ``parent`` is the key of the stage whose weights it starts from.
    An ``evaluate`` stage trains nothing: it scores its parent, or the model as it comes, in ``languages``.
    ``score_examples`` bounds the rows behind each score: per language for it, of the English selection for the others.
    """

    kind: Kind
    model: Model
    model_print: str
    tasks: tuple[Task, ...]
    prints: Mapping[str, str]
    training: Training
    seed: int
    hyper: Hyper | None = None
    examples: int | None = None
    parent: str | None = None
    languages: tuple[str, ...] = ()
    score_examples: int | None = None
    mixture: Mixture | None = None
    """How ``tasks`` are trained on together; None for one task, or several pooled into one."""
    shuffled: bool = False
    """Its training labels are shuffled: a control."""
    matches: str | None = None
    """Key of the intermediate stage whose steps this longer target stage makes up for: a control. Part of the key, so
    that a control is a run of its own even where it comes to as many epochs as another."""

    def payload(self) -> dict[str, Any]:
        """What the key is made of; names of models and arms are for people and stay out."""
        # Left out where they say nothing, so that keys from before there were any stay as they were.
        mixture = _mixture_payload(self.mixture) if self.mixture else None
        added = {"shuffled": self.shuffled, "matches": self.matches, "mixture": mixture}
        return {
            "version": TRAINING_VERSION,
            "kind": self.kind,
            "model": {"print": self.model_print, "pooling": self.model.pooling},
            "tasks": [_task_payload(task) for task in self.tasks],
            "prints": dict(self.prints),
            "training": _training_payload(self.training),
            "seed": self.seed,
            "hyper": None if self.hyper is None else _hyper_payload(self.hyper),
            "examples": self.examples,
            "parent": self.parent,
            "languages": list(self.languages),
            "score_examples": self.score_examples,
            **{name: value for name, value in added.items() if value},
        }

    @cached_property
    def key(self) -> str:
        """Content key of the stage: equal inputs, equal key, on any machine."""
        return content_key(self.payload())

    @cached_property
    def beginning(self) -> str:
        """Key of what it has in common, up to some step, with runs that differ in where they end alone.

        With the linear schedule those are the runs of as many epochs that are stopped earlier or later; with ``wsd``,
        where the rate is constant until a run nears its end, those of fewer and of more epochs too.
        """
        payload = self.payload()
        assert self.hyper is not None
        epochs = None if self.training.schedule == "wsd" else self.hyper.epochs
        return content_key({**payload, "hyper": {"lr": self.hyper.lr, "epochs": epochs}, "beginning": True})

    @property
    def end(self) -> int:
        """The epoch, from 1, with which it ends."""
        assert self.hyper is not None
        return self.hyper.until or self.hyper.epochs


def _training_payload(training: Training) -> dict[str, Any]:
    """The recipe; what it does not use is left out where there was no such choice before."""
    gone = {"schedule", "cooldown"} if training.schedule == "linear" else set()
    return training.model_dump(mode="json", exclude=gone if training.lora else gone | {"lora"})


def _hyper_payload(hyper: Hyper) -> dict[str, Any]:
    until = {} if hyper.until is None else {"until": hyper.until}
    return {"lr": hyper.lr, "epochs": hyper.epochs, **until}


def _task_payload(task: Task) -> dict[str, Any]:
    """What a task adds to its rows, whose fingerprints stand beside it."""
    payload = task.model_dump(mode="json", include=_KEYED | ({"pool"} if task.format == "retrieval" else set()))
    # Left out where it says nothing new, so that keys from before there was a choice stay as they were.
    return payload if task.scoring == "squad" else {**payload, "scoring": task.scoring}


def _mixture_payload(mixture: Mixture) -> dict[str, Any]:
    payload = mixture.model_dump(mode="json", exclude={"mlm"})
    mlm = mixture.mlm
    return {**payload, "mlm": {"task": _task_payload(mlm.task), "ratio": mlm.ratio} if mlm else None}


@dataclass(frozen=True)
class Job:
    """Stages that one worker group runs in a row, each on the model that the one before left in memory.

    ``keep`` names the keys whose weights are written out. The first stage's parent, if it has one, must
    lie in the store with its weights.
    """

    stages: tuple[Stage, ...]
    keep: frozenset[str] = field(default_factory=frozenset)
    layout: Layout = field(default_factory=Layout)
    """How it is laid on the machine; part of no key."""
    begins: bool = False
    """Whether the last stage leaves its beginning in the store, for runs that go further."""
    lost: float = 0.0
    """Seconds of attempts at it in this launch whose worker died or ran out of memory."""
    ancestors: tuple[Stage, ...] = ()
    """What the first stage descends from, the eldest first: run again only where their weights turn out damaged."""

    @property
    def key(self) -> str:
        """The key of the last stage, which is the one that was asked for."""
        return self.stages[-1].key
