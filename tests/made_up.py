"""A made-up sweep with known gains: what tracking, analysis and report are tested on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import product
from typing import Any

import polars as pl

from xsweep.analysis.frame import frame_of
from xsweep.models.model import Model
from xsweep.plan.records import Record, family
from xsweep.plan.stage import Hyper
from xsweep.spec.sweep import Arm, IntRange, LogUniform, Search, Space, Sweep, Target
from xsweep.store.keys import content_key
from xsweep.store.manifests import Manifest, Status
from xsweep.tasks.task import Data, Task
from xsweep.tracking.frames import scores_from_records

SMALL = Model(name="small", path="small", ladder="made-up", params=100_000_000, embedding_params=90_000_000)
LARGE = Model(name="large", path="large", ladder="made-up", params=560_000_000, embedding_params=250_000_000)
LANGUAGES = ("de", "en", "sw")

GAINS = {"snli": 2.0, "anli": 1.0, "squad": 0.5}
"""Gain of each arm in languages other than English, in points, before the seed's own part."""
FAMILIES = {"none": "none", "snli": "nli", "anli": "nli", "squad": "qa"}

Cell = tuple[str, str, str | None, int]
"""Model, arm, target, seed."""


def task(name: str, family: Any = "nli") -> Task:
    data = (Data(dataset=f"made-up/{name}", split="train"),)
    kind: dict[str, Any] = (
        {"format": "span", "metric": "f1"} if family == "qa" else {"format": "pair", "metric": "accuracy"}
    )
    return Task(name=name, family=family, train=data, selection=data, languages=LANGUAGES, **kind)


def sweep(models: Sequence[Model] = (SMALL, LARGE), seeds: Sequence[int] = (1, 2, 3), **changes: Any) -> Sweep:
    space = Space(trials=2, lr=LogUniform(low=1e-5, high=1e-3), epochs=IntRange(low=1, high=3))
    arms = [Arm(name=name, tasks=() if name == "none" else (task(name, family),)) for name, family in FAMILIES.items()]
    targets = [
        Target(task=task(name, family), languages=LANGUAGES) for name, family in (("xnli", "nli"), ("xquad", "qa"))
    ]
    declared: dict[str, Any] = {
        "name": "made-up", "models": models, "arms": arms, "targets": targets, "seeds": seeds,
        "search": Search(intermediate=space, target=space),
    }  # fmt: skip
    return Sweep(**declared | changes)


CONTROLS = {"snli-shuffled": 0.25, "longer": 0.5}
"""Gain of each control, in every language and with every seed."""


def controlled(**changes: Any) -> Sweep:
    """The sweep with an arm that learns from shuffled labels, and a baseline as long as an arm."""
    plain = sweep(**changes)
    shuffled = Arm(name="snli-shuffled", tasks=(task("snli"),), control="shuffled-labels", family="control")
    longer = Arm(name="longer", control="compute-matched", of="snli", family="control")
    return plain.model_copy(update={"arms": (*plain.arms, shuffled, longer)})


def controlled_score(model: str, arm: str, target: str, seed: int, language: str) -> float:
    """The same scores; a control's are the baseline's and its gain."""
    if arm in CONTROLS:
        return score(model, "none", target, seed, language) + CONTROLS[arm]
    return score(model, arm, target, seed, language)


def score(model: str, arm: str, target: str, seed: int, language: str) -> float:
    """Base score by language and model; the arm adds its gain, and 0.25 points per seed above the second."""
    base = {"de": 60.0, "en": 80.0, "sw": 50.0}[language] + (5.0 if model == "large" else 0.0) + seed
    if arm == "none":
        return base
    return base + (0.75 if language == "en" else GAINS[arm] + 0.25 * (seed - 2))


def records(
    of: Sweep,
    missing: Collection[Cell] = (),
    statuses: dict[tuple[str, Cell], Status] | None = None,
    same_data: Collection[tuple[str, str]] = (),
    scores: Callable[[str, str, str, int, str], float | None] = score,
) -> list[Record]:
    """Every record of the sweep; cells in ``missing`` have not run, ``statuses`` sets (kind, cell) -> status."""
    chosen = statuses or {}
    found: list[Record] = []

    def add(kind: Any, role: Any, cell: Cell, parent: str | None, trial: int | None = None, **metrics: Any) -> str:
        model = next(m for m in of.models if m.name == cell[0])
        key = content_key({"cell": list(cell), "kind": kind, "trial": trial})
        status = chosen.get((kind, cell), "ok")
        reason = "" if status == "ok" else f"made to end {status}"
        versions, timings = (
            {"torch": "2.13.0", "xsweep": "0.1.0"},
            {"load": 0.5, "train": 10.0, "tokens_per_second": 900.0},
        )
        ended = Manifest(
            key=key,
            kind=kind,
            status=status,
            reason=reason,
            parent=parent,
            versions=versions,
            timings=timings,
            metrics=metrics,
        )
        target = next((t.task for t in of.targets if t.name == cell[2]), None)
        arm = next(a for a in of.arms if a.name == cell[1])
        metric = (target or arm.tasks[0]).metric
        record = Record(
            key=key,
            kind=kind,
            role=role,
            model=model,
            arm=cell[1],
            family=family(arm),
            target=cell[2],
            seed=cell[3],
            hyper=Hyper(3e-5, 2),
            study=None if trial is None else f"study-{cell[:3]}",
            trial=trial,
            manifest=None if cell in missing else ended,
            same_data=(cell[1], cell[2]) in same_data,
            metric=metric,
        )
        found.append(record)
        return key

    epochs = [{"epoch": 1, "loss": 1.1, "accuracy": 50.0}, {"epoch": 2, "loss": 0.9, "accuracy": 61.0}]
    dev: dict[str, Any] = {"dev": epochs, "score": 61.0}
    for model, arm in product(of.models, of.arms):
        for target in (None, *(target.name for target in of.targets)):
            for trial in range(2) if arm.tasks or (target and arm.name == "none") else ():
                kind = "target" if target else "intermediate"
                add(kind, "search", (model.name, arm.name, target, 0), None, trial, **dev)
        for seed in of.seeds:
            before = (model.name, arm.name, None, seed)
            parent = add("intermediate", "report", before, None, **dev) if arm.tasks else None
            for goal in of.targets:
                cell = (model.name, arm.name, goal.name, seed)
                trained = add("target", "report", cell, parent, **dev)
                value = {code: scores(model.name, arm.name, goal.name, seed, code) for code in goal.languages}
                test = {code: {goal.task.metric: v, "n": 300} for code, v in value.items()}
                add("evaluate", "report", cell, trained, test=test)
    return found


def frame(of: Sweep, **how: Any) -> pl.DataFrame:
    """FRAME of the made-up sweep; ``how`` as for ``records``."""
    made = records(of, **how)
    return frame_of(of, made, scores_from_records(made))
