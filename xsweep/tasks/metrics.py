"""What metrics of every format share."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean_points(values: Sequence[float]) -> float:
    """The mean of values between 0 and 1, in points; NaN of none."""
    return 100.0 * math.fsum(values) / len(values) if values else math.nan
