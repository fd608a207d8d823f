"""Seeds for each use of chance: functions of the stage's seed and the use, never of what ran before."""

from __future__ import annotations

import hashlib

from xsweep.store.keys import canonical


def derive(seed: int, *use: str | int) -> int:
    """A seed below 2**63 for one use, such as ``derive(seed, "order", epoch)``."""
    digest = hashlib.sha256(canonical([seed, *use]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
