"""One row of all tokens against padded rows: hidden states and gradients, of every family that can."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from xsweep.models import segments as room
from xsweep.models.attention import NAME, encode
from xsweep.models.families import FAMILIES
from xsweep.models.segments import Segments

OWN: dict[str, dict[str, Any]] = {
    # Windows of 9 tokens in two layers of three.
    "modernbert": {"local_attention": 8, "global_attn_every_n_layers": 3},
    "eurobert": {"num_key_value_heads": 2},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
}
UNPADDED = [kind for kind, family in FAMILIES.items() if family.attention == "segments"]
LENGTHS = [3, 3, 4, 5, 9, 17, 30, 30]


def encoders(kind: str, **changes: Any) -> tuple[nn.Module, nn.Module]:
    """The same random encoder, with ours and with ``sdpa``."""
    shape: dict[str, Any] = {"vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    shape |= {"intermediate_size": 64, "max_position_embeddings": 80, "pad_token_id": 1, "initializer_range": 0.2}
    shape |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = AutoConfig.for_model(kind, **{**shape, **OWN.get(kind, {}), **changes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, second = (
            AutoModel.from_config(deepcopy(config), attn_implementation=name)  # type: ignore[no-untyped-call]
            for name in (NAME, "sdpa")
        )
    second.load_state_dict(first.state_dict())
    return first, second


def run(encoder: nn.Module, ids: Tensor, lengths: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
    """Hidden states, and the gradients of a random sum of them."""
    hidden = encode(encoder, ids, Segments(np.array(lengths), ids.device), None)
    (hidden * torch.randn(hidden.shape, generator=torch.Generator().manual_seed(1))).sum().backward()  # type: ignore[no-untyped-call]
    found = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    encoder.zero_grad()
    return hidden.detach(), found


@pytest.mark.parametrize("price", [0, 100, 10**9])
@pytest.mark.parametrize("kind", UNPADDED)
def test_one_row_of_tokens_is_what_padded_rows_are(kind: str, price: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(room.PRICE, "cpu", price)
    ours, theirs = encoders(kind)
    ids = torch.randint(2, 120, (sum(LENGTHS),), generator=torch.Generator().manual_seed(3))
    one, gradients = run(ours, ids, LENGTHS)
    other, expected = run(theirs, ids, LENGTHS)
    assert (one - other).abs().max() <= 1e-6 * other.abs().max()
    assert gradients.keys() == expected.keys()
    largest = max(value.abs().max().item() for value in expected.values())
    for name, value in expected.items():
        # A key's bias has no gradient but rounding: what it adds, the softmax takes away.
        bound = 1e-5 * max(value.abs().max().item(), 1e-2 * largest)
        assert (gradients[name] - value).abs().max().item() <= bound, name


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=8), kind=st.sampled_from(["modernbert", "qwen3"]))
def test_any_lengths_give_finite_gradients_and_the_same_states(lengths: list[int], kind: str) -> None:
    """Windows hide whole rows of padding, which must not become NaN."""
    changes = {"local_attention": 2} if kind == "modernbert" else {}
    ours, theirs = encoders(kind, **changes)
    ids = torch.randint(2, 120, (sum(lengths),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(room.PRICE, "cpu", 10**9)
        one, gradients = run(ours, ids, lengths)
    assert (one - run(theirs, ids, lengths)[0]).abs().max() < 1e-5
    assert all(value.isfinite().all() for value in gradients.values())


def test_a_causal_window_looks_back_alone() -> None:
    window = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}
    ours, theirs = encoders("qwen3", **window)
    ids = torch.randint(2, 120, (sum(LENGTHS),))
    torch.testing.assert_close(run(ours, ids, LENGTHS)[0], run(theirs, ids, LENGTHS)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta-xl"])
def test_a_padding_token_in_a_text_has_no_position(kind: str) -> None:
    """A tokenizer gives its id where a text spells the token out; ``transformers`` leaves it out of the count."""
    ours, theirs = encoders(kind)
    ids = torch.tensor([5, 1, 6, 7, 8, 1, 1, 9])
    torch.testing.assert_close(run(ours, ids, [3, 5])[0], run(theirs, ids, [3, 5])[0], rtol=1e-5, atol=1e-5)


def test_without_segments_it_is_sdpa() -> None:
    ours, theirs = encoders("bert")
    ids, mask = torch.tensor([[5, 6, 7, 1], [5, 6, 7, 8]]), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    one, other = (encoder(input_ids=ids, attention_mask=mask).last_hidden_state for encoder in (ours, theirs))
    assert torch.equal(one, other)


def test_an_encoder_with_a_bias_of_its_own_is_padded() -> None:
    assert sorted(FAMILIES.keys() - set(UNPADDED)) == ["deberta-v2", "mt5", "rembert"]
