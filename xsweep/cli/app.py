"""The command line's frame: users' mistakes become one plain line and an exit code."""

from __future__ import annotations

import os
import sys

import typer

from xsweep import errors

app = typer.Typer(
    name="xsweep",
    help="How much does English intermediate-task training still add to zero-shot transfer as models grow?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point of the ``xsweep`` command: users' mistakes become one plain line and an exit code."""
    if sys.argv[1:2] == ["run"]:
        from xsweep.engine.watchdog import watched

        code = watched(run_app)
    else:
        code = run_app()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a thread of Ray's that outlives the run must not choose the exit code


def run_app() -> int:
    """Run the command in ``sys.argv``; its exit code, what went wrong printed to stderr."""
    try:
        code = int(app(standalone_mode=False) or errors.COMPLETE)
    except errors.XsweepError as error:
        typer.echo(str(error), err=True)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = errors.CtrlC.exit_code
    except Exception as error:
        if getattr(error, "exit_code", None) == 2 and hasattr(error, "format_message"):  # click's usage errors
            typer.echo(f"{error.format_message()}\nTry `xsweep --help`.", err=True)
            return 2
        raise
    if code == errors.CtrlC.exit_code:  # typer makes a code of KeyboardInterrupt
        typer.echo("stopped at once; run the same command again to go on.", err=True)
    return code
