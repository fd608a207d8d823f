"""From tokens to hours: assumed without a measurement, measured where stages ran in the same layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import prints, sweep, target_task, task
from xsweep.models.model import Model
from xsweep.plan.cells import build_plan
from xsweep.plan.cost import estimate
from xsweep.plan.hours import ASSUMED, PEAK, RECOMPUTED, assumed_share, hours, prices, rates
from xsweep.plan.records import Record
from xsweep.plan.resolve import Resolver
from xsweep.plan.show import plan_rows, plan_text
from xsweep.plan.stage import Hyper
from xsweep.spec.sweep import Arm, Layout, Layouts, Sweep, Target
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store

GPU = Layout(gpus=1.0, workers=2)


def sized(**fields: Any) -> Sweep:
    """Every row and length known."""
    known = {"rows": 1000, "tokens": 50, "test_rows": 40}
    arms = (Arm(name="none"), Arm(name="nli", tasks=(task("snli", **known),)))
    targets = (Target(task=target_task("xnli", **known), languages=("en", "de")),)
    return sweep(**{"arms": arms, "targets": targets, **fields})


def measured(rate: float, layout: dict[str, Any], role: str = "report") -> Record:
    manifest = Manifest("key", "target", "ok", layout=layout, timings={"tokens_per_second": rate})
    model = Model(name="small", id="org/small")
    fields: Any = {"arm": "none", "family": "none", "target": "xnli", "seed": 1, "hyper": Hyper(1e-5, 1)}
    fields |= {"trial": 0} if role == "search" else {}
    return Record("key", "target", role, model, manifest=manifest, **fields)  # type: ignore[arg-type]


def line(stage: str, model: str = "small") -> Any:
    return next(one for one in estimate(build_plan(sized())).each if (one.stage, one.model) == (stage, model))


def test_each_model_has_its_tokens_and_they_sum_up() -> None:
    cost = estimate(build_plan(sized()))
    assert line("target").tokens == 2 * 2 * 1000 * 50 * 2  # arms, seeds, rows, tokens, epochs
    assert line("evaluate").tokens == 2 * 2 * 40 * 2 * 50  # rows of each of two languages
    assert line("target").flops == 6 * 200 * line("target").tokens
    whole = {one.stage: one for one in cost.lines}["target"]
    assert whole.runs == 8
    assert whole.flops == line("target").flops + line("target", "large").flops


def test_hours_without_a_measurement_are_assumed_of_gpus_and_unknown_without() -> None:
    one, small = line("target"), sized().models[0]
    found = hours(one, small, GPU, {})
    assert found.hours == pytest.approx(one.flops / (PEAK * assumed_share(200)) / 3600)
    assert not found.measured
    again = hours(one, small, GPU.model_copy(update={"recompute": True}), {}).hours
    assert again == pytest.approx(RECOMPUTED * (found.hours or 0))
    assert hours(one, small, Layout(), {}).hours is None
    assert hours(replace(one, flops=None, tokens=None), small, GPU, {}).hours is None


def test_a_measured_rate_takes_its_place() -> None:
    one, small = line("target"), sized().models[0]
    found = hours(one, small, GPU, {("small", "target"): 100.0})
    assert (found.hours, found.measured) == (one.tokens / 100 * 2 / 3600, True)  # two GPUs at once
    assert hours(one, small, Layout(), {("small", "target"): 100.0}).hours == one.tokens / 100 / 3600


def test_rates_are_of_the_layout_that_the_model_has_now() -> None:
    here = {"world": 2, "device": "cuda", "tokens": 4096}
    others = [{**here, "world": 1}, {**here, "device": "cpu"}, {**here, "recompute": True}]
    records = [measured(rate, here) for rate in (10, 20, 60)] + [measured(1000, other) for other in others]
    records.append(measured(7, here, role="search"))
    assert rates(records, {"small": GPU}) == {("small", "target"): 20, ("small", "target trials"): 7}
    assert rates([measured(5, {**here, "ooms": 1})], {"small": GPU}) == {("small", "target"): 5}


def test_shares_are_assumed_for_every_size() -> None:
    assert [assumed_share(int(trunk)) for trunk in (1e4, 3e8, 3e9, 1e12)] == [share for _, share in ASSUMED]


def test_prices_and_what_is_unknown_in_them() -> None:
    used = sized(layout=Layouts(gpus=1.0, gpu_hour_cost=2.5))
    small, large = prices(build_plan(used), ())
    assert small.hours is not None
    assert (small.cost, small.least, small.workers) == (2.5 * small.hours, False, 1)
    assert (large.hours or 0) > small.hours
    bare = sweep(models=(Model(name="own", id="org/own"),), layout=Layouts(gpus=1.0))
    (own,) = prices(build_plan(bare), ())
    assert (own.params, own.gigabytes, own.hours, own.cost, own.least) == (None, None, None, None, True)


def test_the_plan_prints_it(tmp_path: Path) -> None:
    used = sized(layout=Layouts(gpus=1.0, gpu_hour_cost=1e12))
    text = plan_text(build_plan(used), Resolver(build_plan(used), prints(used), Store(tmp_path)))
    (row,) = [row.split() for row in text.splitlines() if row.split()[:1] == ["large"]]
    assert row[1:3] == ["900", "1"]
    assert row[4] == "no"
    assert "GPU-hours assume this share of an H100's 989 TFLOP/s: 5% (small), 5% (large)." in text
    assert "gain of one arm on xnli: 35." not in text
    rows = plan_rows(build_plan(sized()), None)
    assert [row["hours"] for row in rows["models"]] == [None, None]
    assert any("Worker-hours come from measured rates alone" in said for said in rows["assumed"])


def test_columns_that_say_nothing_are_left_out() -> None:
    bare, paid = (
        plan_text(build_plan(sized(layout=layout)), None) for layout in (Layouts(), Layouts(gpus=0.5, gpu_hour_cost=2))
    )
    assert "worker-hours" in bare
    assert not [word for word in ("GB each", "recompute", "GPU", "cost") if word in bare]
    assert all(word in paid for word in ("GB each", "recompute", "GPU-hours", "cost"))
    assert "Cost: unknown" in plan_text(build_plan(sized(layout=Layouts(gpus=1.0))), None)
    assert max(map(len, (bare + paid).splitlines())) <= 120


def test_a_model_that_does_not_fit_is_named_where_it_stands() -> None:
    from xsweep.models.catalog import MODELS

    used = sized(models=(MODELS["xlmr-xxl"],), layout=Layouts(gpus=1.0, workers=1))
    (row,) = plan_rows(build_plan(used), None)["models"]
    assert "does not fit" in row["problem"]
    assert row["problem"] in plan_text(build_plan(used), None)
