"""Pretrained models as folders on disk: fetched, checked, fingerprinted and counted without loading them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xsweep.errors import EnvironmentProblem
from xsweep.models.families import FAMILIES, Family
from xsweep.models.model import Model, Shape
from xsweep.models.world import world_folder
from xsweep.store.files import sha256
from xsweep.tasks.hub import one_line
from xsweep.tasks.source import Sources
from xsweep.tasks.world.tables import is_world

_TOKENIZER = ("tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "*.model")
FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", *_TOKENIZER)
"""All that is fetched from the hub, and all that a fingerprint covers."""


def model_folder(model: Model, sources: Sources) -> Path:
    """The folder of a model, checked: its ``path``, a mirror's ``ORG--NAME``, or a download from the hub.

    Raises ``EnvironmentProblem`` when there is none, when the hub does not answer, or when
    ``check_model_folder`` refuses it.
    """
    if model.path:
        folder = Path(model.path)
    elif is_world(model.id):
        folder = world_folder(model.id, sources.cache)
    elif sources.mirrors:
        found = sources.folder(model.id)
        if found is None:
            name, mirrors = model.id.replace("/", "--"), ", ".join(map(str, sources.mirrors))
            what = f"no folder {name} in {mirrors}; with a mirror given, the hub is not asked"
            raise EnvironmentProblem(f"model {model.name}: {what}")
        folder = found
    else:
        folder = _download(model)
    check_model_folder(folder)
    return folder


def check_model_folder(folder: Path) -> dict[str, Any]:
    """The model's configuration, once the folder is known to be safe to load.

    Refuses, with ``EnvironmentProblem``, folders without safetensors (pickles run code), with ``auto_map`` (code
    of their own), of a type that is not on the list, or without a tokenizer.
    """
    if not folder.is_dir():
        raise EnvironmentProblem(f"{folder}: no such model folder")
    config = _read_json(folder / "config.json")
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise EnvironmentProblem(f"{folder}: model type {kind!r} is none of {', '.join(sorted(FAMILIES))}")
    settings = _read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").exists() else {}
    if "auto_map" in config or "auto_map" in settings:
        raise EnvironmentProblem(f"{folder}: `auto_map` asks for code from the model's folder, which is never run")
    weight_files(folder)
    if not any(path for pattern in ("tokenizer.json", "*.model", "vocab*") for path in folder.glob(pattern)):
        raise EnvironmentProblem(f"{folder}: no tokenizer (tokenizer.json, a sentencepiece model or a vocabulary)")
    return config


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up the weights, in order; all must be there."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if index.is_file():
        places = _read_json(index).get("weight_map")
        names = sorted({str(name) for name in places.values()}) if isinstance(places, dict) else []
        missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
        if missing or not names:
            raise EnvironmentProblem(f"{index}: names {', '.join(missing) or 'no file'}, which is not in the folder")
        return [folder / name for name in names]
    others = sorted(path.name for pattern in ("*.bin", "*.pt", "*.ckpt", "*.h5") for path in folder.glob(pattern))
    hint = f"{others[0]} is not read, since a pickle can run code" if others else "was it published as a pickle?"
    raise EnvironmentProblem(f"{folder}: no model.safetensors; {hint}: `xsweep convert` a whole download of it")


def model_print(model: Model, sources: Sources) -> str:
    """A digest of configuration, weights and tokenizer files by name and content, equal from hub, mirror and path.

    Contents are hashed once and remembered by path, size and times.
    """
    digests = {
        path.name: sources.remember("files", _state(path), lambda path=path: sha256(path))  # type: ignore[misc]
        for path in _printed(model_folder(model, sources))
    }
    return _combined(digests)


def cached_model_print(model: Model, sources: Sources) -> str | None:
    """``model_print`` from what is remembered, else None; hashes nothing and downloads nothing."""
    if model.path:
        folder: Path | None = Path(model.path)
    elif is_world(model.id):
        folder = world_folder(model.id, sources.cache)
    else:
        folder = sources.folder(model.id) if sources.mirrors else _downloaded(model)
    if folder is None or not folder.is_dir():
        return None
    digests = {path.name: sources.recall("files", _state(path)) for path in _printed(folder)}
    known = {name: digest for name, digest in digests.items() if digest is not None}
    return _combined(known) if known and len(known) == len(digests) else None


def count_params(folder: Path) -> dict[str, int]:
    """Parameters by the headers of the weight files: ``total``, ``embedding``, ``trunk``, ``forward``.

    ``embedding`` is the word table; ``trunk`` the rest of what a fine-tune's forward pass uses, own heads apart (an
    encoder-decoder counts as its encoder; poolers and pretraining heads do not count); ``forward`` is their sum.
    """
    kind = family_of(folder)
    sizes: dict[str, int] = {}
    for _, name, tensor in tensors_of(folder):
        sizes[name] = math.prod(tensor["shape"])
    used = {own: size for name, size in sizes.items() if (own := kind.counted(name)) is not None}
    if kind.table not in used:
        raise EnvironmentProblem(f"{folder}: no word table among the weights")
    embedding, forward = used[kind.table], sum(used.values())
    return {
        "total": sum(sizes.values()),
        "embedding": embedding,
        "trunk": forward - embedding,
        "forward": forward,
    }


def tensors_of(folder: Path) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """File, name and header entry (``dtype``, ``shape``) of each tensor of numbers with a point among the weights."""
    for path in weight_files(folder):
        for name, tensor in _header(path).items():
            if name != "__metadata__" and tensor["dtype"].startswith(("F", "BF")):
                yield path, name, tensor


def tokenizer_files(folder: Path) -> list[Path]:
    """The files that make up the tokenizer, in order."""
    return sorted({path for pattern in _TOKENIZER for path in folder.glob(pattern) if path.is_file()})


def family_of(folder: Path) -> Family:
    """The family of the model in ``folder``, which ``check_model_folder`` has passed."""
    return FAMILIES[_read_json(folder / "config.json")["model_type"]]


def shape_of(folder: Path) -> Shape:
    """The size that the folder's configuration gives; raises ``EnvironmentProblem`` where it does not say it."""
    config = _read_json(folder / "config.json")
    found = {}
    for field, names in _SHAPE.items():
        value = next((config[name] for name in names if name in config), None)
        if not isinstance(value, int) or value < 1:
            raise EnvironmentProblem(f"{folder / 'config.json'}: no {names[0]}")
        found[field] = value
    return Shape(**found)


_SHAPE = {
    "layers": ("num_hidden_layers", "num_layers"),
    "width": ("hidden_size", "d_model"),
    "ffn": ("intermediate_size", "d_ff"),
    "vocabulary": ("vocab_size",),
}
"""Field of a shape -> its name in configurations; T5 has names of its own."""


def width(folder: Path) -> int:
    """Width of the hidden vectors, as the folder's configuration says."""
    config = _read_json(folder / "config.json")
    found = next((config[name] for name in ("hidden_size", "d_model", "dim") if name in config), None)
    if type(found) is not int or found < 1:
        raise EnvironmentProblem(f"{folder / 'config.json'}: says no hidden_size")
    return found


def _printed(folder: Path) -> list[Path]:
    weights = weight_files(folder)
    return sorted([*weights, folder / "config.json", *tokenizer_files(folder)], key=lambda path: path.name)


def _state(path: Path) -> list[str | int]:
    # Hub downloads are links into a store of blobs: the blob's own times count.
    real = path.resolve()
    stat = real.stat()
    return [str(real), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _combined(digests: Mapping[str, str]) -> str:
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def _header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file, once the file is known to be as long as it says."""
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        size = path.stat().st_size
        try:
            header: dict[str, Any] = json.loads(handle.read(length)) if length <= size else {}
            tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
            told = all(isinstance(t["dtype"], str) and all(type(n) is int for n in t["shape"]) for t in tensors)
            whole = told and 8 + length + max(tensor["data_offsets"][1] for tensor in tensors) == size
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            whole = False
    if not whole:
        raise EnvironmentProblem(f"{path}: damaged or cut short; fetch it again")
    return header


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise EnvironmentProblem(f"{path}: no such file; it is no `transformers` model folder") from None
    except (OSError, ValueError, RecursionError) as error:
        raise EnvironmentProblem(f"{path}: cannot be read as JSON ({one_line(error)})") from error
    if not isinstance(value, dict):
        raise EnvironmentProblem(f"{path}: holds no JSON object")
    return value


def _download(model: Model) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model.id, revision=model.revision, allow_patterns=list(FILES)))
    except Exception as error:  # whatever the hub client's HTTP library of the day raises
        what = f"{model.id} could not be fetched ({one_line(error)})"
        hint = "check the id and the network, or give a folder of it: `path:` in the file, or --mirror"
        raise EnvironmentProblem(f"model {model.name}: {what}; {hint}") from error


def _downloaded(model: Model) -> Path | None:
    """The folder that an earlier download left, looked up without the network."""
    from huggingface_hub import snapshot_download

    try:
        kept = snapshot_download(model.id, revision=model.revision, allow_patterns=list(FILES), local_files_only=True)
    except (OSError, ValueError):
        return None
    return Path(kept)
