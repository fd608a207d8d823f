from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from xsweep.models.heads import losses, make_head, pool
from xsweep.models.segments import Segments


def head(form: str, seed: int = 5, outputs: int = 3) -> nn.Module:
    return make_head(form, nn.Parameter(torch.zeros(20, 8)), outputs, dropout=0.0, pooling="mean", std=0.02, seed=seed)


def values(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


@pytest.mark.parametrize("form", ["pair", "span", "text"])
def test_a_fresh_head_is_a_function_of_its_seed_alone(form: str) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = values(head(form))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert all(map(torch.equal, first, values(head(form))))
    assert not all(map(torch.equal, first, values(head(form, seed=6))))


def of(*lengths: int) -> Segments:
    return Segments(np.array(lengths), torch.device("cpu"))


def test_pooling_sees_the_tokens_of_each_sequence_alone() -> None:
    hidden = torch.tensor([[1.0], [3.0], [100.0]])
    assert pool(hidden, of(2, 1), "mean").tolist() == [[2.0], [100.0]]
    assert pool(hidden, of(2, 1), "first").tolist() == [[1.0], [100.0]]


def test_span_loss_does_not_depend_on_the_rows_beside() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 10, 2)
    targets, allowed = torch.tensor([[4, 6], [0, 0]]), torch.tensor([[3, 9], [2, 8]])
    short = losses(logits.flatten(0, 1), of(10, 10), targets, allowed)
    beside = torch.cat([logits.flatten(0, 1), torch.full((60, 2), 7.0)])
    both = losses(beside, of(10, 10, 60), torch.cat([targets, targets[:1]]), torch.cat([allowed, allowed[:1]]))
    torch.testing.assert_close(both[:2], short, rtol=0, atol=1e-6)


def test_span_loss_ignores_the_question() -> None:
    logits = torch.randn(10, 2)
    targets, allowed = torch.tensor([[4, 6]]), torch.tensor([[3, 9]])
    other = logits.clone()
    other[1:3] = 40.0
    other[9:] = 40.0
    plain = losses(logits, of(10), targets, allowed)
    torch.testing.assert_close(losses(other, of(10), targets, allowed), plain, rtol=0, atol=0)
    other[0] = 40.0
    assert (losses(other, of(10), targets, allowed) > plain).all()


def test_span_loss_is_the_mean_of_both_ends() -> None:
    logits = torch.randn(6, 2)
    targets, allowed = torch.tensor([[2, 3]]), torch.tensor([[1, 6]])
    start, end = logits[:, 0], logits[:, 1]
    expected = (-start.log_softmax(0)[2] - end.log_softmax(0)[3]) / 2
    torch.testing.assert_close(losses(logits, of(6), targets, allowed)[0], expected)


def test_pair_loss_is_cross_entropy_by_row() -> None:
    logits, targets = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    expected = -logits.log_softmax(1)[torch.arange(4), targets]
    torch.testing.assert_close(losses(logits, of(1, 1, 1, 1), targets, None), expected)


def test_hidden_tokens_are_guessed_with_the_word_table_itself() -> None:
    table = nn.Parameter(torch.randn(20, 8, generator=torch.Generator().manual_seed(1)))
    guess = make_head("text", table, 1, dropout=0.0, pooling="mean", std=0.2, seed=1)
    assert sorted(name for name, _ in guess.named_parameters()) == ["bias", "dense.bias", "dense.weight"]
    hidden = torch.randn(10, 8, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([-100, 3, -100, 7, -100, -100, -100, 19, -100, -100])
    logits = guess(hidden[labels != -100], of(5, 5))
    assert logits.shape == (3, 20)
    each = functional.cross_entropy(logits, torch.tensor([3, 7, 19]), reduction="none")
    by_row = losses(logits, of(5, 5), labels, None, labels)
    torch.testing.assert_close(by_row, torch.stack([each[0] + each[1], each[2]]))
    assert torch.autograd.grad(by_row.sum(), table)[0].abs().sum() > 0
