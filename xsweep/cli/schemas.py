"""`schema`: what a sweep file may hold, and what commands print for scripts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from xsweep import errors
from xsweep.cli.app import app


@app.command()
def schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="`sweep`: the sweep file; or a command that has --json.")],
) -> None:
    """The JSON schema of the sweep file, for editors, or of what a command prints with --json.

    Example: xsweep schema sweep > sweep.schema.json
    """
    from xsweep.cli.outputs import OUTPUTS, output_schema
    from xsweep.spec.schema import sweep_schema
    from xsweep.spec.words import did_you_mean

    if name != "sweep" and name not in OUTPUTS:
        raise errors.UsageError(f"there is no schema {name!r}{did_you_mean(name, ['sweep', *OUTPUTS])}")
    typer.echo(json.dumps(sweep_schema() if name == "sweep" else output_schema(name), indent=1))
