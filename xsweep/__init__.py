"""xsweep: how much does English intermediate-task training add to zero-shot transfer as models grow?"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "build_plan": "xsweep.plan.cells",
    "estimate": "xsweep.plan.cost",
    "load_sweep": "xsweep.spec.load",
}
__all__ = ["__version__", "build_plan", "estimate", "load_sweep"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that importing xsweep costs nothing."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'xsweep' has no attribute {name!r}")
