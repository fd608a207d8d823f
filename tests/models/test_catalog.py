from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel

from xsweep.models.catalog import MODELS

SHAPES: dict[str, dict[str, Any]] = {
    "xlmr-base": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    "xlmr-large": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16},
}


@pytest.mark.parametrize("name", sorted(name for name in MODELS if MODELS[name].ladder == "xlmr"))
def test_parameters_are_those_of_the_architecture(name: str) -> None:
    with torch.device("meta"):
        config = XLMRobertaConfig(vocab_size=250_002, max_position_embeddings=514, type_vocab_size=1, **SHAPES[name])
        encoder = XLMRobertaModel(config, add_pooling_layer=False)
    assert MODELS[name].params == sum(parameter.numel() for parameter in encoder.parameters())
    assert MODELS[name].embedding_params == encoder.embeddings.word_embeddings.weight.numel()


def test_names_and_ladders() -> None:
    assert all(name == model.name for name, model in MODELS.items())
    assert {model.ladder for model in MODELS.values()} == {"xlmr", "world"}
