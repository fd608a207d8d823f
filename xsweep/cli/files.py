"""`init`, `check`, `plan` and `diff`: what is said of a sweep file before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xsweep import errors
from xsweep.cli.app import app
from xsweep.cli.options import (
    DEFAULT_STORE,
    Json,
    Mirrors,
    StoreFolder,
    SweepFile,
    load,
    resolver_from_cache,
    sources_of,
    verified,
)

if TYPE_CHECKING:
    from xsweep.spec.sweep import Sweep
    from xsweep.tasks.source import Sources

PACKAGE = Path(__file__).parents[1]


@app.command()
def init(
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="The file to write, such as sweeps/mine.yaml.")],
    example: Annotated[
        str | None, typer.Option("--example", help="Copy this sweep that comes with xsweep, such as quickstart.")
    ] = None,
) -> None:
    """Write a commented sweep file to start from.

    Example: xsweep init sweeps/mine.yaml
    Or: xsweep init quickstart.yaml --example quickstart
    """
    if sweep.exists():
        raise errors.UsageError(f"{sweep}: there is such a file already; choose another name")
    if example is None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", sweep.stem).lstrip("._-")[:64] or "sweep"
        text = PACKAGE.joinpath("init.yaml").read_text("utf-8")
        text = text.replace("NAME\n", f"{name}\n", 1).replace("FILE", str(sweep))
    else:
        text = _example(example)
    try:
        sweep.parent.mkdir(parents=True, exist_ok=True)
        sweep.write_text(text, "utf-8")
    except OSError as error:
        raise errors.UsageError(f"{sweep}: cannot be written ({error.strerror})") from error
    typer.echo(f"{sweep}: written. Edit it, then: xsweep check {sweep}")


def _example(name: str) -> str:
    """A sweep that comes with the package, or in a checkout lies beside it."""
    from xsweep.spec.words import did_you_mean

    shipped = [*PACKAGE.parent.glob("sweeps/*.yaml"), *PACKAGE.glob("sweeps/*.yaml")]
    found = {path.stem: path for path in shipped}
    if name not in found:
        raise errors.UsageError(f"there is no example {name!r}{did_you_mean(name, found)}")
    return found[name].read_text("utf-8")


@app.command()
def check(sweep: SweepFile, data: Annotated[bool, typer.Option("--data", help="Load every split too.")] = False,
          mirror: Mirrors = None, as_json: Json = False) -> None:  # fmt: skip
    """Every error in a sweep file, with line and column; with --data, in its data too.

    Example: xsweep check sweeps/pilot.yaml
    """
    told: dict[str, Any] = {"file": str(sweep), "ok": False}
    say: Callable[[str], None] = (lambda _: None) if as_json else typer.echo
    try:
        spec = load(sweep)
        told["size"] = _size(spec)
        say(f"{sweep}: fine. {_summary(told['size'])}")
        if data:
            _look(spec, sources_of(mirror), told, say)
        told["ok"] = True
    except errors.SpecError as wrong:
        told["problems"] = wrong.problems
        raise
    finally:
        if as_json:
            from xsweep.cli.outputs import echo

            echo("check", told)


@app.command()
def plan(
    sweep: SweepFile,
    store: StoreFolder = DEFAULT_STORE,
    mirror: Mirrors = None,
    cluster: Annotated[
        Path | None,
        typer.Option("--cluster", help="Which node types of this cluster file of Ray's hold each model, at what cost."),
    ] = None,
    as_json: Json = False,
) -> None:
    """What will run, what is shared, what is done already, and what it costs.

    Example: xsweep plan sweeps/pilot.yaml
    Or: xsweep plan sweeps/nli_vs_qa.yaml --cluster cluster.yaml
    """
    from xsweep.plan.cells import build_plan
    from xsweep.plan.nodes import held_rows, held_text
    from xsweep.plan.show import plan_rows, plan_text
    from xsweep.spec.cluster import load_nodes
    from xsweep.store.store import Store

    built = build_plan(load(sweep))
    nodes = [] if cluster is None else load_nodes(cluster)
    resolver = resolver_from_cache(built, Store(store), sources_of(mirror))
    held = held_rows(built, resolver, nodes) if nodes else None
    if as_json:
        from xsweep.cli.outputs import echo

        echo("plan", {**plan_rows(built, resolver), "nodes": held})
    else:
        typer.echo(plan_text(built, resolver) + (f"\n\n{held_text(held, nodes)}" if held else ""))


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A sweep file.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The same after an edit.")],
    store: StoreFolder = DEFAULT_STORE,
    mirror: Mirrors = None,
    as_json: Json = False,
) -> None:
    """What an edit of a sweep file would train: NEW against OLD and against what the store has.

    Example: xsweep diff sweeps/pilot.yaml sweeps/pilot-2.yaml
    """
    from xsweep.engine.diff import diff as changes_of
    from xsweep.engine.diff import diff_text
    from xsweep.store.store import Store

    resolvers = [verified(file, Store(store), mirror) for file in (old, new)]
    changes = changes_of(*resolvers)
    if as_json:
        from xsweep.cli.outputs import echo

        echo("diff", changes)
    else:
        typer.echo(diff_text(changes))


def _size(spec: Sweep) -> dict[str, int]:
    from xsweep.plan.cells import build_plan

    built = build_plan(spec)
    parts = {"models": spec.models, "arms": spec.arms, "targets": spec.targets, "seeds": spec.seeds}
    return {**{name: len(of) for name, of in parts.items()}, "cells": len(built.cells), "studies": len(built.searches)}


def _summary(size: dict[str, int]) -> str:
    counts = [f"{count} {name}" for name, count in size.items()]
    return f"{', '.join(counts[:4])}: {', '.join(counts[4:])}."


def _look(spec: Sweep, sources: Sources, told: dict[str, Any], say: Callable[[str], None]) -> None:
    """Look at all data and models, and add to ``told`` what was found; raises ``DataError`` with every fault."""
    from xsweep.engine.audit import audit, audit_text
    from xsweep.engine.survey import checked_print

    found = audit(spec, sources)
    told |= {"splits": found.splits, "faults": found.faults}
    say(audit_text(found))
    if found.faults:
        raise errors.DataError("\n".join(found.faults))
    told["models"] = {model.name: checked_print(spec, model, sources) for model in spec.models}
    for name, digest in told["models"].items():
        say(f"model {name}  {digest[:16]}")
