"""Places at which a test may break the program; inert unless ``XSWEEP_TESTING=1``.

``XSWEEP_FAILPOINT=POINT:ACTION`` does ACTION whenever the process comes by POINT, ``POINT:ACTION@N`` the N-th time
alone. Actions: ``kill9`` ends the process as ``kill -9`` does, ``full`` raises what a full disk raises, and ``raise``
what a defect might.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter

_passed: Counter[str] = Counter()
"""How often each armed point was come by in this process."""


def reach(point: str) -> None:
    """Come by ``point``: do there what ``XSWEEP_FAILPOINT`` says, mostly nothing."""
    action = armed(point)
    if action == "kill9":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    elif action == "raise":
        raise RuntimeError("broken on purpose, by XSWEEP_FAILPOINT")


def armed(point: str) -> str:
    """The action that is due at ``point`` now, or ""."""
    if os.environ.get("XSWEEP_TESTING") != "1":
        return ""
    wanted, _, action = os.environ.get("XSWEEP_FAILPOINT", "").rpartition(":")
    if wanted != point:
        return ""
    action, _, number = action.partition("@")
    _passed[point] += 1
    return action if not number or _passed[point] == int(number) else ""
