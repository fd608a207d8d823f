"""One trained checkpoint as a plain ``transformers`` folder, with the head beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from xsweep.errors import EnvironmentProblem, UsageError
from xsweep.models.adapters import merged
from xsweep.models.families import Family
from xsweep.models.folder import family_of, model_folder, model_print, tokenizer_files
from xsweep.models.load import empty_encoder
from xsweep.models.model import Model
from xsweep.models.weights import Weights
from xsweep.store.store import Store
from xsweep.tasks.source import Sources
from xsweep.train.tensors import write_tensors

SHARD = 5 << 30
"""Bytes of one file of weights at most, so that no more than this is held in memory."""


def export(key: str, models: tuple[Model, ...], store: Store, sources: Sources, target: Path) -> None:
    """Write the model that stage ``key`` left to the folder ``target``, which must not be there.

    Weights are fp32, adapters are merged into them. The head, or those of a mixture, is ``head.safetensors``. Raises
    ``UsageError`` for a stage that is not one of ``models``, ``EnvironmentProblem`` where its weights are gone.
    """
    manifest = store.manifest(key)
    if manifest is None:
        raise UsageError(f"{store.where}: no stage {key}")
    if target.exists():
        raise UsageError(f"{target}: there is such a folder already; choose another name")
    if not store.has_weights(key):
        raise EnvironmentProblem(f"{key}: its weights are not in the store; with `keep: all` they are kept")
    printed = manifest.spec["model"]["print"]
    model = next((model for model in models if model_print(model, sources) == printed), None)
    if model is None:
        raise UsageError(f"{key}: trained from none of the models of this sweep as they are now")
    folder = model_folder(model, sources)
    made = target.with_name(f"{target.name}.part")
    made.mkdir(parents=True)
    try:
        for path in (folder / "config.json", *tokenizer_files(folder)):
            shutil.copyfile(path, made / path.name)
        _write(folder, store.weights(key) / "model.safetensors", manifest.spec["training"].get("lora"), made)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(folder: Path, trained: Path, lora: dict[str, Any] | None, target: Path) -> None:
    encoder, base, kind = empty_encoder(folder, None), Weights(folder), family_of(folder)
    shapes = {name: parameter.shape for name, parameter in encoder.named_parameters()}
    groups: list[list[str]] = [[]]
    held = 0
    for name, shape in shapes.items():
        if held and held + 4 * shape.numel() > SHARD:
            groups.append([])
            held = 0
        groups[-1].append(name)
        held += 4 * shape.numel()
    places: dict[str, str] = {}
    with safe_open(trained, framework="pt") as file:
        saved = set(file.keys())
        for number, names in enumerate(groups, 1):
            one = "model.safetensors" if len(groups) == 1 else f"model-{number:05}-of-{len(groups):05}.safetensors"
            tensors = {}
            for name in names:
                if f"encoder.{name}" in saved:
                    value = file.get_tensor(f"encoder.{name}")
                else:
                    value = torch.empty(shapes[name])
                    base.read(name, 0, value)
                tensors[_theirs(kind, name)] = _with_adapter(value, name, saved, file, lora)
            write_tensors(tensors, target / one)
            places |= dict.fromkeys(tensors, one)
        heads = {name: file.get_tensor(name) for name in saved if name.startswith("head")}
    base.close()
    if len(groups) > 1:
        index = {"metadata": {"total_size": sum(4 * shape.numel() for shape in shapes.values())}, "weight_map": places}
        (target / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    if heads:
        write_tensors(heads, target / "head.safetensors")


def _with_adapter(value: Tensor, name: str, saved: set[str], file: Any, lora: dict[str, Any] | None) -> Tensor:
    layer = f"encoder.{name.removesuffix('.weight')}"
    first = next((held for held in saved if held.startswith(f"{layer}.lora_A.")), None)
    if lora is None or first is None or not name.endswith(".weight"):
        return value
    second = file.get_tensor(first.replace(".lora_A.", ".lora_B."))
    return merged(value, file.get_tensor(first), second, lora["alpha"] / lora["rank"])


def _theirs(kind: Family, name: str) -> str:
    """A parameter's name in the family's own checkpoints."""
    alias = (kind.aliases or {}).get(name)
    return alias or (f"{kind.part}.{name}" if kind.part else name)
