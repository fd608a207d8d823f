"""Pickled checkpoints made into safetensors: once, by hand, and without running what is in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xsweep.errors import EnvironmentProblem
from xsweep.models.folder import check_model_folder
from xsweep.store.files import guarded


def convert(folder: Path, out: Path) -> None:
    """Write the checkpoint in ``folder`` to ``out`` with safetensors in the place of each ``pytorch_model*.bin``.

    One file is in memory at a time. The restricted unpickler of PyTorch builds tensors and nothing else. Raises
    ``EnvironmentProblem`` for a pickle that asks for more, and for what ``check_model_folder`` refuses; then nothing
    is left at ``out``, which must not exist.
    """
    pickled = sorted(folder.glob("pytorch_model*.bin"))
    if not pickled:
        raise EnvironmentProblem(f"{folder}: no pytorch_model.bin to convert")
    if out.exists():
        raise EnvironmentProblem(f"{out}: is there already; name a new folder")
    with guarded(out):
        out.mkdir(parents=True)
        try:
            _write(folder, pickled, out)
            check_model_folder(out)
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            raise


def _write(folder: Path, pickled: list[Path], out: Path) -> None:
    from safetensors.torch import save_file

    places: dict[str, str] = {}
    for number, path in enumerate(pickled, 1):
        name = "model.safetensors" if len(pickled) == 1 else f"model-{number:05d}-of-{len(pickled):05d}.safetensors"
        tensors = dict(_tensors(path))
        save_file(tensors, out / name, metadata={"format": "pt"})
        places |= dict.fromkeys(tensors, name)
    if len(pickled) > 1:
        (out / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    for other in folder.iterdir():
        if other.is_file() and other.suffix in (".json", ".model", ".txt") and ".bin." not in other.name:
            shutil.copyfile(other, out / other.name)


def _tensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Name and values of each tensor, copies of their own, so that tied ones become two equal ones."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # whatever a hostile or damaged pickle makes of the unpickler
        first = " ".join(str(error).split())[:200]
        raise EnvironmentProblem(f"{path}: holds more than tensors, or is damaged ({first}); refused") from error
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            yield name, value.clone().contiguous()
