"""`mirror`: data and models brought to where there is no internet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xsweep.cli.app import app
from xsweep.cli.options import SweepFile, load


@app.command()
def mirror(
    sweep: SweepFile,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to fill, or to go on with.")],
) -> None:
    """Fetch the data and the models that a sweep reads, for a cluster without internet, and check them there.

    Example: xsweep mirror sweeps/pilot.yaml /data/mirror
    """
    spec = load(sweep)
    from xsweep.engine.mirror import mirror as fill
    from xsweep.tasks.source import Sources

    made = fill(spec, Sources(), folder, typer.echo)
    whole = f"{len(made.prints.splits)} splits and {len(made.prints.models)} models are whole"
    typer.echo(f"{folder}: {made.fetched} fetched, {made.there} there already; {whole}.")
    typer.echo(f"Without a network: xsweep run {sweep} --mirror {folder}")
