from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from xsweep.models.catalog import MODELS, confounds, described
from xsweep.models.families import FAMILIES, family
from xsweep.models.model import Model

PUBLISHED = [model for model in MODELS.values() if model.ladder != "world"]
ROBERTA = {"max_position_embeddings": 514, "type_vocab_size": 1}
OWN: dict[str, dict[str, Any]] = {
    "xlm-roberta": ROBERTA,
    "xlm-roberta-xl": ROBERTA,
    "mt5": {"d_kv": 64, "feed_forward_proj": "gated-gelu"},
    "deberta-v2": {"type_vocab_size": 0, "relative_attention": True, "position_buckets": 256}
    | {"norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": ["p2c", "c2p"]}
    | {"position_biased_input": False},
    "rembert": {"input_embedding_size": 256, "output_embedding_size": 1664},
    "qwen3": {"head_dim": 128, "num_key_value_heads": 8},
}
"""What the published configurations say beside a shape."""
HEADS = {"mt5-small": 6, "mt5-base": 12, "mt5-large": 16, "mt5-xl": 32, "mt5-xxl": 64, "rembert": 18}
HEADS |= {"eurobert-610m": 18, "eurobert-2.1b": 18, "qwen3-0.6b": 16, "qwen3-1.7b": 16, "xlmr-xl": 32, "xlmr-xxl": 32}
HEADS |= {"mmbert-small": 6, "qwen3-4b": 32, "qwen3-8b": 32, "xlmr-large": 16}
"""Attention heads where they are not 12."""


def config(model: Model) -> Any:
    """The published configuration."""
    assert model.shape is not None
    layers, width, ffn, words = (getattr(model.shape, name) for name in ("layers", "width", "ffn", "vocabulary"))
    heads = HEADS.get(model.name, 12)
    if model.model_type == "mt5":
        shape = {"num_layers": layers, "d_model": width, "d_ff": ffn, "num_heads": heads, "num_decoder_layers": layers}
    else:
        shape = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": ffn}
        shape |= {"num_attention_heads": heads}
    if model.model_type == "eurobert":
        shape["num_key_value_heads"] = 6 if heads == 18 else heads
    if model.model_type == "qwen3":
        shape["tie_word_embeddings"] = model.name != "qwen3-8b"
    return transformers.AutoConfig.for_model(
        model.model_type, **{"vocab_size": words, **OWN.get(model.model_type, {}), **shape}
    )


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model.name)
def test_parameters_are_those_of_the_architecture(model: Model) -> None:
    kind, settings = family(model.model_type), config(model)
    with torch.device("meta"):
        made: Any = transformers.MODEL_MAPPING[type(settings)] if not kind.part else getattr(transformers, kind.auto)
        pooler = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(made).parameters else {}
        used: nn.Module = made(settings, **pooler).get_submodule(kind.part)
        whole: Any = used
        if model.model_type == "mt5":
            whole = transformers.MT5ForConditionalGeneration(settings)
        elif model.model_type == "qwen3":
            whole = transformers.Qwen3ForCausalLM(settings)
        elif model.model_type != "eurobert":  # whose published checkpoints tie a plain map to the word table
            masked: Any = transformers.MODEL_FOR_MASKED_LM_MAPPING[type(settings)]
            whole = masked(settings)
    # mT5's output table is not tied in what is published, whatever a configuration of today makes of it.
    untied = model.embedding_params or 0 if model.model_type == "mt5" else 0
    assert model.total_params == count(whole) + untied
    assert model.params == count(used)
    assert model.embedding_params == dict(used.named_parameters())[kind.table].numel()


def test_names_and_ladders() -> None:
    assert all(name == model.name for name, model in MODELS.items())
    assert {"xlmr", "mt5", "eurobert", "mmbert", "qwen3", "world", ""} == {m.ladder for m in MODELS.values()}
    assert all(model.pooling == family(model.model_type).pooling for model in PUBLISHED)
    assert {model.model_type for model in PUBLISHED} == set(FAMILIES) - {"roberta"}


def test_what_a_family_says_stands_beside_an_entry() -> None:
    entry = described(MODELS["mt5-xl"])
    assert (entry["kind"], entry["norm"], entry["positions"]) == ("encoder-decoder", "pre", "relative")
    assert entry["cut"] == "each of block, the rest with the root"
    assert entry["trunk_params"] + entry["embedding_params"] == entry["params"]


def test_what_differs_beside_size_is_told() -> None:
    small, large, tall = (MODELS[name] for name in ("xlmr-base", "xlmr-large", "xlmr-xxl"))
    assert confounds([small, large, MODELS["qwen3-0.6b"]]) == []
    (told,) = confounds([small, tall])
    assert told.endswith(
        "xlmr differ in more than size: pretraining tokens (0.5T, 6T), placement of the norm (post and pre)"
    )
