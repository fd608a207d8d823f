"""Which groups start and end, against a cluster of numbers: no Ray, no time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsweep.engine.mailbox import State
from xsweep.engine.room import IDLE_SECONDS, RELEASE_SECONDS, Room, needs, wait_for_room
from xsweep.errors import EnvironmentProblem
from xsweep.spec.sweep import Gang

ONE, TWO, FOUR = (Gang(workers, 1, 1.0) for workers in (1, 2, 4))


@dataclass
class Numbers:
    """A cluster that holds what it is told."""

    gpus: float
    local: bool = True
    cpus: float = 64.0

    @property
    def resources(self) -> dict[str, float]:
        return {"CPU": self.cpus, "GPU": self.gpus}


@dataclass
class World:
    """Groups that come up at once and end when they are asked to; one turn is a second."""

    room: Room
    cluster: Numbers
    waiting: Counter[Gang]
    up: dict[int, Gang] = field(default_factory=dict)
    busy: dict[int, int] = field(default_factory=dict)
    """Group -> turns until its job ends."""
    retired: set[int] = field(default_factory=set)
    done: list[Gang] = field(default_factory=list)
    now: float = 0.0

    def turn(self, lengths: list[int]) -> None:
        self.now += 1
        for number in [number for number, left in self.busy.items() if left <= self.now]:
            self.done.append(self.up[number])
            del self.busy[number]
        for number in [number for number in self.retired if number not in self.busy]:
            self.room.left(number)
            self.retired.discard(number)
            del self.up[number]
        for number, gang in self.up.items():
            if number not in self.busy and number not in self.retired and self.waiting[gang]:
                self.waiting[gang] -= 1
                self.busy[number] = int(self.now) + lengths[len(self.done) % len(lengths)]
        running = tuple((number, "key") for number in self.busy)
        waiting = tuple((gang, count) for gang, count in self.waiting.items() if count)
        start, retire = self.room.balance(State(0, running, waiting), self.now)
        self.up |= dict(start)
        self.retired |= set(retire)
        held = sum(needs(gang).get("GPU", 0.0) for gang in self.up.values())
        assert held <= self.cluster.gpus


def world(gpus: float, groups: int | None = None, **waiting: int) -> World:
    jobs = Counter({{"one": ONE, "two": TWO, "four": FOUR}[name]: count for name, count in waiting.items()})
    cluster = Numbers(gpus)
    return World(Room(cluster, (ONE, TWO, FOUR), groups), cluster, jobs)


def test_groups_start_for_waiting_jobs_alone_and_no_more_than_fit() -> None:
    here = world(8, one=3)
    here.turn([5])
    assert list(here.up.values()) == [ONE] * 3
    here = world(8, one=30)
    here.turn([5])
    assert list(here.up.values()) == [ONE] * 8
    here = world(8, groups=2, one=30)
    here.turn([5])
    assert list(here.up.values()) == [ONE] * 2


def test_the_largest_come_first_and_the_rest_fills_what_they_leave() -> None:
    here = world(7, one=5, four=5)
    here.turn([5])
    assert Counter(here.up.values()) == {FOUR: 1, ONE: 3}


def test_smaller_ones_end_after_their_job_when_a_larger_one_waits() -> None:
    here = world(4, one=8)
    here.turn([3])
    here.turn([3])
    here.waiting[FOUR] += 1
    here.turn([3])
    assert here.retired == set(here.up) == {0, 1, 2, 3}
    for _ in range(12):
        here.turn([3])
    assert here.done[:5] == [ONE] * 4 + [FOUR]


def test_a_larger_one_ends_once_it_has_been_idle_for_a_while() -> None:
    here = world(4, four=1)
    here.turn([1])
    here.waiting[ONE] += 1
    while FOUR not in here.done:
        here.turn([1])
        assert not here.retired
    idle = here.now
    while not here.retired:
        here.turn([1])
    assert here.now - idle >= IDLE_SECONDS


def test_groups_that_idle_end_on_a_cluster_of_several_nodes_alone() -> None:
    for local in (True, False):
        here = world(4, groups=4, one=4)
        here.cluster.local = local
        for _ in range(int(RELEASE_SECONDS)):
            here.turn([2])
        assert len(here.up) == 4
        for _ in range(10):
            here.turn([2])
        assert Counter(here.done) == {ONE: 4}
        assert len(here.up) == (4 if local else 0)
        here.waiting[ONE] += 1
        for _ in range(5):
            here.turn([2])
        assert len(here.done) == 5


def test_where_a_group_was_lost_the_others_stay() -> None:
    here = world(4, groups=2, one=2)
    here.cluster.local = False
    here.turn([1])
    here.room.left(0)
    for now in range(300):
        assert here.room.balance(State(1), float(now))[1] == []


@settings(deadline=None, max_examples=80)
@given(
    st.integers(4, 9),
    st.sampled_from([None, 1, 2, 3]),
    st.lists(st.tuples(st.sampled_from([ONE, TWO, FOUR]), st.integers(0, 40)), min_size=1, max_size=30),
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
)
def test_every_job_is_run_whatever_comes_when(
    gpus: int, groups: int | None, arrivals: list[tuple[Gang, int]], lengths: list[int]
) -> None:
    here = world(gpus, groups)
    for turn in range(40 + 30 * 20):
        here.waiting.update(gang for gang, at in arrivals if at == turn)
        here.turn(lengths)
    assert Counter(here.done) == Counter(gang for gang, _ in arrivals)


def test_a_lost_group_keeps_its_place() -> None:
    here = world(2, one=9)
    here.turn([100])
    here.room.left(0)
    start, retire = here.room.balance(State(0, ((1, "key"),), ((ONE, 7),)), 1.0)
    assert (start, retire) == ([], [])


def test_too_few_gpus_are_said_before_anything_starts() -> None:
    said = r"model xxl fits: one needs 4 CPUs and 4 GPUs, the cluster has 64 CPUs and 2 GPUs"
    with pytest.raises(EnvironmentProblem, match=said) as caught:
        wait_for_room(Numbers(2), {"base": ONE, "xxl": FOUR}, 1000.0)
    assert caught.value.exit_code == 5


def test_a_cluster_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Gang | None] = []
    monkeypatch.setattr("xsweep.engine.room._ask_for", asked.append)
    cluster = Numbers(0, local=False)

    def grow(_: float) -> None:
        cluster.gpus += 2

    said: list[str] = []
    wait_for_room(cluster, {"xxl": FOUR}, 60.0, grow, said.append)
    needed = "one needs 4 CPUs and 4 GPUs, the cluster has 64 CPUs and 0 GPUs"
    assert said == [f"waiting up to 60 s for room for model xxl: {needed}"]
    assert (cluster.gpus, asked) == (4, [FOUR, None])
    with pytest.raises(EnvironmentProblem, match="has 64 CPUs and 0 GPUs"):
        wait_for_room(Numbers(0, local=False), {"xxl": FOUR}, 0.0)
