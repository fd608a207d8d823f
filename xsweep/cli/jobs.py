"""`submit`, `jobs`, `logs` and `stop`: sweeps as jobs of a Ray cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xsweep import errors
from xsweep.cli.app import app
from xsweep.cli.options import Json, SweepFile, load

if TYPE_CHECKING:
    from xsweep.engine.jobs import Job, JobServer

Address = Annotated[
    str,
    typer.Option(
        "--address", envvar="RAY_API_SERVER_ADDRESS", help="The cluster's dashboard, such as http://127.0.0.1:8265."
    ),
]
JobName = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, or a sweep's file or name for its latest.")]
HERE = "http://127.0.0.1:8265"
"""Where `ray dashboard cluster.yaml` brings a cluster's dashboard."""


@app.command()
def submit(
    sweep: SweepFile,
    store: Annotated[
        str,
        typer.Option(
            "--store", envvar="XSWEEP_STORE", help="Where results go: a folder that every node sees, or s3://..."
        ),
    ],
    address: Address = HERE,
    tracking: Annotated[
        str | None,
        typer.Option("--tracking", help="MLflow store as the cluster reaches it; else the nodes' own setting."),
    ] = None,
    mirror: Annotated[
        list[str] | None, typer.Option("--mirror", help="Mirror folder on every node of the cluster. Repeatable.")
    ] = None,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds that the run waits for nodes.")] = 1800.0,
    follow: Annotated[bool, typer.Option("--follow", help="Print its log until it ends; exit as it does.")] = False,
    show: Annotated[
        Literal["rayjob"] | None, typer.Option("--print", help="Write a KubeRay manifest instead, and ask nobody.")
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", help="With --print: an image that holds xsweep and its Ray.")
    ] = None,
) -> None:
    """Run a sweep as a job of a cluster, or go on with it. '$NAME' stands for a variable of the cluster's nodes.

    Example: xsweep submit sweeps/pilot.yaml --store s3://bucket/runs --follow
    """
    from xsweep.engine.jobs import JobServer
    from xsweep.engine.submit import Submission, gangs_of
    from xsweep.engine.submit import submit as submit_to

    spec = load(sweep)
    submission = Submission(spec.name, sweep, Path.cwd(), store, tracking, tuple(mirror or ()), wait)
    gangs = gangs_of(spec)
    if show:
        from xsweep.engine.rayjob import manifest

        typer.echo(manifest(submission, spec, gangs, image), nl=False)
        return
    server = JobServer(address)
    job, new = submit_to(server, submission, gangs, attach=follow)
    typer.echo(f"{job.id}: {'submitted' if new else 'runs already; following it'}")
    if follow:
        _follow(server, job)
    else:
        typer.echo(
            f"follow:  xsweep logs -f {job.id} --address {address}\nend:     xsweep stop {job.id} --address {address}"
        )


@app.command()
def jobs(address: Address = HERE, as_json: Json = False) -> None:
    """The sweeps that were submitted to a cluster, the latest first.

    Example: xsweep jobs --address http://127.0.0.1:8265
    """
    from xsweep.engine.jobs import JobServer
    from xsweep.tasks.catalog.show import aligned

    found = JobServer(address).jobs()
    if as_json:
        from xsweep.cli.outputs import echo

        shown = ("id", "sweep", "store", "status", "start", "end")
        code = [job.code if job.ended else None for job in found]
        echo("jobs", [{n: getattr(j, n) for n in shown} | {"code": c} for j, c in zip(found, code, strict=True)])
        return
    rows = [(j.id, j.sweep, j.status.lower(), _when(j), str(j.code) if j.ended else "", j.store) for j in found]
    typer.echo(aligned([("job", "sweep", "status", "started (UTC)", "exit", "store"), *rows]))


@app.command()
def logs(
    job: JobName,
    address: Address = HERE,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until it ends; exit as it does.")] = False,
) -> None:
    """What a job has printed.

    Example: xsweep logs -f sweeps/pilot.yaml
    """
    server, found = _job(job, address)
    if follow:
        _follow(server, found)
    else:
        typer.echo(server.logs(found), nl=False)


@app.command()
def stop(job: JobName, address: Address = HERE) -> None:
    """End a job as Ctrl+C would: what has ended is kept, and submitting again goes on.

    Example: xsweep stop sweeps/pilot.yaml
    """
    server, found = _job(job, address)
    if not found.ended:
        found = server.stop(found)
    typer.echo(found.said)


def job_status(name: str, address: str) -> None:
    """How a job is, and the last line that it has printed."""
    server, job = _job(name, address)
    last = next((line for line in reversed(server.logs(job).splitlines()) if line.strip()), "")
    typer.echo(f"{job.said}; started {_when(job)} UTC\n{last}")


def _follow(server: JobServer, job: Job) -> None:
    try:
        ended = server.follow(job, lambda text: typer.echo(text, nl=False))
    except KeyboardInterrupt:
        typer.echo(f"{job.id} goes on; end it: xsweep stop {job.id} --address {server.address}", err=True)
        raise typer.Exit(errors.CtrlC.exit_code) from None
    if ended.code:
        typer.echo(ended.said, err=True)
        raise typer.Exit(ended.code)


def _job(name: str, address: str) -> tuple[JobServer, Job]:
    from xsweep.engine.jobs import JobServer

    wanted = load(Path(name)).name if Path(name).is_file() else name
    server = JobServer(address)
    return server, server.find(wanted)


def _when(job: Job) -> str:
    return job.start.strftime("%Y-%m-%d %H:%M:%S") if job.start else ""
