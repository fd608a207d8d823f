"""`doctor` and `retry`: whether a sweep can run here, and what it could not do tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xsweep import errors
from xsweep.cli.app import app
from xsweep.cli.options import (
    DEFAULT_STORE,
    ClusterAddress,
    Json,
    Mirrors,
    StoreFolder,
    SweepFile,
    Tracking,
    campaign_of,
    load,
    sources_of,
)
from xsweep.cli.runs import run


@app.command()
def doctor(
    sweep: Annotated[Path | None, typer.Argument(metavar="SWEEP", help="A sweep file, to check what it needs.")] = None,
    store: StoreFolder = DEFAULT_STORE,
    mirror: Mirrors = None,
    tracking: Tracking = None,
    address: ClusterAddress = None,
    as_json: Json = False,
) -> None:
    """Check machine, versions, store, tracking, data and cluster, and say what to do; exit code 5 if something fails.

    Example: xsweep doctor sweeps/pilot.yaml --store runs
    """
    spec = load(sweep) if sweep else None
    from xsweep.doctor import examine, text
    from xsweep.store.store import Store
    from xsweep.tracking.client import tracking_of

    place = Store(store)
    checks = examine(spec, place, sources_of(mirror), tracking_of(tracking, place.root), address)
    if as_json:
        from xsweep.cli.outputs import echo

        echo("doctor", checks)
    else:
        typer.echo(text(checks))
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(errors.EnvironmentProblem.exit_code)


@app.command()
def retry(
    sweep: SweepFile,
    store: StoreFolder = DEFAULT_STORE,
    mirror: Mirrors = None,
    tracking: Tracking = None,
    address: ClusterAddress = None,
) -> None:
    """Run a sweep again, stages that diverged too. What failed is tried again by any run; what diverged by this alone.

    Example: xsweep retry sweeps/pilot.yaml
    """
    campaign = campaign_of(sweep, store, mirror, tracking)
    from xsweep.engine.retry import reopen
    from xsweep.plan.resolve import Resolver

    opened = reopen(Resolver(campaign.plan, campaign.survey(), campaign.store))
    typer.echo(f"retry:   {opened} diverged stages are tried again")
    run(sweep, store, mirror, tracking, address)
