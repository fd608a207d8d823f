"""Ctrl+C and SIGTERM as a wish to stop, so that a run can end where it may be taken up again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from xsweep.errors import CtrlC, Interrupted


@dataclass
class Stop:
    """A wish to stop: ``event`` is set by the first signal, whose number is ``signal``."""

    event: threading.Event = field(default_factory=threading.Event)
    signal: signal.Signals | None = None


@contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Stop]:
    """Turn the first SIGINT or SIGTERM into ``Stop``; a second SIGINT raises KeyboardInterrupt at once.

    ``say`` is called with one line for the user. Earlier handlers are back afterwards. Outside of the main
    thread, where Python allows no handlers, nothing is installed.
    """
    stop = Stop()

    def handler(number: int, frame: FrameType | None) -> None:
        if stop.event.is_set():
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        stop.signal = signal.Signals(number)
        stop.event.set()
        more = "; Ctrl+C again ends at once" if number == signal.SIGINT else ""
        say(f"{stop.signal.name}: stopping{more}")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def stopped(stop: Stop) -> Interrupted:
    """What a run that was asked to stop ends with."""
    said = "stopped; nothing that had ended is lost. Run the same command again to go on."
    return CtrlC(said) if stop.signal == signal.SIGINT else Interrupted(said)
