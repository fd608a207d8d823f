"""`export` and `convert`: model folders out of a store, and into a safe format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xsweep.cli.app import app
from xsweep.cli.options import DEFAULT_STORE, Mirrors, StoreFolder, SweepFile, load, sources_of


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
    spec = load(sweep)
    from xsweep.store.store import Store
    from xsweep.train.export import export as write

    write(stage, spec.models, Store(store), sources_of(mirror), folder)
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
