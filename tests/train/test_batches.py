from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xsweep.tasks.features import Features
from xsweep.train.batches import collate, concat, cut, epoch_batches, micro_batches
from xsweep.train.world import World

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


def ragged(lengths: list[int], spans: bool = False) -> Features:
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    ids = np.arange(10, 10 + offsets[-1], dtype=np.int32)
    n = len(lengths)
    pairs = np.stack([np.zeros(n), np.array(lengths)], axis=1).astype(np.int32)
    return Features(
        ids=ids,
        offsets=offsets,
        example=np.arange(n, dtype=np.int32),
        targets=pairs if spans else np.arange(n, dtype=np.int32),
        allowed=pairs if spans else None,
        chars=np.stack([ids, ids], axis=1) if spans else None,
    )


@given(rows=st.integers(1, 50), size=st.integers(1, 20), seed=st.integers(0, 3))
def test_an_epoch_is_a_permutation_in_full_batches(rows: int, size: int, seed: int) -> None:
    batches = epoch_batches(rows, size, seed, 1)
    assert sorted(np.concatenate(batches).tolist()) == list(range(rows))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first = np.concatenate(epoch_batches(30, 8, 1, 1))
    np.random.seed(5)
    assert np.array_equal(first, np.concatenate(epoch_batches(30, 7, 1, 1)))
    assert not np.array_equal(first, np.concatenate(epoch_batches(30, 8, 1, 2)))
    assert not np.array_equal(first, np.concatenate(epoch_batches(30, 8, 2, 1)))


@given(lengths=LENGTHS, tokens=st.integers(1, 300), price=st.integers(0, 90))
def test_parts_keep_the_budget_and_every_row(lengths: list[int], tokens: int, price: int) -> None:
    length = np.array(sorted(lengths), dtype=np.int64)
    parts = cut(length, np.arange(len(length)), tokens, price)
    assert np.array_equal(np.concatenate(parts), np.arange(len(length)))
    assert all(len(part) * length[part].max() <= tokens or len(part) == 1 for part in parts)


def cheapest(lengths: list[int], tokens: int, price: int) -> int:
    """The least cost of any cut, by trying them all."""
    if not lengths:
        return 0
    return min(
        n * lengths[n - 1] + price + cheapest(lengths[n:], tokens, price)
        for n in range(1, len(lengths) + 1)
        if n == 1 or n * lengths[n - 1] <= tokens
    )


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=9), tokens=st.integers(1, 300), price=st.integers(0, 90)
)
def test_no_cut_is_cheaper(lengths: list[int], tokens: int, price: int) -> None:
    length = np.array(sorted(lengths), dtype=np.int64)
    parts = cut(length, np.arange(len(length)), tokens, price)
    cost = sum(len(part) * int(length[part].max()) + price for part in parts)
    assert cost == cheapest(sorted(lengths), tokens, price)


@given(lengths=LENGTHS, tokens=st.integers(1, 300), size=st.integers(1, 4))
def test_workers_share_a_batch_in_equally_many_parts(lengths: list[int], tokens: int, size: int) -> None:
    length = np.array(lengths, dtype=np.int64)
    batch = np.arange(len(lengths))
    worlds = [World(rank, size, torch.device("cpu")) for rank in range(size)]
    shares = [micro_batches(length, batch, world, tokens, 32) for world in worlds]
    assert len({len(share) for share in shares}) == 1
    real = [micro.rows for share in shares for micro in share if not micro.idle]
    assert sorted(np.concatenate(real).tolist()) == batch.tolist()
    assert all(len(micro.rows) == 1 for share in shares for micro in share if micro.idle)
    counts = [sum(len(micro.rows) for micro in share if not micro.idle) for share in shares]
    assert max(counts) - min(counts) <= 1


@given(lengths=LENGTHS, tokens=st.integers(1, 300))
def test_without_padding_parts_are_the_fewest(lengths: list[int], tokens: int) -> None:
    length = np.array(sorted(lengths), dtype=np.int64)
    parts = cut(length, np.arange(len(length)), tokens, None)
    assert np.array_equal(np.concatenate(parts), np.arange(len(length)))
    assert all(length[part].sum() <= tokens or len(part) == 1 for part in parts)
    joined = [np.concatenate(pair) for pair in itertools.pairwise(parts)]
    assert all(length[pair][: len(first) + 1].sum() > tokens for first, pair in zip(parts, joined, strict=False))


@given(lengths=LENGTHS, spans=st.booleans())
def test_collate_puts_rows_one_after_the_other(lengths: list[int], spans: bool) -> None:
    features = ragged(lengths, spans)
    rows = np.arange(len(lengths))[::-1].copy()
    batch = collate(features, rows, torch.device("cpu"))
    assert batch.segments.lengths.tolist() == lengths[::-1]
    assert batch.ids.tolist() == [number for row in rows for number in features.ids[features.span(row)]]
    assert batch.targets.tolist() == features.targets[rows].tolist()
    assert (batch.allowed is not None) == spans


@given(lengths=st.lists(st.integers(1, 9), min_size=6, max_size=6))
def test_choices_find_their_sequences(lengths: list[int]) -> None:
    """Three rows of one, three and two choices, in another order."""
    edges = np.cumsum([0, *lengths], dtype=np.int64)
    features = replace(ragged(lengths), offsets=edges[[0, 1, 4, 6]], example=np.arange(3, dtype=np.int32))
    features = replace(features, targets=np.zeros(3, dtype=np.int32), sequences=edges)
    batch = collate(features, np.array([2, 0, 1]), torch.device("cpu"))
    assert (np.diff(batch.segments.lengths) >= 0).all()
    assert batch.choices is not None
    found = [
        [batch.ids[batch.segments.row == place].tolist() for place in row if place >= 0]
        for row in batch.choices.tolist()
    ]
    own = [features.ids[start:end].tolist() for start, end in itertools.pairwise(edges)]
    assert found == [own[4:6], own[0:1], own[1:4]]


@pytest.mark.parametrize("spans", [False, True])
def test_concat_counts_on(spans: bool) -> None:
    parts = [ragged([3, 1], spans), ragged([2], spans), ragged([4, 4, 1], spans)]
    whole = concat(parts)
    assert whole.lengths.tolist() == [3, 1, 2, 4, 4, 1]
    assert whole.example.tolist() == [0, 1, 2, 3, 4, 5]
    rows = [part.ids[part.span(i)].tolist() for part in parts for i in range(len(part))]
    assert [whole.ids[whole.span(i)].tolist() for i in range(6)] == rows
    assert concat(parts[:1]) is parts[0]
