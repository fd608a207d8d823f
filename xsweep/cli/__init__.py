"""The command line: parse, call one function, print."""

# Importing them makes their commands known.
from xsweep.cli import catalogues, files, health, jobs, mirrors, runs, schemas, weights  # noqa: F401
from xsweep.cli.app import app, main, run_app

__all__ = ["app", "main", "run_app"]
