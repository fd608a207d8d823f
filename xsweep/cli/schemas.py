"""`schema`: what a sweep file may hold, and what commands print for scripts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from xsweep import errors
from xsweep.cli.app import app


@app.command()
def schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="`sweep`, `tables`, or a command that has --json.")],
) -> None:
    """The JSON schema of the sweep file, for editors, or of what a command prints with --json; the report's tables.

    Example: xsweep schema sweep > sweep.schema.json
    """
    from xsweep.cli.outputs import OUTPUTS, output_schema
    from xsweep.spec.schema import sweep_schema
    from xsweep.spec.words import did_you_mean

    if name == "sweep":
        found = sweep_schema()
    elif name == "tables":
        from xsweep.analysis.files import described

        found = dict(described())
    elif name in OUTPUTS:
        found = output_schema(name)
    else:
        hint = did_you_mean(name, ["sweep", "tables", *OUTPUTS])
        raise errors.UsageError(f"there is no schema {name!r}{hint}")
    typer.echo(json.dumps(found, indent=1))
