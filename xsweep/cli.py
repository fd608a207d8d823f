"""The command line: parse, call one function, print. Every import that costs time waits for its command."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xsweep import console, errors

if TYPE_CHECKING:
    from xsweep.launch import Campaign
    from xsweep.spec.sweep import Sweep
    from xsweep.tasks.source import Sources

app = typer.Typer(
    name="xsweep",
    help="How much does English intermediate-task training still add to zero-shot transfer as models grow?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="The sweep file, such as sweeps/pilot.yaml.")]
StoreFolder = Annotated[Path, typer.Option("--store", envvar="XSWEEP_STORE", help="Folder that keeps every result.")]
Mirrors = Annotated[
    list[Path] | None,
    typer.Option("--mirror", help="Folder of data sets and models (ORG--NAME/...); then no hub is asked. Repeatable."),
]
Tracking = Annotated[
    str | None,
    typer.Option("--tracking", envvar="MLFLOW_TRACKING_URI", help="MLflow store; SQLite inside --store by default."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
DEFAULT_STORE = Path("runs")


def main() -> None:
    """Entry point of the ``xsweep`` command: users' mistakes become one plain line and an exit code."""
    code = _run_app()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a thread of Ray's that outlives the run must not choose the exit code


def _run_app() -> int:
    try:
        return int(app(standalone_mode=False) or errors.COMPLETE)
    except errors.XsweepError as error:
        typer.echo(str(error), err=True)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("stopped at once; run the same command again to go on.", err=True)
        return errors.CtrlC.exit_code
    except Exception as error:
        if getattr(error, "exit_code", None) == 2 and hasattr(error, "format_message"):  # click's usage errors
            typer.echo(f"{error.format_message()}\nTry `xsweep --help`.", err=True)
            return 2
        raise


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
    text = Path(__file__).with_name("init.yaml").read_text("utf-8")
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
    spec = _load(sweep)
    typer.echo(f"{sweep}: fine. {_summary(spec)}")
    if data:
        from xsweep.engine.audit import audit, audit_text
        from xsweep.engine.survey import checked_print

        sources = _sources(mirror)
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

    built = build_plan(_load(sweep))
    resolver = _resolver_from_cache(built, Store(store), _sources(mirror))
    typer.echo(json.dumps(plan_rows(built, resolver)) if as_json else plan_text(built, resolver))


@app.command()
def run(
    sweep: SweepFile,
    store: StoreFolder = DEFAULT_STORE,
    mirror: Mirrors = None,
    tracking: Tracking = None,
    address: Annotated[
        str | None,
        typer.Option("--address", envvar="RAY_ADDRESS", help="A Ray cluster; a private local one by default."),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for a cluster's GPUs and cores to be enough.")
    ] = 300.0,
) -> None:
    """Run a sweep, or go on with it, then write its report.

    Example: xsweep run sweeps/pilot.yaml --mirror DIR
    """
    campaign = _campaign(sweep, store, mirror, tracking)
    with console.watching() as watch:
        outcome, written = campaign.launch(address, watch, wait)
    for label, reason in outcome.failed.items():
        typer.echo(f"failed   {label}: {reason}", err=True)
    typer.echo(f"done:    {outcome.done} of {outcome.cells} cells scored; {outcome.ran} stages ran now.")
    typer.echo(console.where_the_time_went(outcome.seconds))
    typer.echo(f"found:   {written.finding}")
    typer.echo(f"report:  {written.page}")
    typer.echo(f"MLflow:  xsweep ui --store {store}" + (f" --tracking {tracking}" if tracking else ""))
    if not outcome.complete:
        raise typer.Exit(errors.INCOMPLETE)


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
) -> None:
    """Write the report again from what is tracked, or of scores from elsewhere, without training anything.

    Example: xsweep report sweeps/pilot.yaml
    Or: xsweep report --scores scores.csv --out report
    """
    if (sweep is None) == (scores is None) or (scores is None) != (out is None):
        raise errors.UsageError("report takes a SWEEP, or else --scores FILE and --out DIR")
    if sweep is not None:
        campaign = _campaign(sweep, store, mirror, tracking)
        written = campaign.report(campaign.survey())
    elif scores is not None and out is not None:
        from xsweep.analysis.scores_file import read_scores
        from xsweep.report.page import write_scores_report

        command = f"xsweep report --scores {shlex.quote(str(scores))} --out {shlex.quote(str(out))}"
        written = write_scores_report(out, read_scores(scores), scores.name, command)
    typer.echo(f"found:   {written.finding}\nreport:  {written.page}")


@app.command()
def sync(
    sweep: SweepFile, store: StoreFolder = DEFAULT_STORE, mirror: Mirrors = None, tracking: Tracking = None
) -> None:
    """Replay the store into MLflow; what is there already is left alone.

    Example: xsweep sync sweeps/pilot.yaml --tracking http://127.0.0.1:5000
    """
    campaign = _campaign(sweep, store, mirror, tracking)
    typer.echo(f"{campaign.sync(campaign.survey())} runs written to {campaign.tracking}")


@app.command()
def status(sweep: SweepFile, store: StoreFolder = DEFAULT_STORE, mirror: Mirrors = None, as_json: Json = False) -> None:
    """How far a sweep is, and what failed.

    Example: xsweep status sweeps/pilot.yaml
    """
    from xsweep.plan.cells import build_plan
    from xsweep.plan.show import status_rows, status_text
    from xsweep.store.store import Store

    built = build_plan(_load(sweep))
    resolver = _resolver_from_cache(built, Store(store), _sources(mirror))
    typer.echo(json.dumps(status_rows(built, resolver)) if as_json else status_text(built, resolver))


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

    resolvers = [_verified(file, Store(store), mirror) for file in (old, new)]
    changes = changes_of(*resolvers)
    typer.echo(json.dumps([asdict(change) for change in changes]) if as_json else diff_text(changes))


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

    removed = collect_garbage(_verified(sweep, Store(store), mirror), dry_run=dry_run)
    typer.echo(f"{'would free' if dry_run else 'freed'} {removed.bytes:,} bytes: {removed}")


@app.command()
def ui(store: StoreFolder = DEFAULT_STORE, tracking: Tracking = None, port: int = 5000) -> None:
    """MLflow's UI on the sweep's tracking store, on this machine only.

    Example: xsweep ui --store runs
    """
    uri = _tracking(tracking, store)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    os.execv(sys.executable, [*command, "--port", str(port)])


@app.command()
def tasks(as_json: Json = False) -> None:
    """The tasks that xsweep knows.

    Example: xsweep tasks --json
    """
    from xsweep.tasks.catalog import CATALOG
    from xsweep.tasks.catalog.show import described

    entries = [described(task) for task in CATALOG.values()]
    _catalogue(
        entries, ("name", "family", "format", "metric", "rows", "covers", "trains_on", "selects_on", "licence"), as_json
    )


@app.command()
def models(as_json: Json = False) -> None:
    """The models that xsweep knows.

    Example: xsweep models --json
    """
    from xsweep.models.catalog import MODELS, described

    columns = ("name", "id", "ladder", "kind", "params", "trunk_params", "pooling", "norm", "languages", "licence")
    _catalogue([described(model) for model in MODELS.values()], columns, as_json)


@app.command()
def export(
    sweep: SweepFile,
    stage: Annotated[str, typer.Argument(metavar="STAGE_KEY", help="A stage that kept its weights.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write.")],
    store: StoreFolder = DEFAULT_STORE,
    mirror: Mirrors = None,
) -> None:
    """Hand out one trained checkpoint as a plain `transformers` folder, its head beside it.

    Example: xsweep export sweeps/pilot.yaml 0123456789abcdef0123456789abcdef models/mine
    """
    spec = _load(sweep)
    from xsweep.store.store import Store
    from xsweep.train.export import export as write

    write(stage, spec.models, Store(store), _sources(mirror), folder)
    typer.echo(f"{folder}: written")


@app.command()
def convert(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A downloaded model with pytorch_model*.bin.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new folder to write.")],
) -> None:
    """Make safetensors of a checkpoint published as a pickle, without running what is in it.

    Name the new folder as `path:` of a model in the sweep file, or put it into a mirror as ORG--NAME.

    Example: xsweep convert downloads/xlm-roberta-xl models/facebook--xlm-roberta-xl
    """
    from xsweep.models.convert import convert as write

    write(folder, out)
    typer.echo(f"{out}: written")


def _catalogue(entries: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(entries))
        return
    from xsweep.tasks.catalog.show import aligned

    typer.echo(aligned([columns, *(tuple("" if e[c] is None else str(e[c]) for c in columns) for e in entries)]))


def _campaign(sweep: Path, store: Path, mirror: list[Path] | None, tracking: str | None) -> Campaign:
    spec = _load(sweep)  # before anything heavy is imported: a wrong file answers at once
    from xsweep.launch import Campaign

    return Campaign(spec, sweep, store, _sources(mirror), _tracking(tracking, store))


def _load(sweep: Path) -> Sweep:
    from xsweep.spec.load import load_sweep

    return load_sweep(sweep)


def _sources(mirror: list[Path] | None) -> Sources:
    from xsweep.tasks.source import Sources

    folders = mirror or [Path(part) for part in os.environ.get("XSWEEP_MIRROR", "").split(os.pathsep) if part]
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        raise errors.UsageError(f"--mirror {missing[0]}: no such folder")
    return Sources(tuple(folder.resolve() for folder in folders))


def _tracking(uri: str | None, store: Path) -> str:
    return uri or f"sqlite:///{store.resolve() / 'mlflow.db'}"


def _resolver_from_cache(built: Any, store: Any, sources: Sources) -> Any:
    """The resolver where every fingerprint is cached, so that nothing is loaded; else None ("unverified")."""
    from xsweep.engine.survey import cached_survey
    from xsweep.plan.resolve import Resolver

    prints = cached_survey(built.sweep, sources)
    return Resolver(built, prints, store) if prints else None


def _verified(sweep: Path, store: Any, mirror: list[Path] | None) -> Any:
    """The resolver of a sweep file whose data and models have been read before; raises ``UsageError`` else."""
    from xsweep.plan.cells import build_plan

    resolver = _resolver_from_cache(build_plan(_load(sweep)), store, _sources(mirror))
    if resolver is None:
        raise errors.UsageError(f"{sweep}: data or models are unverified; read them with: xsweep check --data {sweep}")
    return resolver


def _summary(spec: Sweep) -> str:
    from xsweep.plan.cells import build_plan

    built = build_plan(spec)
    return (
        f"{len(spec.models)} models, {len(spec.arms)} arms, {len(spec.targets)} targets, {len(spec.seeds)} seeds: "
        f"{len(built.cells)} cells, {sum(map(len, built.levels))} studies."
    )


if __name__ == "__main__":
    main()
