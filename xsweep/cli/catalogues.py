"""`tasks` and `models`: what can be named in a sweep file."""

from __future__ import annotations

from typing import Any

import typer

from xsweep.cli.app import app
from xsweep.cli.options import Json


@app.command()
def tasks(as_json: Json = False) -> None:
    """The tasks that xsweep knows.

    Example: xsweep tasks --json
    """
    from xsweep.tasks.catalog import CATALOG
    from xsweep.tasks.catalog.show import described

    entries = [described(task) for task in CATALOG.values()]
    columns = ("name", "family", "format", "metric", "rows", "covers", "trains_on", "selects_on", "licence")
    _catalogue("tasks", entries, columns, as_json)


@app.command()
def models(as_json: Json = False) -> None:
    """The models that xsweep knows.

    Example: xsweep models --json
    """
    from xsweep.models.catalog import MODELS, described

    columns = ("name", "id", "ladder", "kind", "params", "trunk_params", "pooling", "norm", "languages", "licence")
    _catalogue("models", [described(model) for model in MODELS.values()], columns, as_json)


def _catalogue(command: str, entries: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        from xsweep.cli.outputs import echo

        echo(command, entries)
        return
    from xsweep.tasks.catalog.show import aligned

    typer.echo(aligned([columns, *(tuple("" if e[c] is None else str(e[c]) for c in columns) for e in entries)]))
