"""Ways for tests to break a worker at an exact place; inert unless ``XSWEEP_TESTING=1``."""

from __future__ import annotations

import os
import signal


def after_step(step: int) -> None:
    """Kill this process with SIGKILL when ``XSWEEP_FAILPOINT`` is ``step:<step>:kill9``."""
    if _armed(f"step:{step}:kill9"):
        os.kill(os.getpid(), signal.SIGKILL)


def at_start(kind: str, model: str, tokens: int) -> None:
    """Raise when ``XSWEEP_FAILPOINT`` is ``start:<stage kind>:<model name>:raise``, and run out of memory when it is
    ``start:<stage kind>:<model name>:oom:<tokens>`` and the micro-batches hold more than that."""
    if _armed(f"start:{kind}:{model}:raise"):
        raise RuntimeError("broken on purpose, by XSWEEP_FAILPOINT")
    before, _, limit = os.environ.get("XSWEEP_FAILPOINT", "").rpartition(":")
    if before == f"start:{kind}:{model}:oom" and _armed(f"{before}:{limit}") and tokens > int(limit):
        import torch

        raise torch.OutOfMemoryError("out of memory on purpose, by XSWEEP_FAILPOINT")


def _armed(point: str) -> bool:
    return os.environ.get("XSWEEP_TESTING") == "1" and os.environ.get("XSWEEP_FAILPOINT") == point
