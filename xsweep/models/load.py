"""Opening a ``transformers`` folder: safetensors only, no code from the folder, and nothing missing in silence."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from torch.utils.checkpoint import checkpoint

from xsweep.errors import EnvironmentProblem
from xsweep.models.families import FAMILIES
from xsweep.models.weights import Weights

_DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "classifier_dropout",
    "dropout_rate",
)


def empty_encoder(folder: Path, dropout: float | None) -> nn.Module:
    """The module that is used, in fp32, without a pooler: buffers as they must be, parameters without memory.

    ``dropout`` overrides the folder's own. ``check_model_folder`` comes before.
    """
    # What is wrong with a folder is raised.
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    kind = FAMILIES[config.model_type]
    for name in _DROPOUTS if dropout is not None else ():
        if hasattr(config, name):
            setattr(config, name, dropout)
    config.use_cache = False  # a decoder's memory of earlier tokens, which are never left out here
    mapped: Any = transformers.MODEL_MAPPING[type(config)]
    made = mapped if kind.auto == "AutoModel" else getattr(transformers, kind.auto)
    options: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": kind.attention}
    if "add_pooling_layer" in inspect.signature(made).parameters:
        options["add_pooling_layer"] = False
    with parameters_on_meta():
        whole: nn.Module = made._from_config(config, **options)
    return whole.get_submodule(kind.part)


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Parameters made inside take no memory. Buffers do, since no file holds their values."""
    register = nn.Module.register_parameter

    def without_memory(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        register(module, name, parameter)
        if parameter is not None:
            module._parameters[name] = nn.Parameter(parameter.data.to("meta"), parameter.requires_grad)

    nn.Module.register_parameter = without_memory  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


def materialise(module: nn.Module, device: torch.device) -> None:
    """Give parameters memory on ``device``, with whatever lies there, and move buffers with their values."""
    kept = dict(module.named_buffers())
    module.to_empty(device=device)
    for name, buffer in module.named_buffers():
        buffer.copy_(kept[name])


def load_encoder(folder: Path, dropout: float | None) -> nn.Module:
    """The encoder in fp32, whole, on the CPU; raises ``EnvironmentProblem`` for weights that are not whole."""
    encoder, weights = empty_encoder(folder, dropout), Weights(folder)
    weights.check(encoder)
    materialise(encoder, torch.device("cpu"))
    for name, parameter in encoder.named_parameters():
        weights.read(name, 0, parameter.detach())
    weights.close()
    return encoder


def load_tokenizer(folder: Path) -> transformers.PreTrainedTokenizerFast:
    """The folder's fast tokenizer; raises ``EnvironmentProblem`` when it has none."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False)
    if not isinstance(tokenizer, transformers.PreTrainedTokenizerFast) or tokenizer.pad_token_id is None:
        raise EnvironmentProblem(f"{folder}: a fast tokenizer with a padding token is needed")
    return tokenizer


def fitting_tokenizer(folder: Path, encoder: nn.Module) -> transformers.PreTrainedTokenizerFast:
    """The folder's tokenizer; raises ``EnvironmentProblem`` when it gives ids that the word table has no row for."""
    tokenizer = load_tokenizer(folder)
    highest, rows = max(tokenizer.get_vocab().values()), len(word_table(encoder))
    if highest >= rows:
        what = f"the tokenizer gives ids up to {highest}, but the word table has {rows} rows"
        raise EnvironmentProblem(f"{folder}: {what}; they are of different models")
    return tokenizer


def positions(encoder: nn.Module) -> int | None:
    """The longest input in tokens; None where there is no such bound (relative positions)."""
    config: Any = encoder.config
    kind = FAMILIES[config.model_type]
    if kind.positions == "relative":
        return None
    return int(config.max_position_embeddings) - kind.reserved


def layers(encoder: nn.Module) -> nn.ModuleList:
    """The encoder's stack of layers, in which sharding cuts it."""
    found = encoder.get_submodule(stack_name(encoder))
    assert isinstance(found, nn.ModuleList)
    return found


def stack_name(encoder: nn.Module) -> str:
    """Where ``layers`` are in the encoder."""
    config: Any = encoder.config
    return FAMILIES[config.model_type].stack


def set_recompute(encoder: nn.Module, on: bool) -> None:
    """Keep each layer's input alone for the backward pass and compute the rest again, or keep all."""
    stack = layers(encoder)
    for layer in stack:
        layer.gradient_checkpointing = on
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)


def word_table(encoder: nn.Module) -> nn.Parameter:
    """The word embeddings (vocabulary, width)."""
    table = encoder.get_input_embeddings().weight  # type: ignore[operator]
    assert isinstance(table, nn.Parameter)
    return table


def hidden_width(encoder: nn.Module) -> int:
    """Width of the hidden states."""
    config: Any = encoder.config
    return int(config.hidden_size)


def head_settings(encoder: nn.Module) -> tuple[float, float]:
    """(dropout, deviation of fresh weights) that a new head takes from the encoder's configuration."""
    config: Any = encoder.config
    dropout = next((getattr(config, name) for name in _DROPOUTS if getattr(config, name, None) is not None), 0.0)
    return float(dropout), float(getattr(config, "initializer_range", 0.02))
