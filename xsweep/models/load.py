"""Opening a ``transformers`` folder: safetensors only, no code from the folder, and nothing missing in silence."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from xsweep.errors import EnvironmentProblem
from xsweep.models.families import FAMILIES

_DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "classifier_dropout",
)


def load_encoder(folder: Path, dropout: float | None) -> nn.Module:
    """The encoder in fp32 on the CPU, without a pooler; ``dropout`` overrides the folder's own.

    ``check_model_folder`` comes before. Raises ``EnvironmentProblem`` for weights that are not whole.
    """
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    # What is wrong with the weights is raised below.
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if dropout is not None:
        for name in _DROPOUTS:
            if hasattr(config, name):
                setattr(config, name, dropout)
    options: dict[str, Any] = {"config": config, "trust_remote_code": False, "use_safetensors": True}
    options |= {"dtype": torch.float32, "attn_implementation": "sdpa", "output_loading_info": True}
    if _has_pooler(config):
        options["add_pooling_layer"] = False
    encoder, report = transformers.AutoModel.from_pretrained(folder, **options)
    if report["missing_keys"] or report["mismatched_keys"]:
        wrong = sorted(map(str, {*report["missing_keys"], *report["mismatched_keys"]}))
        raise EnvironmentProblem(f"{folder}: the weights lack {', '.join(wrong[:3])} ({len(wrong)} in all)")
    assert isinstance(encoder, nn.Module)
    _own(encoder)
    return encoder


def load_tokenizer(folder: Path) -> transformers.PreTrainedTokenizerFast:
    """The folder's fast tokenizer; raises ``EnvironmentProblem`` when it has none."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False)
    if not isinstance(tokenizer, transformers.PreTrainedTokenizerFast) or tokenizer.pad_token_id is None:
        raise EnvironmentProblem(f"{folder}: a fast tokenizer with a padding token is needed")
    return tokenizer


def layers(encoder: nn.Module) -> nn.ModuleList:
    """The encoder's stack of layers, in which sharding cuts it."""
    config: Any = encoder.config
    found = encoder.get_submodule(FAMILIES[config.model_type].stack)
    assert isinstance(found, nn.ModuleList)
    return found


def word_table(encoder: nn.Module) -> nn.Parameter:
    """The word embeddings (vocabulary, width)."""
    table = encoder.get_input_embeddings().weight  # type: ignore[operator]
    assert isinstance(table, nn.Parameter)
    return table


def head_settings(encoder: nn.Module) -> tuple[float, float]:
    """(dropout, deviation of fresh weights) that a new head takes from the encoder's configuration."""
    config: Any = encoder.config
    dropout = next((getattr(config, name) for name in _DROPOUTS if getattr(config, name, None) is not None), 0.0)
    return float(dropout), float(getattr(config, "initializer_range", 0.02))


def _has_pooler(config: transformers.PretrainedConfig) -> bool:
    kind: Any = transformers.MODEL_MAPPING[type(config)]
    return "add_pooling_layer" in inspect.signature(kind).parameters


def _own(encoder: nn.Module) -> None:
    """Copy the weights out of the mapped file.

    There they lie at the file's alignment, by which kernels may choose another path than after a copy,
    and a file replaced meanwhile would show through.
    """
    for parameter in encoder.parameters():
        parameter.data = parameter.data.clone()
