"""xsweep: how much does English intermediate-task training add to zero-shot transfer as models grow?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xsweep.analysis.curves import gain_curves
    from xsweep.analysis.scores_file import read_scores
    from xsweep.api import read_runs, run, write_report
    from xsweep.plan.cells import build_plan
    from xsweep.plan.cost import estimate
    from xsweep.spec.load import load_sweep

__version__ = "0.1.0"

_HOMES = {
    "build_plan": "xsweep.plan.cells",
    "estimate": "xsweep.plan.cost",
    "gain_curves": "xsweep.analysis.curves",
    "load_sweep": "xsweep.spec.load",
    "read_runs": "xsweep.api",
    "read_scores": "xsweep.analysis.scores_file",
    "run": "xsweep.api",
    "write_report": "xsweep.api",
}
__all__ = [
    "__version__",
    "build_plan",
    "estimate",
    "gain_curves",
    "load_sweep",
    "read_runs",
    "read_scores",
    "run",
    "write_report",
]


if not TYPE_CHECKING:  # a checker knows the names above, and no others

    def __getattr__(name: str) -> object:
        """Load a public name when it is first used, so that importing xsweep costs nothing."""
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module 'xsweep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
