"""The mailbox without Ray: who gets which job, and what becomes of it when workers die."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine import stubs
from xsweep.engine import mailbox
from xsweep.engine.mailbox import LOST, OUT_OF_MEMORY, WORKER_DIED, Mailbox, State, ended
from xsweep.spec.sweep import Layout

OK = ended("ok")
SINGLE, PAIR = Layout().gang, Layout(workers=2).gang


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


async def opened(groups: int) -> Mailbox:
    """A mailbox with groups of one worker each."""
    box = Mailbox()
    for number in range(groups):
        await box.open(number, SINGLE)
    return box


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "_TICK_SECONDS", 0.02)
    monkeypatch.setattr(mailbox, "_NEWS_SECONDS", 0.02)


def test_jobs_are_handed_out_in_order_and_once() -> None:
    async def story() -> None:
        box, jobs = await opened(2), [stubs.job("nothing", n) for n in range(3)]
        for job in [*jobs, jobs[0]]:
            await box.submit(job.key, job)
        await box.hello(0, "a")
        await box.hello(1, "b")
        assert await box.take(0, "a") == (jobs[0].key, jobs[0])
        assert await box.take(1, "b") == (jobs[1].key, jobs[1])
        assert await box.take(0, "a", (jobs[0].key, OK)) == (jobs[2].key, jobs[2])
        assert await box.wait(jobs[0].key) == {**OK, "group": 0}
        state = State(ready=2, running=((0, jobs[2].key), (1, jobs[1].key)))
        assert await box.news(0) == ([(jobs[0].key, {**OK, "group": 0})], state)

    play(story())


def test_drained_what_runs_ends_and_nothing_more_starts(impatient: None) -> None:
    async def story() -> None:
        box, (runs, waits, late) = await opened(1), [stubs.job("nothing", n) for n in range(3)]
        for job in (runs, waits):
            await box.submit(job.key, job)
        await box.hello(0, "a")
        assert await box.take(0, "a") == (runs.key, runs)
        await box.drain("no more")
        await box.submit(late.key, late)
        assert [(await box.wait(job.key))["status"] for job in (waits, late)] == ["aborted"] * 2
        assert await box.take(0, "a", (runs.key, OK)) is True
        assert await box.wait(runs.key) == {**OK, "group": 0}

    play(story())


def test_waiting_may_come_before_submitting(impatient: None) -> None:
    async def story() -> None:
        box, job = await opened(1), stubs.job()
        client = asyncio.create_task(box.wait(job.key))
        await box.hello(0, "a")
        assert await box.take(0, "a") is True
        assert await box.news(0) == ([], State(ready=1))
        await box.submit(job.key, job)
        await box.take(0, "a")
        ticket = asyncio.create_task(box.take(0, "a", (job.key, OK)))
        assert (await client)["status"] == "ok"
        assert await ticket is True

    play(story())


def test_job_of_a_dead_worker_is_given_again_and_given_up_at_the_third_death() -> None:
    async def story() -> None:
        box, job, other = await opened(1), stubs.job("die"), stubs.job()
        await box.submit(job.key, job)
        await box.submit(other.key, other)
        for life in "abc":
            await box.hello(0, life)
            assert await box.take(0, life) == (job.key, job)
        await box.hello(0, "d")
        assert (await box.wait(job.key))["error"] == WORKER_DIED
        assert await box.take(0, "d") == (other.key, other)

    play(story())


def test_a_dead_worker_takes_and_settles_nothing() -> None:
    async def story() -> None:
        box, job = await opened(1), stubs.job()
        await box.hello(0, "old")
        late = asyncio.create_task(box.take(0, "old"))
        await asyncio.sleep(0)
        await box.hello(0, "new")
        await box.submit(job.key, job)
        assert await late is False
        assert await box.take(0, "new") == (job.key, job)
        assert await box.take(0, "old", (job.key, ended("diverged"))) is False
        await box.close("over")
        assert (await box.wait(job.key))["status"] == "aborted"

    play(story())


def test_a_worker_that_falls_silent_is_ended_and_its_job_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ended_: list[str] = []
    monkeypatch.setattr(mailbox, "_end", ended_.append)
    monkeypatch.setattr(mailbox, "_BEAT_SECONDS", 0.01)
    monkeypatch.setattr(mailbox, "_NEWS_SECONDS", 0.05)

    async def story() -> None:
        box, job = Mailbox(silence=0.2), replace(stubs.job(), layout=Layout(workers=2))
        await box.open(0, PAIR)
        await box.submit(job.key, job)
        for life in "abc":
            await box.hello(0, life)
            for rank in (0, 1):
                await box.beat(0, rank, f"{life}{rank}")
            assert await box.take(0, life) == (job.key, job)
            while f"{life}1" not in ended_:
                await box.beat(0, 0, f"{life}0", 100.0)
                state = (await box.news(0))[1]
            assert state.rates == ((job.key, 100.0),)
        await box.hello(0, "d")
        result = await box.wait(job.key)
        assert (ended_, result["error"]) == (["a1", "b1", "c1"], WORKER_DIED)
        assert result["reason"] == "its worker died 3 times; once nothing was heard of it for 0.2 s"

    play(story())


def test_an_idle_worker_may_be_silent(monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:
    monkeypatch.setattr(mailbox, "_end", pytest.fail)
    monkeypatch.setattr(mailbox, "_BEAT_SECONDS", 0.01)

    async def story() -> None:
        box = Mailbox(silence=0.0)
        await box.open(0, SINGLE)
        await box.hello(0, "a")
        await box.beat(0, 0, "actor")
        assert (await box.news(0))[1] == State(ready=1)

    play(story())


def test_a_rank_that_fails_ends_the_job_but_not_the_group() -> None:
    async def story() -> None:
        box, job, other = await opened(1), stubs.job("raise"), stubs.job()
        await box.submit(job.key, job)
        await box.submit(other.key, other)
        await box.hello(0, "a")
        await box.take(0, "a")
        await box.fail(0, job.key, ended("failed", "why"))
        await box.fail(0, job.key, ended("failed", "another worker failed"))
        await box.hello(0, "b")
        assert await box.take(0, "b") == (other.key, other)
        assert (await box.wait(job.key))["reason"] == "why"

    play(story())


def test_lost_groups_hand_their_job_on_and_the_last_one_ends_all() -> None:
    async def story() -> None:
        box, job, late = await opened(2), stubs.job(), stubs.job("nothing", 1)
        await box.submit(job.key, job)
        await box.hello(0, "a")
        await box.hello(1, "b")
        await box.take(0, "a")
        await box.left(0, "node gone")
        assert await box.take(1, "b") == (job.key, job)
        await box.left(1, "no node left")
        await box.submit(late.key, late)
        assert [(await box.wait(key))["status"] for key in (job.key, late.key)] == [LOST] * 2
        assert (await box.wait(late.key))["reason"] == "no node left"
        assert await box.take(1, "b") is False

    play(story())


def test_each_group_takes_jobs_of_its_gang_alone() -> None:
    async def story() -> None:
        box, small, large = await opened(1), stubs.job(), replace(stubs.job("nothing", 1), layout=Layout(workers=2))
        await box.open(1, PAIR)
        for job in (large, small):
            await box.submit(job.key, job)
        assert (await box.news(0))[1] == State(0, (), ((PAIR, 1), (SINGLE, 1)))
        await box.hello(0, "a")
        await box.hello(1, "b")
        assert await box.take(0, "a") == (small.key, small)
        assert await box.take(1, "b") == (large.key, large)

    play(story())


def test_a_retired_group_ends_after_its_job() -> None:
    async def story() -> None:
        box, job, other = await opened(2), stubs.job(), stubs.job("nothing", 1)
        await box.hello(0, "a")
        await box.submit(job.key, job)
        await box.take(0, "a")
        await box.retire(0)
        await box.submit(other.key, other)
        assert await box.take(0, "a", (job.key, OK)) is False
        await box.left(0, "it ended")
        await box.hello(1, "b")
        assert await box.take(1, "b") == (other.key, other)

    play(story())


def test_a_retired_group_that_is_lost_hands_its_job_on() -> None:
    async def story() -> None:
        box, job = await opened(2), stubs.job()
        await box.submit(job.key, job)
        await box.hello(0, "a")
        await box.take(0, "a")
        await box.retire(0)
        await box.left(0, "node gone")
        await box.hello(1, "b")
        assert await box.take(1, "b") == (job.key, job)

    play(story())


def test_when_memory_runs_out_the_micro_batches_are_halved_twice_and_no_more() -> None:
    async def story() -> None:
        box, job = await opened(1), replace(stubs.job(), layout=Layout(tokens=4096))
        await box.submit(job.key, job)
        seen: list[Layout] = []
        for life in "abc":
            await box.hello(0, life)
            got = await box.take(0, life)
            assert isinstance(got, tuple)
            seen.append(got[1].layout)
            await box.fail(0, job.key, ended("failed", "full", error=OUT_OF_MEMORY[0]))
            await box.fail(0, job.key, ended("failed", "another worker failed"))  # a rank that waited for the first
        assert [(layout.tokens, layout.ooms) for layout in seen] == [(4096, 0), (2048, 1), (1024, 2)]
        result = await box.wait(job.key)
        assert (result["status"], result["error"]) == ("failed", OUT_OF_MEMORY[0])
        assert result["reason"] == "full (the micro-batches were halved 2 times, to 1024 tokens)"

    play(story())


def test_seconds_of_attempts_that_came_to_nothing_are_handed_on() -> None:
    async def story() -> None:
        box, job = await opened(1), stubs.job()
        await box.submit(job.key, job)
        await box.hello(0, "a")
        await box.take(0, "a")
        await box.fail(0, job.key, ended("failed", "full", error=OUT_OF_MEMORY[0], seconds=7.0))
        await box.hello(0, "b")
        got = await box.take(0, "b")
        assert isinstance(got, tuple)
        assert got[1].lost == 7.0
        await asyncio.sleep(0.05)
        box._groups[0].workers[0] = mailbox._Worker(time.monotonic(), None)
        await box.hello(0, "c")
        got = await box.take(0, "c")
        assert isinstance(got, tuple)
        assert 7.05 <= got[1].lost < 27
        await box.hand_in(0, "c", (job.key, {**OK, "seconds": 2.0}))
        assert (await box.wait(job.key))["seconds"] == 2.0 + got[1].lost

    play(story())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["done", "die", "lost"])), max_size=60))
def test_whatever_happens_to_groups_each_job_ends_once(events: list[tuple[int, str]]) -> None:
    async def story() -> None:
        box, jobs = await opened(3), [stubs.job("nothing", n) for n in range(5)]
        for job in jobs:
            await box.submit(job.key, job)
        lives = [0, 0, 0]
        lost: set[int] = set()
        held: dict[int, str] = {}
        for group in range(3):
            await box.hello(group, "0")
        for group, what in [*events, *[(group, "done") for group in range(3)] * 10]:
            if group in lost or (len(lost) == 2 and what == "lost"):
                continue
            if what == "lost":
                lost.add(group)
                held.pop(group, None)
                await box.left(group, "gone")
                continue
            if what == "die":
                lives[group] += 1
                held.pop(group, None)
                await box.hello(group, str(lives[group]))
            done = (held.pop(group), OK) if group in held else None
            task = asyncio.create_task(box.take(group, str(lives[group]), done))
            await asyncio.sleep(0)
            if not task.done():
                task.cancel()
            elif isinstance(got := task.result(), tuple):
                held[group] = got[0]
        results, _ = await box.news(0)
        assert sorted(key for key, _ in results) == sorted(job.key for job in jobs)
        assert {result["status"] for _, result in results} <= {"ok", "failed"}

    play(story())
