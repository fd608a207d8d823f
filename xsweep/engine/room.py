"""Which worker groups to start and to end, so that gangs of several sizes share one cluster without a deadlock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from xsweep.engine.mailbox import State
from xsweep.errors import EnvironmentProblem
from xsweep.spec.sweep import Gang

IDLE_SECONDS = 2.0
"""A group without a job for so long makes room for one that another gang waits for."""
RELEASE_SECONDS = 60.0
"""On a cluster of several nodes it ends after so long, whether or not another waits: nodes that idle cost money."""


class Holds(Protocol):
    """What is asked of a cluster."""

    local: bool

    @property
    def resources(self) -> dict[str, float]:
        """What the cluster holds now: "CPU", "GPU" and so on."""


class Room:
    """The groups of a pool: what they hold of the cluster, and what comes next.

    Largest gangs come first. One that has no group yet and does not fit gets the room of smaller ones, which end after
    the job they are at, and of idle ones of any size; meanwhile nothing smaller starts. So every gang that jobs wait
    for comes up sooner or later: larger ones by that rule, smaller ones once the larger have nothing to do.
    On a cluster of several nodes a group that has nothing to do ends, so that its nodes may go.
    """

    def __init__(self, cluster: Holds, gangs: tuple[Gang, ...], groups: int | None) -> None:
        self._cluster, self._limit = cluster, groups
        self._gangs = sorted(set(gangs), key=_size, reverse=True)
        self._lock = threading.Lock()
        self._up: dict[int, Gang] = {}
        """Groups that were started and have not ended as asked."""
        self._retired: set[int] = set()
        self._lost: set[int] = set()
        """Groups that ended unasked: their place is not given to another."""
        self._idle: dict[int, float] = {}
        """Since when a group has had nothing to do."""
        self._next = 0

    def knows(self, gang: Gang) -> bool:
        """Whether groups of that gang are started when jobs wait for them."""
        return gang in self._gangs

    def most(self) -> int:
        """The most groups that can be up at once."""
        most = max(1, *(_fitting(gang, self._cluster.resources) for gang in self._gangs))
        if self._limit is None:
            return most
        return min(self._limit, most) if self._cluster.local else self._limit

    def balance(self, state: State, now: float) -> tuple[list[tuple[int, Gang]], list[int]]:
        """(number, gang) of the groups to start, and numbers of those to retire."""
        with self._lock:
            return self._balance(state, now)

    def left(self, number: int) -> None:
        """Say that a group has ended."""
        with self._lock:
            if number in self._retired:
                del self._up[number]
                self._retired.discard(number)
            else:
                self._lost.add(number)

    def said(self) -> str:
        """What the largest gang needs, and what there is."""
        return lacking(self._gangs[0], self._cluster)

    def _balance(self, state: State, now: float) -> tuple[list[tuple[int, Gang]], list[int]]:
        busy, waiting = {number for number, _ in state.running}, dict(state.waiting)
        self._idle = {
            number: self._idle.get(number, now)
            for number, gang in self._up.items()
            if number not in busy and not waiting.get(gang)
        }
        start: list[tuple[int, Gang]] = []
        retire: list[int] = []
        for gang in self._gangs:
            gone = self._retired | self._lost
            mine = [number for number, other in self._up.items() if other == gang and number not in gone]
            lack = waiting.get(gang, 0) - sum(number not in busy for number in mine)
            while lack > 0 and self._fits(gang):
                start.append((self._next, gang))
                self._up[self._next] = gang
                mine.append(self._next)
                self._next, lack = self._next + 1, lack - 1
            if lack > 0 and not mine and (found := self._in_the_way(gang, now)) is not None:
                retire += found
                break
        if not self._cluster.local and not self._lost:  # the place of one that was lost is not given to another
            long = {number for number, since in self._idle.items() if now - since >= RELEASE_SECONDS}
            retire += sorted(long - self._retired - set(retire))
        self._retired |= set(retire)
        return start, retire

    def _in_the_way(self, gang: Gang, now: float) -> list[int] | None:
        """Groups to end for ``gang``: smaller ones, and any that have been idle for a while; None where that would not
        be enough."""
        others = {number: other for number, other in self._up.items() if other != gang and number not in self._lost}
        without = [self._up[number] for number in self._retired]
        found: list[int] = []
        for number in sorted(others, key=lambda number: (number not in self._idle, _size(others[number]))):
            if self._fits(gang, without):
                break
            idle = now - self._idle.get(number, now) >= IDLE_SECONDS
            if number not in self._retired and (idle or _size(others[number]) < _size(gang)):
                found.append(number)
                without.append(others[number])
        return found if self._fits(gang, without) else None

    def _fits(self, gang: Gang, without: list[Gang] | None = None) -> bool:
        """Whether a group more can start, had the groups ``without`` ended."""
        up = list(self._up.values())
        for other in without or []:
            up.remove(other)
        if self._limit is not None and len(up) >= self._limit:
            return False
        if not self._cluster.local and (not up or (self._limit is not None and set(up) == {gang})):
            return True  # nodes may come when they are asked for
        free = dict(self._cluster.resources)
        for other in up:
            for name, amount in needs(other).items():
                free[name] = free.get(name, 0.0) - amount
        return _fitting(gang, free) >= 1


def needs(gang: Gang) -> dict[str, float]:
    """What one group takes of a cluster."""
    need = {"CPU": float(gang.workers * gang.cpus), "GPU": gang.workers * gang.gpus}
    return {name: amount for name, amount in need.items() if amount}


def wait_for_room(
    cluster: Holds,
    wanted: Mapping[str, Gang],
    seconds: float,
    pause: Callable[[float], object] = time.sleep,
    say: Callable[[str], object] = lambda _: None,
) -> None:
    """Wait until the cluster can hold one group of each model; raises ``EnvironmentProblem`` after ``seconds``.

    On a cluster that is not this machine alone, its autoscaler is asked for what the largest needs, and ``say`` gets
    that in words. What ``pause`` raises between two looks ends the wait.
    """
    end, asked = time.monotonic() + (0.0 if cluster.local else seconds), False
    try:
        while missing := {name: gang for name, gang in wanted.items() if _fitting(gang, cluster.resources) < 1}:
            model = max(missing, key=lambda name: _size(missing[name]))
            if time.monotonic() >= end:
                waited = "" if cluster.local or not seconds else f", after {seconds:g} s"
                raise EnvironmentProblem(
                    f"no worker group of model {model} fits: {lacking(missing[model], cluster)}{waited}; `xsweep plan` "
                    "says what each model needs, and `layout` in the sweep file changes it"
                )
            if not asked:
                _ask_for(missing[model])
                asked = True
                say(f"waiting up to {seconds:g} s for room for model {model}: {lacking(missing[model], cluster)}")
            pause(min(1.0, max(0.0, end - time.monotonic())))
    finally:
        if asked:
            _ask_for(None)


def _ask_for(gang: Gang | None) -> None:
    """Tell Ray's autoscaler what is needed; None takes it back."""
    from ray.autoscaler.sdk import request_resources

    one = {} if gang is None else {name: amount / gang.workers for name, amount in needs(gang).items()}
    request_resources(bundles=[one] * gang.workers if gang else [])


def lacking(gang: Gang, cluster: Holds) -> str:
    """What one group of the gang needs, and what the cluster has, in words."""
    there, need = cluster.resources, needs(gang)
    return "one needs {}, the cluster has {}".format(
        " and ".join(_amount(amount, name) for name, amount in need.items()),
        " and ".join(_amount(there.get(name, 0.0), name) for name in need),
    )


def _amount(amount: float, name: str) -> str:
    return f"{amount:g} {name}{'s' * (amount != 1)}"


def _fitting(gang: Gang, there: Mapping[str, float]) -> int:
    """How many groups resources hold."""
    return min(int(there.get(name, 0.0) / amount + 1e-9) for name, amount in needs(gang).items())


def _size(gang: Gang) -> tuple[float, int]:
    return gang.workers * gang.gpus, gang.workers * gang.cpus
