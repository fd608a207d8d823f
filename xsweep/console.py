"""A run as it is watched: plain lines in a pipe; in a terminal also what runs now and how long the rest may take."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xsweep.engine.progress import Event

    Watch = Callable[[Event], None]


@contextmanager
def watching() -> Iterator[Watch]:
    """A watcher for one run, on standard output."""
    if not sys.stdout.isatty():
        yield _print_plain
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(highlight=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(24), MofNCompleteColumn())
    with Progress(*columns, TextColumn("{task.fields[left]}", markup=False), console=console, transient=True) as bar:
        task = bar.add_task("preparing", total=None, left="")

        def watch(event: Event) -> None:
            if event.what == "running":
                bar.update(task, description=event.label or "waiting for a worker group")
            elif event.what == "note" and not event.total:
                bar.update(task, description=event.label)
            else:
                bar.console.print(line(event), markup=False, soft_wrap=True)
            if event.total:
                bar.update(task, total=event.total, completed=event.done, left=spoken(event.left))

        yield watch


def _print_plain(event: Event) -> None:
    if event.what != "running":
        far = f"  [{event.done} of {event.total}, {spoken(event.left)}]" if event.what in ("trial", "stage") else ""
        print(line(event) + far, flush=True)


def line(event: Event) -> str:
    """An event in one line."""
    return f"{event.what:<6} {event.status:<10} {event.label}  {event.detail}".rstrip()


def spoken(seconds: float | None) -> str:
    """How long the rest may take, in words; to the minute, since it is a guess."""
    if seconds is None:
        return "time left unknown"
    if seconds < 60:
        return "under a minute left"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"about {f'{hours} h ' if hours else ''}{minutes} min left"


def where_the_time_went(seconds: Mapping[str, float]) -> str:
    """``time: 3 s checking, 12 s starting Ray, ...`` without the phases that took no time."""
    spent = [f"{value:.0f} s {phase}" for phase, value in seconds.items() if value >= 0.5]
    total = sum(seconds.values())
    return f"time:    {total:.0f} s: " + ", ".join(spent) if spent else f"time:    {total:.1f} s"
