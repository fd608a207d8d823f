"""Encoders without padding: all tokens of a micro-batch are one row, and attention alone knows where sequences end.

Everything but the attention product works token by token, so one row of all real tokens through the encoder computes
what padded rows do, less the padding. Our attention function is registered with ``transformers``; it is handed the
``Segments`` through the encoder's keyword arguments. Without them it is ``sdpa``, as in every other call.

Attention is computed in one of two ways. A GPU's kernel for sequences of any length runs in half precision and without
dropout in attention; everything else, so also a model whose own configuration drops attention (published XLM-R does, by
0.1, unless a recipe's ``dropout`` says otherwise), is padded in blocks for the product alone: what dropout means is not
changed for speed. ``tests/benchmarks/throughput.py`` says which one ran, and what the other would have taken.

Nothing is compiled (``torch.compile``): on a core it gains 1 % where arithmetic counts and takes minutes to begin, and
what it gains on a GPU has not been measured; the benchmark has a line for it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from xsweep.models.families import FAMILIES
from xsweep.models.segments import Block, Segments

NAME = "xsweep_segments"
"""What an encoder's configuration calls the attention function of this module."""

REGISTERED = {"segments": NAME}
"""What a family calls it (``Family.attention``)."""


def unpadded(encoder: nn.Module) -> bool:
    """Whether ``encode`` runs without padding."""
    config: Any = encoder.config
    return bool(config._attn_implementation == NAME)


def encode(encoder: nn.Module, ids: Tensor, segments: Segments, types: Tensor | None) -> Tensor:
    """Hidden states (tokens, width) of ``ids`` (tokens,), and of ``types`` where the encoder takes them."""
    if unpadded(encoder):
        extra = {} if types is None else {"token_type_ids": types[None]}
        positions = _positions(encoder, ids, segments)[None]
        # A mask of four dimensions is taken for a finished one, so that none is made; ours needs none.
        unused = torch.empty(1, 1, 1, 1, device=ids.device)
        extra |= {"input_ids": ids[None], "position_ids": positions, "attention_mask": unused}
        return encoder(**extra, segments=segments).last_hidden_state[0]  # type: ignore[no-any-return]
    block = segments.whole
    extra = {} if types is None else {"token_type_ids": block.pad(types)}
    config: Any = encoder.config
    filled = block.pad(ids).masked_fill(~block.real, config.pad_token_id or 0)
    hidden = encoder(input_ids=filled, attention_mask=block.real.long(), **extra).last_hidden_state
    return block.flat(hidden)


def flat(encoder: nn.Module, hidden: Tensor, segments: Segments) -> Tensor:
    """(tokens, width) of what a layer of ``encoder`` handed on within ``encode``."""
    return hidden[0] if unpadded(encoder) else segments.whole.flat(hidden)


def _positions(encoder: nn.Module, ids: Tensor, segments: Segments) -> Tensor:
    """(tokens,) positions as the encoder gives them to a padded row."""
    config: Any = encoder.config
    if not FAMILIES[config.model_type].reserved:
        return segments.positions
    # As in a padded row, a padding token spelled out in a text is not counted.
    counts = ids != config.pad_token_id
    counted = counts.cumsum(0)
    before = (counted - counts.long())[segments.starts]
    return (counted - before[segments.row]) * counts + config.pad_token_id  # type: ignore[no-any-return]


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    segments: Segments | None = None,
    **named: Any,
) -> tuple[Tensor, None]:
    """The attention function: (1, tokens, heads, width of one) from (1, heads, tokens, width of one)."""
    if segments is None:
        named |= {"dropout": dropout, "scaling": scaling, "sliding_window": sliding_window}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **named)
    causal = bool(getattr(module, "is_causal", False))
    window = None if sliding_window is None or sliding_window > segments.longest else sliding_window
    queries, keys, values = (part.transpose(1, 2)[0] for part in (query, key, value))
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) and dropout == 0.0:
        # The GPU's kernel for sequences of any length knows neither fp32 nor dropout.
        behind = -1 if window is None else window - 1
        found = varlen_attn(
            queries,
            keys,
            values,
            segments.edges,
            segments.edges,
            segments.longest,
            segments.longest,
            scale=scaling,
            window_size=(behind, 0 if causal else behind),
            enable_gqa=keys.shape[1] != queries.shape[1],
        )
        assert isinstance(found, Tensor)
        return found[None], None
    sizes = [block.tokens for block in segments.blocks]
    products = []
    for block, q, k, v in zip(
        segments.blocks, *(torch.split(part, sizes) for part in (queries, keys, values)), strict=True
    ):
        q, k, v = (block.pad(part).transpose(1, 2) for part in (q, k, v))
        mask = _mask(block, causal, window)
        options: dict[str, Any] = {"dropout": dropout, "scaling": scaling, "is_causal": causal and mask is None}
        product, _ = sdpa_attention_forward(module, q, k, v, mask, **options)
        products.append(block.flat(product))
    return torch.cat(products)[None], None


def _mask(block: Block, causal: bool, window: int | None) -> Tensor | None:
    """Which places may look at which, (rows, 1, width or 1, width); None where all may, or where causality is all."""
    real = block.real[:, None, None]
    if window is None or window >= block.width:
        # No real token looks behind its own end if it looks only back.
        return None if causal or block.taken is None else real
    place = torch.arange(block.width, device=real.device)
    ahead = place[None] - place[:, None]
    near = (ahead > -window) & (ahead < (1 if causal else window))
    # Padding may look at everything: to see nothing at all would make it NaN.
    return (near & real) | ~block.real[:, None, :, None]


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
