"""`init`, `check`, `plan` and `diff`: what is said of a sweep file before anything runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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


@app.command()
def init(
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="The file to write, such as sweeps/mine.yaml.")],
) -> None:
    """Write a commented sweep file to start from.

    Example: xsweep init sweeps/mine.yaml
    """
    if sweep.exists():
        raise errors.UsageError(f"{sweep}: there is such a file already; choose another name")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", sweep.stem).lstrip("._-")[:64] or "sweep"
    text = Path(__file__).parents[1].joinpath("init.yaml").read_text("utf-8")
    try:
        sweep.parent.mkdir(parents=True, exist_ok=True)
        sweep.write_text(text.replace("NAME\n", f"{name}\n", 1).replace("FILE", str(sweep)), "utf-8")
    except OSError as error:
        raise errors.UsageError(f"{sweep}: cannot be written ({error.strerror})") from error
    typer.echo(f"{sweep}: written. Edit it, then: xsweep check {sweep}")


@app.command()
def check(sweep: SweepFile, data: Annotated[bool, typer.Option("--data", help="Load every split too.")] = False,
          mirror: Mirrors = None) -> None:  # fmt: skip
    """Every error in a sweep file, with line and column; with --data, in its data too.

    Example: xsweep check sweeps/pilot.yaml
    """
    spec = load(sweep)
    typer.echo(f"{sweep}: fine. {_summary(spec)}")
    if data:
        from xsweep.engine.audit import audit, audit_text
        from xsweep.engine.survey import checked_print

        sources = sources_of(mirror)
        found = audit(spec, sources)
        typer.echo(audit_text(found))
        if found.faults:
            raise errors.DataError("\n".join(found.faults))
        for model in spec.models:
            typer.echo(f"model {model.name}  {checked_print(spec, model, sources)[:16]}")


@app.command()
def plan(sweep: SweepFile, store: StoreFolder = DEFAULT_STORE, mirror: Mirrors = None, as_json: Json = False) -> None:
    """What will run, what is shared, what is done already, and what it costs.

    Example: xsweep plan sweeps/pilot.yaml
    """
    from xsweep.plan.cells import build_plan
    from xsweep.plan.show import plan_rows, plan_text
    from xsweep.store.store import Store

    built = build_plan(load(sweep))
    resolver = resolver_from_cache(built, Store(store), sources_of(mirror))
    typer.echo(json.dumps(plan_rows(built, resolver)) if as_json else plan_text(built, resolver))


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
    from dataclasses import asdict

    from xsweep.engine.diff import diff as changes_of
    from xsweep.engine.diff import diff_text
    from xsweep.store.store import Store

    resolvers = [verified(file, Store(store), mirror) for file in (old, new)]
    changes = changes_of(*resolvers)
    typer.echo(json.dumps([asdict(change) for change in changes]) if as_json else diff_text(changes))


def _summary(spec: Sweep) -> str:
    from xsweep.plan.cells import build_plan

    built = build_plan(spec)
    return (
        f"{len(spec.models)} models, {len(spec.arms)} arms, {len(spec.targets)} targets, {len(spec.seeds)} seeds: "
        f"{len(built.cells)} cells, {sum(map(len, built.levels))} studies."
    )
