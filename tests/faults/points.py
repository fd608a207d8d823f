"""The failpoints of the program, as its source has them."""

from __future__ import annotations

import re
from pathlib import Path

import xsweep

ROOT = Path(xsweep.__file__).parent


def points(*rooms: str) -> list[str]:
    """Every failpoint that stands by name in the source of ``rooms``, sorted."""
    files = [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    return sorted({name for path in files for name in re.findall(r'reach\("([^"]+)"\)', path.read_text())})
