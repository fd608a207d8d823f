"""A parent for the driver of a sweep: whatever ends it, the user gets a line and an exit code, and nothing is left.

Ray's core ends the process that it lives in, with status 1, when its node or its control store is gone and some thread
still calls it. No handler in that process runs then, so somebody else has to see it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from xsweep.errors import Interrupted

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
"""Of Linux's prctl."""
_KERNEL = 128
"""The code of a signal that comes from the terminal, which the driver gets itself."""
END_SECONDS = 40.0
"""Once Ray is gone the driver ends within this, or is ended."""
_told: int | None = None
"""In the driver: where the parent listens."""


def watched(body: Callable[[], int]) -> int:
    """The exit code of ``body``, run in a child of this process; ``Interrupted``'s, with a line on standard error, when
    the child ends without one. To be called while this process has one thread. Without Linux: ``body()``."""
    if sys.platform != "linux":
        return body()
    parent = os.getpid()
    listen, tell_to = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*_PASSED_ON, signal.SIGCHLD))
    _prctl(_SET_CHILD_SUBREAPER, 1)  # what the driver leaves behind becomes a child of this process
    driver = os.fork()
    if driver == 0:
        _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(Interrupted.exit_code)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _be_the_driver(body, tell_to)
    os.close(tell_to)
    status = _wait_for(driver)
    said = dict(line.split(" ", 1) for line in _all(listen).decode().splitlines())
    _end_descendants()
    if "end" in said:
        return int(said["end"])
    how = f"by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "inside Ray"
    where = f" Logs: {_rescued(said)}" if "logs" in said else ""
    again = "nothing that had ended is lost. Run the same command again to go on."
    print(f"the driver was ended {how}; {again}{where}", file=sys.stderr)
    return Interrupted.exit_code


def supervised() -> bool:
    """Whether this process is a driver whose parent waits for it."""
    return _told is not None


def tell(what: str, value: object) -> None:
    """Say to the parent what it needs when this process ends without a word: ``folder`` of Ray, and ``logs``."""
    if _told is not None:
        os.write(_told, f"{what} {value}\n".encode())


def end_soon() -> threading.Timer:
    """Ray is gone: end this process, unless it has ended or cancels the timer within ``END_SECONDS``.

    Without a parent that would say what happened, nothing is ended.
    """
    timer = threading.Timer(END_SECONDS, os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    if supervised():
        timer.start()
    return timer


def _be_the_driver(body: Callable[[], int], tell_to: int) -> None:
    global _told
    _told = tell_to
    try:
        code = body()
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    tell("end", code)
    os._exit(code)  # a thread of Ray's that outlives the run must not choose the exit code


def _wait_for(driver: int) -> int:
    """The status that ``driver`` ends with; signals for this process are handed to it."""
    while True:
        caught = signal.sigwaitinfo((*_PASSED_ON, signal.SIGCHLD))
        if caught.si_signo != signal.SIGCHLD:
            if caught.si_code != _KERNEL:
                os.kill(driver, caught.si_signo)
            continue
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == driver:
                    return ended[1]


def _all(listen: int) -> bytes:
    with os.fdopen(listen, "rb") as heard:
        return heard.read()


def _end_descendants() -> None:
    import psutil

    end = time.monotonic() + 5.0
    while (left := _alive(psutil.Process().children(recursive=True))) and time.monotonic() < end:
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        time.sleep(0.05)


def _alive(processes: list[Any]) -> list[Any]:
    import psutil

    found = []
    for process in processes:
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _rescued(said: dict[str, str]) -> Path:
    """The folder of logs, with Ray's own in it; its private folder goes."""
    logs = Path(said["logs"])
    if folder := said.get("folder"):
        with suppress(OSError):
            shutil.copytree(Path(folder) / "session_latest" / "logs", logs / "ray", dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    return logs


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
