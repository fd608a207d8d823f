"""The command line: parse, call one function, print."""

from xsweep.cli import catalogues, files, runs, weights  # noqa: F401  importing them makes their commands known
from xsweep.cli.app import app, main, run_app

__all__ = ["app", "main", "run_app"]
