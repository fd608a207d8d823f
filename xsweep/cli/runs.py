"""`run`, `status`, `report`, `sync`, `ui` and `gc`: a sweep and what it leaves."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xsweep import console, errors
from xsweep.cli.app import app
from xsweep.cli.jobs import job_status
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
    resolver_from_cache,
    sources_of,
    verified,
)

if TYPE_CHECKING:
    from xsweep.engine.run import Outcome
    from xsweep.report.page import Report


@app.command()
def run(
    sweep: SweepFile,
    store: StoreFolder = DEFAULT_STORE,
    mirror: Mirrors = None,
    tracking: Tracking = None,
    address: ClusterAddress = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for a cluster's GPUs and cores to be enough.")
    ] = 300.0,
    as_json: Json = False,
) -> None:
    """Run a sweep, or go on with it, then write its report.

    Example: xsweep run sweeps/pilot.yaml --mirror DIR
    """
    campaign = campaign_of(sweep, store, mirror, tracking)
    with redirect_stdout(sys.stderr) if as_json else nullcontext(), console.watching() as watch:
        outcome, written = campaign.launch(address, watch, wait)
    if as_json:
        from xsweep.cli.outputs import echo

        told = {name: getattr(outcome, name) for name in ("complete", "cells", "done", "ran", "failed", "seconds")}
        echo("run", {"sweep": campaign.sweep.name, **told, **_written(written)})
    else:
        _say(outcome, written, f"xsweep ui --store {store}" + (f" --tracking {tracking}" if tracking else ""))
    if not outcome.complete:
        raise typer.Exit(errors.INCOMPLETE)


def _written(report: Report) -> dict[str, str]:
    return {"finding": report.finding, "report": str(report.page)}


def _say(outcome: Outcome, written: Report, ui: str) -> None:
    for label, reason in outcome.failed.items():
        typer.echo(f"failed   {label}: {reason}", err=True)
    typer.echo(f"done:    {outcome.done} of {outcome.cells} cells scored; {outcome.ran} stages ran now.")
    typer.echo(console.where_the_time_went(outcome.seconds))
    typer.echo(f"found:   {written.finding}")
    typer.echo(f"report:  {written.page}")
    typer.echo(f"MLflow:  {ui}")
    if outcome.failed and outcome.logs:
        typer.echo(f"logs:    {outcome.logs}")


@app.command()
def status(
    sweep: SweepFile,
    store: StoreFolder = DEFAULT_STORE,
    mirror: Mirrors = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Ask a cluster for its job instead: the dashboard's URL.")
    ] = None,
    as_json: Json = False,
) -> None:
    """How far a sweep is, and what failed.

    Example: xsweep status sweeps/pilot.yaml
    Or: xsweep status xsweep-pilot-1 --address http://127.0.0.1:8265
    """
    if address is not None:
        if as_json:
            raise errors.UsageError("status --address says it in words; for scripts: xsweep jobs --json")
        job_status(str(sweep), address)
        return
    from xsweep.plan.cells import build_plan
    from xsweep.plan.show import status_rows, status_text
    from xsweep.store.store import Store

    built = build_plan(load(sweep))
    resolver = resolver_from_cache(built, Store(store), sources_of(mirror))
    if as_json:
        from xsweep.cli.outputs import echo

        echo("status", status_rows(built, resolver))
    else:
        typer.echo(status_text(built, resolver))


@app.command()
def report(
    sweep: Annotated[Path | None, typer.Argument(metavar="SWEEP", help="The sweep file; or else --scores.")] = None,
    store: StoreFolder = DEFAULT_STORE,
    mirror: Mirrors = None,
    tracking: Tracking = None,
    scores: Annotated[
        Path | None, typer.Option("--scores", help="Scores from elsewhere instead: a tidy CSV or Parquet file.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the report of --scores.")] = None,
    as_json: Json = False,
) -> None:
    """Write the report again from what is tracked, or of scores from elsewhere, without training anything.

    Example: xsweep report sweeps/pilot.yaml
    Or: xsweep report --scores scores.csv --out report
    """
    if (sweep is None) == (scores is None) or (scores is None) != (out is None):
        raise errors.UsageError("report takes a SWEEP, or else --scores FILE and --out DIR")
    if sweep is not None:
        campaign = campaign_of(sweep, store, mirror, tracking)
        written = campaign.report(campaign.survey())
    elif scores is not None and out is not None:
        from xsweep.analysis.scores_file import read_scores
        from xsweep.report.page import write_scores_report

        command = f"xsweep report --scores {shlex.quote(str(scores))} --out {shlex.quote(str(out))}"
        frame = read_scores(scores)
        if all(score is None or score <= 1 for score in frame["score"]):
            typer.echo(f"{scores}: no score is above 1; they are taken as points, from 0 to 100", err=True)
        written = write_scores_report(out, frame, scores.name, command)
    if as_json:
        from xsweep.cli.outputs import echo

        echo("report", _written(written))
    else:
        typer.echo(f"found:   {written.finding}\nreport:  {written.page}")


@app.command()
def sync(
    sweep: SweepFile, store: StoreFolder = DEFAULT_STORE, mirror: Mirrors = None, tracking: Tracking = None
) -> None:
    """Replay the store into MLflow; what is there already is left alone.

    Example: xsweep sync sweeps/pilot.yaml --tracking http://127.0.0.1:5000
    """
    campaign = campaign_of(sweep, store, mirror, tracking)
    typer.echo(f"{campaign.sync(campaign.survey())} runs written to {campaign.tracking}")


@app.command()
def ui(store: StoreFolder = DEFAULT_STORE, tracking: Tracking = None, port: int = 5000) -> None:
    """MLflow's UI on the sweep's tracking store, on this machine only.

    Example: xsweep ui --store runs
    """
    from xsweep.store.store import Store
    from xsweep.tracking.client import shown, tracking_of

    uri = tracking_of(tracking, Store(store).root)
    if uri.startswith(("http://", "https://")):
        typer.echo(f"A server has the runs; open {shown(uri)}")
        return
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    os.execv(sys.executable, [*command, "--port", str(port)])


@app.command()
def gc(
    sweep: SweepFile,
    store: StoreFolder = DEFAULT_STORE,
    mirror: Mirrors = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and keep it.")] = False,
) -> None:
    """Remove the weights of a sweep that nothing unfinished starts from; results stay, and a run makes weights anew.

    Example: xsweep gc sweeps/pilot.yaml --dry-run
    """
    from xsweep.plan.garbage import collect_garbage
    from xsweep.store.store import Store

    removed = collect_garbage(verified(sweep, Store(store), mirror), dry_run=dry_run)
    typer.echo(f"{'would free' if dry_run else 'freed'} {removed.bytes:,} bytes: {removed}")
