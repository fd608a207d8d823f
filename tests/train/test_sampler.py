"""The steps of mixtures: whose rows, how many, how often, in which order."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xsweep.train.mixture import Sampler, Stream

SEEDS = st.integers(0, 2**32 - 1)
TASKS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 60), st.integers(1, 90)), min_size=1, max_size=6)
"""Head, rows and rows an epoch of each task."""


def sampler(tasks: list[tuple[int, int, int]], size: int, seed: int) -> Sampler:
    starts: Counter[int] = Counter()
    streams = []
    for number, (head, rows, each) in enumerate(tasks):
        streams.append(Stream(f"task{number}", head, starts[head], rows, each))
        starts[head] += rows
    return Sampler(tuple(streams), size, seed)


@given(TASKS, st.integers(1, 40), SEEDS, st.integers(1, 5))
def test_every_step_is_of_one_head_and_every_task_has_its_rows(
    tasks: list[tuple[int, int, int]], size: int, seed: int, epoch: int
) -> None:
    made = sampler(tasks, size, seed)
    steps = made.epoch(epoch)
    assert len(steps) == len(made.epoch(1))
    drawn = [(head, int(row)) for head, rows in steps for row in rows]
    for stream in made.streams:
        own = [row for head, row in drawn if head == stream.head and 0 <= row - stream.start < stream.rows]
        assert len(own) == stream.each
    assert len(drawn) == sum(stream.each for stream in made.streams)
    for head in {stream.head for stream in made.streams}:
        sizes = sorted((len(rows) for of, rows in steps if of == head), reverse=True)
        assert all(rows == size for rows in sizes[:-1])
        assert 1 <= sizes[-1] <= size


@given(TASKS, st.integers(1, 40), SEEDS, st.integers(1, 5))
def test_proportional_epochs_visit_every_row_once(
    tasks: list[tuple[int, int, int]], size: int, seed: int, epoch: int
) -> None:
    made = sampler([(head, rows, rows) for head, rows, _ in tasks], size, seed)
    drawn = sorted((head, int(row)) for head, rows in made.epoch(epoch) for row in rows)
    assert drawn == sorted((s.head, s.start + row) for s in made.streams for row in range(s.rows))


@given(st.integers(1, 60), st.integers(1, 90), SEEDS, st.integers(1, 6))
def test_a_stream_goes_on_from_epoch_to_epoch(rows: int, each: int, seed: int, epochs: int) -> None:
    """No row comes a second time before every row has come."""
    stream = Stream("task", 0, 7, rows, each)
    drawn = np.concatenate([stream.draw(seed, epoch) for epoch in range(1, epochs + 1)]) - 7
    assert len(drawn) == epochs * each
    for start in range(0, len(drawn), rows):
        chunk = drawn[start : start + rows]
        assert len(set(chunk.tolist())) == len(chunk)
        assert set(chunk.tolist()) <= set(range(rows))


@given(TASKS, st.integers(1, 40), SEEDS)
def test_equal_seeds_give_equal_steps(tasks: list[tuple[int, int, int]], size: int, seed: int) -> None:
    first, second = (sampler(tasks, size, seed).epoch(2) for _ in range(2))
    assert [(head, rows.tolist()) for head, rows in first] == [(head, rows.tolist()) for head, rows in second]


@given(st.integers(2, 60), st.integers(1, 90), st.integers(0, 50), SEEDS)
def test_what_a_task_draws_does_not_depend_on_the_others(rows: int, each: int, start: int, seed: int) -> None:
    alone, placed = Stream("a", 0, 0, rows, each), Stream("a", 2, start, rows, each)
    assert (alone.draw(seed, 3) + start).tolist() == placed.draw(seed, 3).tolist()


def test_seeds_epochs_and_tasks_differ() -> None:
    stream, other = Stream("a", 0, 0, 50, 50), Stream("b", 0, 0, 50, 50)
    draws = [stream.draw(1, 1), stream.draw(1, 2), stream.draw(2, 1), other.draw(1, 1)]
    assert len({tuple(draw.tolist()) for draw in draws}) == 4


def test_heads_take_turns() -> None:
    heads = [head for head, _ in sampler([(0, 60, 60), (1, 60, 60)], 2, 5).epoch(1)]
    assert Counter(heads) == {0: 30, 1: 30}
    assert Counter(heads[:30])[0] not in (0, 30)
