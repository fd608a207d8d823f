"""The command line: parse, call one function, print."""

from xsweep.cli import (  # noqa: F401  importing them makes their commands known
    catalogues,
    files,
    jobs,
    mirrors,
    runs,
    schemas,
    weights,
)
from xsweep.cli.app import app, main, run_app

__all__ = ["app", "main", "run_app"]
