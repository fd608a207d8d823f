"""Since when a worker has been at one step, so that a step that hangs is told from one that is long."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LEAST_SECONDS = 60.0
TIMES = 20.0
"""A step that takes longer than this many of the median step, and than ``LEAST_SECONDS``, hangs."""
FIRST_SECONDS = 600.0
"""So does a stage's first step after this long: it may set up collectives and choose kernels."""


class Pulse:
    """The steps of one stage after the other. Another thread may ask ``overdue``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._took: deque[float] = deque(maxlen=100)

    def stage(self) -> None:
        """Another stage begins, whose steps take a time of their own."""
        self._took.clear()

    @contextmanager
    def step(self) -> Iterator[None]:
        """What runs in the block is a step; what lies between two has no deadline."""
        begin = self._since = self._clock()
        try:
            yield
        finally:
            self._since = None
        self._took.append(self._clock() - begin)

    @property
    def deadline(self) -> float:
        """Seconds after which the next step counts as one that hangs."""
        took = list(self._took)
        return max(LEAST_SECONDS, TIMES * statistics.median(took)) if took else FIRST_SECONDS

    def overdue(self) -> str:
        """What is the matter, in words, when the step that is under way hangs; "" else."""
        since = self._since
        if since is None or self._clock() - since <= self.deadline:
            return ""
        return f"a step took longer than {self.deadline:.0f} s"


PULSE = Pulse()
"""Of this process."""
