from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xsweep.models.segments import PRICE, Segments, cheapest

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=10)


def of(lengths: list[int]) -> Segments:
    return Segments(np.array(lengths), torch.device("cpu"))


@given(lengths=LENGTHS)
def test_every_token_has_its_row_and_its_place(lengths: list[int]) -> None:
    segments = of(lengths)
    expected = [(row, place) for row, length in enumerate(lengths) for place in range(length)]
    assert list(zip(segments.row.tolist(), segments.positions.tolist(), strict=True)) == expected
    assert segments.starts.tolist() == segments.edges[:-1].tolist()
    assert segments.edges[-1] == sum(lengths)


def dearest(lengths: list[int], price: int) -> int:
    """The least cost of any blocks, by trying them all."""
    if not lengths:
        return 0
    return min(n * max(lengths[:n]) ** 2 + price + dearest(lengths[n:], price) for n in range(1, len(lengths) + 1))


@given(lengths=LENGTHS, price=st.integers(1, 300))
def test_no_blocks_are_cheaper(lengths: list[int], price: int) -> None:
    edges = cheapest(np.array(lengths), price)
    blocks = [lengths[start:end] for start, end in itertools.pairwise(edges)]
    assert [length for block in blocks for length in block] == lengths
    assert sum(len(block) * max(block) ** 2 + price for block in blocks) == dearest(lengths, price)


@given(lengths=LENGTHS, price=st.sampled_from([0, 50, 10_000]))
def test_padding_takes_no_gradient_and_gives_none(lengths: list[int], price: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRICE, "cpu", price)
        blocks = of(lengths).blocks
    sizes = [block.tokens for block in blocks]
    values = torch.randn(sum(lengths), 2, 3, requires_grad=True)
    weight = torch.randn(sum(lengths), 2, 3)
    parts = [block.pad(part) for block, part in zip(blocks, torch.split(values, sizes), strict=True)]
    assert all(part.shape == (block.rows, block.width, 2, 3) for block, part in zip(blocks, parts, strict=True))
    back = torch.cat([block.flat(part * 3) for block, part in zip(blocks, parts, strict=True)])
    assert torch.equal(back, values * 3)
    (back * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert torch.equal(values.grad, weight * 3)
