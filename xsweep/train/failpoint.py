"""A way for tests to kill a worker at an exact step; inert unless ``XSWEEP_TESTING=1``."""

from __future__ import annotations

import os
import signal


def after_step(step: int) -> None:
    """Kill this process with SIGKILL when ``XSWEEP_FAILPOINT`` is ``step:<step>:kill9``."""
    if os.environ.get("XSWEEP_TESTING") == "1" and os.environ.get("XSWEEP_FAILPOINT") == f"step:{step}:kill9":
        os.kill(os.getpid(), signal.SIGKILL)
