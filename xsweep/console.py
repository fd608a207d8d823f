"""A run as it is watched: plain lines in a pipe; in a terminal also what runs now and how long the rest may take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xsweep.engine.progress import Event, Running

    Watch = Callable[[Event], None]


MOST_RUNNING = 12
"""Jobs that the live view names; the others are counted."""


@contextmanager
def watching() -> Iterator[Watch]:
    """A watcher for one run, on standard output."""
    if not sys.stdout.isatty():
        yield _print_plain
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console, view = Console(highlight=False), View()

    def drawn() -> Text:
        lines = view.lines(time.monotonic(), console.width)
        return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")

    with Live(console=console, get_renderable=drawn, refresh_per_second=2, transient=True) as live:

        def watch(event: Event) -> None:
            if view.take(event):
                live.console.print(line(event), markup=False, soft_wrap=True)

        yield watch


class View:
    """What the live view shows: how far the run is, and what runs now."""

    def __init__(self) -> None:
        self._far: Event | None = None
        self._running: tuple[Running, ...] = ()
        self._note = "preparing"

    def take(self, event: Event) -> bool:
        """Remember what the event says; whether it is also worth a line that stays. Notes are, once stages run."""
        if event.total:
            self._far = event
        if event.what == "running":
            self._running = event.running
            return False
        if event.what == "note" and self._far is None:
            self._note = event.label
            return False
        return True

    def lines(self, now: float, width: int) -> list[str]:
        """The view, at the moment ``now`` of ``time.monotonic``, for a terminal ``width`` columns wide."""
        far = self._far
        if far is None:
            return [self._note]
        unit, (spent, whole) = "GPU-hours" if far.gpus else "worker-hours", far.hours
        shown = list(self._running[:MOST_RUNNING])
        room = max(20, width - 46)
        return [
            f"studies {far.studies[0]} of {far.studies[1]} · jobs {far.done} of {far.total} · {spoken(far.left)}",
            f"{unit} of this launch: {spent:.3g} of {'unknown' if whole is None else f'about {whole:.3g}'}",
            *(_job(job, now, room) for job in shown),
            *([f"  and {len(self._running) - len(shown)} more"] if len(self._running) > len(shown) else []),
            *([] if shown else ["  waiting for a worker group"]),
        ]


def _job(job: Running, now: float, room: int) -> str:
    """A running job: since when, how long still, and the tokens per second of its like."""
    label = job.label if len(job.label) <= room else job.label[: room - 1] + "…"
    passed = now - job.since
    left = "" if job.usual is None else f"~{_clock(max(0.0, job.usual - passed))} left"
    rate = "" if job.rate is None else f"~{job.rate:,.0f} tokens/s"
    return f"  {label:<{room}} {_clock(passed):>8} {left:>14} {rate:>18}".rstrip()


def _clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


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
