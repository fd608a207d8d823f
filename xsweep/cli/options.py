"""What several commands take, and what they make of it. Every import that costs time waits for its command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xsweep import errors

if TYPE_CHECKING:
    from xsweep.launch import Campaign
    from xsweep.spec.sweep import Sweep
    from xsweep.tasks.source import Sources

SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="The sweep file, such as sweeps/pilot.yaml.")]
StoreFolder = Annotated[
    str,
    typer.Option("--store", envvar="XSWEEP_STORE", help="What keeps every result: a folder, or s3://BUCKET/PREFIX."),
]
Mirrors = Annotated[
    list[Path] | None,
    typer.Option("--mirror", help="Folder of data sets and models (ORG--NAME/...); then no hub is asked. Repeatable."),
]
Tracking = Annotated[
    str | None,
    typer.Option("--tracking", envvar="MLFLOW_TRACKING_URI", help="MLflow store; SQLite inside --store by default."),
]
ClusterAddress = Annotated[
    str | None,
    typer.Option("--address", envvar="RAY_ADDRESS", help="A Ray cluster; a private local one by default."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
DEFAULT_STORE = "runs"


def load(sweep: Path) -> Sweep:
    """The sweep of a file, checked; raises ``SpecError``."""
    from xsweep.spec.load import load_sweep

    return load_sweep(sweep)


def sources_of(mirror: list[Path] | None) -> Sources:
    """The mirror folders given, or those of ``XSWEEP_MIRROR``; raises ``UsageError`` where one is missing."""
    from xsweep.tasks.source import Sources

    return Sources.of(mirror)


def campaign_of(sweep: Path, store: str, mirror: list[Path] | None, tracking: str | None) -> Campaign:
    """The sweep with the places that it is kept in; a wrong file answers before anything heavy is imported."""
    spec = load(sweep)
    from xsweep.launch import Campaign

    return Campaign.of(spec, store, mirror, tracking, file=sweep)


def resolver_from_cache(built: Any, store: Any, sources: Sources) -> Any:
    """The resolver where every fingerprint is cached, so that nothing is loaded; else None ("unverified")."""
    from xsweep.engine.survey import cached_survey
    from xsweep.plan.resolve import Resolver

    prints = cached_survey(built.sweep, sources)
    return Resolver(built, prints, store) if prints else None


def verified(sweep: Path, store: Any, mirror: list[Path] | None) -> Any:
    """The resolver of a sweep file whose data and models have been read before; raises ``UsageError`` else."""
    from xsweep.plan.cells import build_plan

    resolver = resolver_from_cache(build_plan(load(sweep)), store, sources_of(mirror))
    if resolver is None:
        raise errors.UsageError(f"{sweep}: data or models are unverified; read them with: xsweep check --data {sweep}")
    return resolver
