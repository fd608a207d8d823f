"""Every shipped sweep file loads and plans, to a size that changes on purpose only."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from xsweep.plan.cells import build_plan
from xsweep.plan.show import plan_rows
from xsweep.spec.load import load_sweep
from xsweep.tasks.catalog import sources_of

SWEEPS = Path(__file__).resolve().parent.parent / "sweeps"
SIZES = {
    "nli_vs_qa": (1248, 172),
    "nli_vs_qa_qwen3": (1248, 172),
    "phang2020": (426, 119),
    "pilot": (36, 8),
    "quickstart": (54, 24),
    "xtreme_r": (1014, 318),
}
"""Name -> (reporting cells, studies)."""


HEADLINE = ("nli_vs_qa", "nli_vs_qa_qwen3")


def test_every_file_has_its_size_here() -> None:
    assert {path.stem for path in SWEEPS.glob("*.yaml")} == set(SIZES)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_it_loads_and_plans(name: str) -> None:
    sweep = load_sweep(SWEEPS / f"{name}.yaml")
    plan = build_plan(sweep)
    assert sweep.name == name
    assert (len(plan.cells), sum(map(len, plan.levels))) == SIZES[name]


@pytest.mark.parametrize("name", HEADLINE)
def test_headline_arms_of_two_families_share_no_training_data(name: str) -> None:
    sweep = load_sweep(SWEEPS / f"{name}.yaml")
    arms = [arm for arm in sweep.arms if arm.trained and arm.control is None]
    assert Counter(arm.family for arm in arms) == {"nli": 4, "qa": 4}
    assert {arm.examples for arm in arms} == {60_000}
    read = [sources_of(task) for arm in arms for task in arm.reads]
    assert sum(map(len, read)) == len(frozenset().union(*read))
    assert {arm.control for arm in sweep.arms if arm.control} == {"shuffled-labels", "compute-matched"}
    assert not set(sweep.seeds) & {sweep.search.seed}
    assert len(sweep.seeds) == 8


def test_the_second_ladder_differs_in_its_models_alone() -> None:
    one, two = (load_sweep(SWEEPS / f"{name}.yaml") for name in HEADLINE)
    said = {"name", "description", "models"}
    assert one.model_dump(exclude=said) == two.model_dump(exclude=said)


@pytest.mark.parametrize("name", HEADLINE)
def test_the_headline_is_priced_for_each_size(name: str) -> None:
    rows = plan_rows(build_plan(load_sweep(SWEEPS / f"{name}.yaml")), None)
    assert [row["problem"] for row in rows["models"]] == [""] * 4
    assert all(row["hours"] > 0 and not row["least"] and row["gigabytes"] < 80 for row in rows["models"])
    assert rows["models"][-1]["workers"] > 1
    effects = {found["what"]: found["points"] for found in rows["resolves"]}
    assert effects["nli against qa, mean gain"] < 1 < effects["gain of one arm on xcopa"]
