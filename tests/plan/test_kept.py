"""What a layer keeps for the backward pass, of every family, padded and with its own attention."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from tests.train.small import OWN
from xsweep.models.families import FAMILIES
from xsweep.models.model import Shape
from xsweep.plan.memory import kept_bytes

WIDTH = 256
FFN = {"mt5": 2.6, "modernbert": 1.5, "qwen3": 2.8}
"""Width of the feed-forward blocks over that of the hidden states, as in the published models; 4 elsewhere."""
SHAPE: dict[str, dict[str, Any]] = {
    "mt5": {"d_kv": 64, "dropout_rate": 0.1},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 128},
}
SHAPE |= {"eurobert": {"num_key_value_heads": 4}, "deberta-v2": {"position_buckets": 256}}


def kept(kind: str, layers: int, tokens: int) -> int:
    """Bytes that the forward pass of four rows keeps for the backward pass, parameters apart."""
    ffn = int(WIDTH * FFN.get(kind, 4))
    shape: dict[str, Any] = {"hidden_size": WIDTH, "num_hidden_layers": layers, "num_attention_heads": 4}
    shape |= {"intermediate_size": ffn, "vocab_size": 100, "max_position_embeddings": 300, "pad_token_id": 1}
    shape |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.0}
    own = {**OWN.get(kind, {}), **SHAPE.get(kind, {}), **({"d_ff": ffn} if kind == "mt5" else {})}
    config = transformers.AutoConfig.for_model(kind, **{**shape, **own})
    made: Any = getattr(transformers, FAMILIES[kind].auto)
    if made is transformers.AutoModel:
        made = transformers.MODEL_MAPPING[type(config)]
    pooler = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(made).parameters else {}
    model = made(config, **pooler).to(torch.bfloat16).train()
    own_memory = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    held: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own_memory:
            held[place] = tensor
        return tensor

    mask = torch.ones(4, tokens, dtype=torch.long)
    mask[0, tokens // 2 :] = 0
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=torch.full((4, tokens), 7), attention_mask=mask)
    return sum(tensor.untyped_storage().nbytes() for tensor in held.values())


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_a_layer_keeps_for_the_backward_pass(kind: str) -> None:
    """By the difference of four and two layers, in bytes of one token."""
    measured = max((kept(kind, 4, n) - kept(kind, 2, n)) / (4 * n) for n in (64, 128))
    attention = 3 * WIDTH if kind == "qwen3" else None  # four heads of 128 ask, two are asked
    shape = {"width": WIDTH, "ffn": int(WIDTH * FFN.get(kind, 4)), "vocabulary": 100, "attention": attention}
    two, four = (kept_bytes(kind, Shape(layers=n, **shape), "bf16", recompute=False) for n in (2, 4))
    assert measured == pytest.approx(four - two, rel=0.08)
