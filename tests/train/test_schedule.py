from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plan.test_stage import STAGE
from xsweep.plan.stage import Hyper
from xsweep.spec.sweep import Training
from xsweep.train.schedule import Schedule, schedule_of


def schedule(epochs: int, per_epoch: int, until: int | None = None, **recipe: Any) -> Schedule:
    training = Training.model_validate(recipe)
    return schedule_of(replace(STAGE, training=training, hyper=Hyper(1e-4, epochs, until)), per_epoch)


def rates(of: Schedule) -> list[float]:
    return [of.rate(step) for step in range(of.last)]


@given(epochs=st.integers(1, 20), per_epoch=st.integers(1, 50), warmup=st.floats(0, 0.9), wsd=st.booleans())
def test_the_rate_rises_to_one_and_falls(epochs: int, per_epoch: int, warmup: float, wsd: bool) -> None:
    recipe: dict[str, Any] = {"schedule": "wsd", "cooldown": 0.05} if wsd else {}
    found = rates(schedule(epochs, per_epoch, warmup=warmup, **recipe))
    top = found.index(max(found))
    assert len(found) == epochs * per_epoch
    assert all(0 < value <= 1 for value in found)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert max(found) == 1.0


def test_a_tenth_of_warmup() -> None:
    found = rates(schedule(2, 10))
    assert found[:3] == [0.5, 1.0, 1.0]
    assert found[-1] == pytest.approx(1 / 18)


def test_a_run_that_is_stopped_keeps_its_rates() -> None:
    whole = rates(schedule(5, 10))
    assert rates(schedule(5, 10, until=2)) == whole[:20]
    assert schedule(5, 10, until=2).parting == 20


@given(per_epoch=st.integers(2, 60), warmup=st.floats(0, 0.5), cooldown=st.floats(0.01, 0.3), short=st.integers(1, 4))
def test_longer_runs_share_the_level_part_of_shorter_ones(
    per_epoch: int, warmup: float, cooldown: float, short: int
) -> None:
    recipe: dict[str, Any] = {"schedule": "wsd", "warmup": warmup, "cooldown": cooldown}
    one, longer = schedule(short, per_epoch, **recipe), schedule(5, per_epoch, **recipe)
    assert rates(one)[: one.parting] == rates(longer)[: one.parting]
    assert one.parting < longer.parting
    assert rates(one)[one.parting :] == sorted(rates(one)[one.parting :], reverse=True)
    assert rates(schedule(9, per_epoch, until=short, **recipe)) == rates(one), "a rung ends in a cool-down of its own"
