"""A record: one stage of a sweep as tracking and analysis see it, ended or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xsweep.models.model import Model
from xsweep.plan.cells import BASELINE, Cell, Role
from xsweep.plan.resolve import Resolver
from xsweep.plan.stage import Hyper, Kind, Stage, Work, trial_work
from xsweep.spec.sweep import Arm
from xsweep.store.manifests import Manifest
from xsweep.tasks.catalog import sources_of


@dataclass(frozen=True)
class Record:
    """One stage of a sweep. ``manifest`` is None while it has not ended, ``key`` while it is undecided."""

    key: str | None
    kind: Kind
    role: Role
    model: Model
    arm: str
    family: str
    target: str | None
    seed: int
    hyper: Hyper | None
    study: str | None = None
    """Address of the study, for trials."""
    trial: int | None = None
    manifest: Manifest | None = None
    same_data: bool = False
    """The arm and the target train on a common data set, its raw text too: kept out of the headline."""
    metric: str = ""
    """The task's metric that counts; ``mean`` over the tasks of a mixture."""
    serves: tuple[int, ...] = ()
    """Every reporting seed that the stage scores, where that is more than its own: a model as it comes has no seed."""
    repeat: int = 0
    """Which of the repeated searches it belongs to, or its configuration comes from; seeds of one share a search."""

    @property
    def judged(self) -> bool:
        """Whether a search judges its trials by this stage's score: not by an intermediate stage of a joint one."""
        return self.kind != "intermediate" or self.target is None

    @property
    def work(self) -> Work | None:
        """The row of the plan that it is counted in; None of a trial's earlier runs."""
        if self.role == "report":
            return self.kind
        return None if self.trial is None and self.role == "search" else trial_work(self.kind)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The reporting seeds whose cells this stage fills."""
        return self.serves or (self.seed,)


def collect(resolver: Resolver) -> list[Record]:
    """Every stage of the sweep: pretraining, trials of decided studies, then the stages behind each reporting cell."""
    with resolver.store.glance():
        return _collected(resolver)


def _collected(resolver: Resolver) -> list[Record]:
    plan = resolver.plan
    records = [record for model in plan.sweep.models for record in _pretrained(resolver, model.name)]
    records += [record for cell in plan.searches for record in _trials(resolver, cell)]
    for cell in plan.intermediates:
        records.append(_record(resolver, cell, "intermediate", resolver.intermediate(cell)))
    for cell in plan.cells:
        if plan.target(cell.target or "").trained:
            records.append(_record(resolver, cell, "target", resolver.target(cell)))
        records.append(_record(resolver, cell, "evaluate", resolver.evaluate(cell)))
    return records


def family(arm: Arm) -> str:
    """The arm's family, declared or derived; ``none`` for the baseline."""
    return arm.family or arm.derived_family or BASELINE


def _pretrained(resolver: Resolver, model: str) -> Iterator[Record]:
    stage = resolver.pretrained(model)
    if stage:
        yield _record(resolver, Cell(model, BASELINE, None, stage.seed, "report"), "pretrain", stage)


def _trials(resolver: Resolver, cell: Cell) -> Iterator[Record]:
    study = resolver.study(cell)
    decision = resolver.store.decision(study.address) if study else None
    if study is None or decision is None:
        return
    for trial in decision["trials"]:
        for before in resolver.trials(study, Hyper.of(trial))[:-1]:  # the first stage of a joint one
            yield _record(resolver, cell, "intermediate", before, study.address, trial["number"])
    # The earlier runs of a trial that went on, and a search that nothing is chosen by, spend without being trials.
    for told, counts in (("rungs", False), ("trials", not study.full)):
        for trial in decision.get(told, ()):
            stage, number = resolver.trial(study, Hyper.of(trial)), trial["number"] if counts else None
            yield _record(resolver, cell, study.kind, stage, study.address, number)


def _record(
    resolver: Resolver,
    cell: Cell,
    kind: Kind,
    stage: Stage | None,
    study: str | None = None,
    trial: int | None = None,
) -> Record:
    plan = resolver.plan
    arm = plan.arm(cell.arm)
    own = cell.target is not None and kind != "intermediate"
    tasks = (plan.target(cell.target or "").task,) if own else arm.tasks or (stage.tasks if stage else ())
    trained = resolver.target(cell) if kind == "evaluate" else stage
    common = own and any(sources_of(t) & sources_of(tasks[0]) for t in arm.reads)
    return Record(
        key=stage.key if stage else None,
        kind=kind,
        role=cell.role,
        model=resolver.model(cell.model),
        arm=cell.arm,
        family=family(arm),
        target=cell.target,
        seed=cell.seed,
        hyper=trained.hyper if trained else None,
        study=study,
        trial=trial,
        manifest=resolver.store.manifest(stage.key) if stage else None,
        same_data=common,
        metric="mean" if len(tasks) > 1 and arm.mixture else tasks[0].metric,
        serves=plan.sweep.seeds if kind == "evaluate" and plan.seedless(cell) else (),
        repeat=0 if kind == "pretrain" else plan.repeat(cell.seed),
    )
