"""What commands print with ``--json``: the contract that scripts lean on, checked as it is printed.

``xsweep schema COMMAND`` gives it as JSON schema. Fields may come; none is renamed or goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import typer
from pydantic import BaseModel, ConfigDict, TypeAdapter

from xsweep.engine.audit import Looked
from xsweep.engine.diff import Change
from xsweep.errors import Problem
from xsweep.models.model import Model
from xsweep.plan.hours import Price
from xsweep.plan.levers import Price as Lever
from xsweep.plan.nodes import Held
from xsweep.plan.power import Resolvable
from xsweep.spec.schema import DIALECT, Schema, declarations, describe
from xsweep.tasks.task import Task


class Output(BaseModel):
    """One JSON object on standard output; all else that a command says goes to standard error."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)


class Size(Output):
    """What a sweep comes to."""

    models: int
    arms: int
    targets: int
    seeds: int
    cells: int
    """Reporting cells: models x arms x targets x seeds, without what cannot be."""
    studies: int


class Check(Output):
    """``xsweep check``. Exit code 2 with ``problems``, 3 with ``faults``, else 0."""

    file: str
    ok: bool
    problems: list[Problem] = []
    """All that is wrong with the file, in its order."""
    size: Size | None = None
    """None of a file that is wrong."""
    splits: list[Looked] | None = None
    """With ``--data``: each split as it was found."""
    faults: list[str] = []
    """With ``--data``: all that is wrong with the data."""
    models: dict[str, str] | None = None
    """With ``--data``: model -> fingerprint."""


class Stages(Output):
    """Stages of one kind."""

    stage: str
    needed: int
    """If every cell had its own."""
    runs: int
    """What is left after sharing."""
    done: int | None
    """Of those, in the store; None while data or models are unverified."""
    flops: float | None
    """Training FLOPs at most; None when unknown."""


class PlanOutput(Output):
    """``xsweep plan``. What is unknown is null."""

    sweep: str
    verified: bool
    """Whether data and models were read before, so that it is known what is done."""
    lines: list[Stages]
    models: list[Price]
    resolves: list[Resolvable]
    arms: list[str]
    """Mixtures in words."""
    assumed: list[str]
    """What the numbers rest on, in words."""
    levers: list[Lever]
    """The price with each lever after the other."""
    chain: int
    """Stages that wait for one another, however many run at once."""
    retained_bytes: int | None
    """Of weights in the store at the end."""
    nodes: list[Held] | None
    """With ``--cluster``: each model on each node type."""


class Failure(Output):
    """A stage that failed."""

    stage: str
    status: str
    reason: str


class JobEntry(Output):
    """A job of a cluster."""

    id: str
    sweep: str
    """Empty of a job that `xsweep submit` did not make."""
    store: str
    status: str
    """PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""
    start: datetime | None
    end: datetime | None
    code: int | None
    """The exit code that following it gives; None while it runs."""


class Status(Output):
    """``xsweep status``."""

    sweep: str
    cells: int
    done: int
    """Cells that have their scores."""
    failed: list[Failure]


class Run(Output):
    """``xsweep run``, once it has ended. Exit code 0 when complete, else 4."""

    sweep: str
    complete: bool
    cells: int
    done: int
    """Cells that have their scores."""
    ran: int
    """Stages that ran in this launch."""
    failed: dict[str, str]
    """Stage -> reason, of this launch."""
    seconds: dict[str, float]
    """Phase of this launch -> wall time."""
    finding: str
    """The answer, in one sentence."""
    report: str
    """Path of the page; tables lie beside it in ``tables/``."""


class ReportOutput(Output):
    """``xsweep report``."""

    finding: str
    """The answer, in one sentence."""
    report: str
    """Path of the page; tables lie beside it in ``tables/``."""


class TaskEntry(Task):
    """A task of the catalogue, and what follows from its entry."""

    covers: str
    """The languages scored, or that it is an intermediate only."""
    trains_on: str
    """Splits by hub id."""
    selects_on: str
    tests_on: str
    sources: list[str]
    """Data sets trained on, those held inside others included."""


class ModelEntry(Model):
    """A model of the catalogue, and what its family says."""

    kind: str
    norm: str
    positions: str
    cut: str
    """Where sharding cuts it."""
    trunk_params: int | None
    """Used parameters outside the word table."""


OUTPUTS: dict[str, Any] = {
    "check": Check,
    "plan": PlanOutput,
    "run": Run,
    "status": Status,
    "diff": list[Change],
    "jobs": list[JobEntry],
    "report": ReportOutput,
    "tasks": list[TaskEntry],
    "models": list[ModelEntry],
}
"""Command -> what it prints with ``--json``."""


def echo(command: str, value: Any) -> None:
    """Print what a command found as one line of JSON, once it is known to be as the schema says."""
    adapter: TypeAdapter[Any] = TypeAdapter(OUTPUTS[command])
    typer.echo(adapter.dump_json(adapter.validate_python(value)).decode())


def output_schema(command: str) -> Schema:
    """JSON schema of what a command prints."""
    kind = OUTPUTS[command]
    whole = TypeAdapter(kind).json_schema(mode="serialization")
    root = kind if isinstance(kind, type) else object
    describe(whole, root, _made_of())
    return {"$schema": DIALECT, **whole, "title": f"xsweep {command} --json"}


def _made_of() -> Iterable[type[Any]]:
    return [*declarations(), *Output.__subclasses__(), Problem, Looked, Price, Resolvable, Lever, Held, Change]
