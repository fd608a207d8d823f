"""Failures of one launch by their cause, so that each traceback is shown once and a doomed sweep stops itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

_PLACE = re.compile(r"\(([^()]+:\d+ in [^()]+)\)$")


class Failures:
    """Failed jobs; of one cause are those with the same error at the same line of code."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()
        self._causes: dict[str, str] = {}
        self._tracebacks: dict[str, str] = {}

    def add(self, key: str, result: Mapping[str, Any]) -> None:
        """Count the failed job ``key``."""
        place = _PLACE.search(result["reason"])
        cause = " ".join([result["error"], *(place.groups() if place else ())])
        self._causes[key] = cause
        self._counts[cause] += 1
        self._tracebacks.setdefault(cause, result["traceback"])

    def traceback(self, key: str) -> str:
        """The traceback of the first job that failed as this one did, after a line break; "" once it was given."""
        text = self._tracebacks.get(self._causes.get(key, ""), "")
        if text:
            self._tracebacks[self._causes[key]] = ""
        return f"\n{text.rstrip()}" if text else ""

    def too_many(self, key: str, reason: str) -> str:
        """Why the sweep is doomed, after the job ``key`` has failed with ``reason``; "" while it is not."""
        count = self._counts[self._causes[key]]
        if count < self._most:
            return ""
        return f"{count} stages failed of one cause (max_failures): {reason}{self.traceback(key)}"
