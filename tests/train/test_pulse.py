"""A step that hangs is told from one that is long."""

from __future__ import annotations

import pytest

from xsweep.train.pulse import FIRST_SECONDS, LEAST_SECONDS, TIMES, Pulse


class Clock:
    """Goes as far as it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def stepped(*took: float) -> tuple[Pulse, Clock]:
    clock = Clock()
    pulse = Pulse(clock)
    for seconds in took:
        with pulse.step():
            clock.now += seconds
    return pulse, clock


@pytest.mark.parametrize(
    ("took", "deadline"),
    [((), FIRST_SECONDS), ((1.0, 1.0, 2.0), LEAST_SECONDS), ((10.0, 11.0, 300.0), TIMES * 11.0)],
)
def test_the_deadline_follows_the_steps_before(took: tuple[float, ...], deadline: float) -> None:
    pulse, clock = stepped(*took)
    assert pulse.deadline == deadline
    with pulse.step():
        clock.now += deadline
        assert pulse.overdue() == ""
        clock.now += 1
        assert pulse.overdue() == f"a step took longer than {deadline:.0f} s"
    assert pulse.overdue() == ""


def test_between_steps_and_after_one_that_failed_nothing_is_overdue() -> None:
    pulse, clock = stepped(1.0)
    with pytest.raises(KeyError), pulse.step():
        raise KeyError
    clock.now += 10 * FIRST_SECONDS
    assert pulse.overdue() == ""
    assert pulse.deadline == LEAST_SECONDS


def test_every_stage_has_a_time_of_its_own() -> None:
    pulse, _ = stepped(100.0)
    pulse.stage()
    assert pulse.deadline == FIRST_SECONDS
