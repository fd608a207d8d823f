"""Every shipped sweep file loads and plans, to a size that changes on purpose only."""

from __future__ import annotations

from pathlib import Path

import pytest

from xsweep.plan.cells import build_plan
from xsweep.spec.load import load_sweep

SWEEPS = Path(__file__).resolve().parent.parent / "sweeps"
SIZES = {"phang2020": (426, 119), "pilot": (36, 8), "quickstart": (54, 24), "xtreme_r": (1014, 318)}
"""Name -> (reporting cells, studies)."""


def test_every_file_has_its_size_here() -> None:
    assert {path.stem for path in SWEEPS.glob("*.yaml")} == set(SIZES)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_it_loads_and_plans(name: str) -> None:
    sweep = load_sweep(SWEEPS / f"{name}.yaml")
    plan = build_plan(sweep)
    assert sweep.name == name
    assert (len(plan.cells), sum(map(len, plan.levels))) == SIZES[name]
