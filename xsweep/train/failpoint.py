"""The failpoints of training: after a step, and at a stage's start."""

from __future__ import annotations

from xsweep.store.failpoint import armed, reach


def after_step(step: int) -> None:
    """The point ``step:<step>``."""
    reach(f"step:{step}")


def at_start(kind: str, model: str, tokens: int) -> None:
    """The point ``start:<stage kind>:<model name>``; memory runs out there when ``XSWEEP_FAILPOINT`` is
    ``start:<stage kind>:<model name>:oom:<tokens>`` and the micro-batches hold more than that."""
    point = f"start:{kind}:{model}"
    reach(point)
    limit = armed(f"{point}:oom")
    if limit and tokens > int(limit):
        import torch

        raise torch.OutOfMemoryError("out of memory on purpose, by XSWEEP_FAILPOINT")
