"""Families: everything that depends on a model's type, once. A family not in this table is not loaded.

``activation`` was measured with ``saved_tensors_hooks`` in bf16, SDPA where there is one, hidden dropout on, padded
micro-batches of 64 and 128 tokens a row, as the difference of 4 and 2 layers; a test measures it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Family:
    """How the checkpoints of one ``model_type`` are opened, cut, pooled and counted."""

    model_type: str
    kind: Literal["encoder", "encoder-decoder", "decoder"]
    """Of an encoder-decoder the encoder alone is used."""
    stack: str
    """Where the layers are in the module that is used; sharding cuts there, the rest is one unit with the root."""
    norm: Literal["pre", "post"]
    positions: Literal["absolute", "rotary", "relative"]
    activation: tuple[float, float]
    """Bytes kept for the backward pass per token, width and layer in bf16 and in fp32, beside the two below."""
    prefix: str
    """What stands before the used module's names in checkpoints that hold a head or a decoder too."""
    unused: tuple[str, ...]
    """Parts of such checkpoints, without the prefix, that own heads never use."""
    table: str
    """The word table's name in the used module."""
    pooling: Literal["first", "mean", "last"] = "first"
    auto: str = "AutoModel"
    """The class of ``transformers`` that reads the checkpoint."""
    part: str = ""
    """The part of that class's module that is used; all of it where empty."""
    aliases: Mapping[str, str] | None = None
    """Names in the used module -> names in the checkpoint, where they differ by more than the prefix."""
    attention: Literal["segments", "sdpa", "eager"] = "segments"
    """``segments`` runs without padding (``attention.py``): for families whose attention goes through the interface of
    ``transformers`` and needs no bias of its own."""
    attended: tuple[float, float] = (4.0, 8.0)
    """The same per width of queries and keys; twice the layer's width where there are as many keys as queries."""
    gated: bool = False
    """Whether the feed-forward block keeps four vectors of its own width (gate, its activation, other side, product)
    instead of two."""
    reserved: int = 0
    """Positions of the table that no token has: RoBERTa counts from the padding token's id on."""

    def counted(self, name: str) -> str | None:
        """The used module's name for a tensor of a checkpoint; None for one that is not used."""
        for ours, theirs in (self.aliases or {}).items():
            if name == theirs:
                return ours
        own = name.removeprefix(self.prefix) if self.prefix else name
        own = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", own))
        return None if own.startswith(self.unused) else own


def _bert(model_type: str, prefix: str, **changes: object) -> Family:
    given: dict[str, object] = {
        "stack": "encoder.layer",
        "norm": "post",
        "positions": "absolute",
        "activation": (12.0, 24.0),
    }
    given |= {"table": "embeddings.word_embeddings.weight", "unused": _HEADS}
    return Family(model_type, "encoder", prefix=prefix, **{**given, **changes})  # type: ignore[arg-type]


def _llama(model_type: str, kind: str, **changes: object) -> Family:
    given: dict[str, object] = {
        "stack": "layers",
        "norm": "pre",
        "positions": "rotary",
        "prefix": "model.",
        "gated": True,
    }
    given |= {"table": "embed_tokens.weight", "unused": ("lm_head.", "score.", "classifier.", "dense.")}
    return Family(model_type, kind=kind, **{**given, **changes})  # type: ignore[arg-type]


_HEADS = ("pooler.", "cls.", "lm_head.", "classifier.", "lm_predictions.", "mask_predictions.", "qa_outputs.")

FAMILIES: Mapping[str, Family] = {
    family.model_type: family
    for family in (
        _bert("bert", "bert."),
        _bert("roberta", "roberta.", reserved=2),
        _bert("xlm-roberta", "roberta.", reserved=2),
        _bert("xlm-roberta-xl", "roberta.", reserved=2, norm="pre", activation=(10.0, 20.0)),
        _bert("rembert", "rembert.", activation=(16.0, 32.0), attention="eager"),
        _bert("deberta-v2", "deberta.", positions="relative", activation=(89.0, 178.0), attention="eager"),
        _llama("eurobert", "encoder", activation=(16.0, 24.0)),
        _llama(
            "modernbert",
            "encoder",
            activation=(13.0, 26.0),
            table="embeddings.tok_embeddings.weight",
            unused=("head.", "decoder.", "classifier."),
        ),
        _llama("qwen3", "decoder", activation=(16.0, 24.0), attended=(10.0, 16.0), pooling="last"),
        Family(
            "mt5",
            "encoder-decoder",
            stack="block",
            norm="pre",
            positions="relative",
            activation=(76.0, 152.0),
            prefix="encoder.",
            unused=("shared.", "decoder.", "lm_head."),
            table="embed_tokens.weight",
            pooling="mean",
            attention="sdpa",
            auto="MT5EncoderModel",
            part="encoder",
            gated=True,
            aliases={"embed_tokens.weight": "shared.weight"},
        ),
    )
}
"""``model_type`` of a checkpoint's configuration -> its family."""


def family(model_type: str) -> Family:
    """The family of a type in the table; ``KeyError`` for another."""
    return FAMILIES[model_type]
