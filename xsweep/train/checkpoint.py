"""Exact mid-stage checkpoints: each worker's own tensors and random state, and a marker written last. No pickle."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from xsweep.store.files import sync_folder, write_atomic
from xsweep.train.tensors import write_tensors
from xsweep.train.world import World

VERSION = 2
"""Raised when what a checkpoint holds changes: a stage that was interrupted before then starts over."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds for this worker."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


class Checkpoints:
    """``FOLDER/checkpoint-<step>/``: the newest whole one counts, and only for as many workers as wrote it."""

    def __init__(self, folder: Path, world: World, seconds: float) -> None:
        self._folder, self._world, self._seconds = folder, world, seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the first worker's clock asks for a checkpoint."""
        return self._world.first and time.monotonic() - self._last >= self._seconds

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write a checkpoint; every worker calls it after the same step."""
        folder = self._folder / f"checkpoint-{step}"
        with self._world.together():
            self._write(folder, tensors, state)
        with self._world.together():
            if self._world.first:
                files = {path.name: path.stat().st_size for path in sorted(folder.glob("rank-*"))}
                marker = {"version": VERSION, "step": step, "world": self._world.size, "files": files}
                write_atomic(folder / "whole.json", json.dumps(marker).encode())
                self._drop_all_but(folder)
        self._last = time.monotonic()

    def load(self) -> Saved | None:
        """This worker's part of the newest whole checkpoint, or None."""
        step = self._world.agree(newest(self._folder, self._world.size))
        if step < 0:
            return None
        folder, rank = self._folder / f"checkpoint-{step}", self._world.rank
        state = json.loads((folder / f"rank-{rank}.json").read_bytes())
        set_random_state(state.pop("random"), self._world.device)
        return Saved(step, load_file(folder / f"rank-{rank}.safetensors"), state)

    def _write(self, folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        rank = self._world.rank
        path = folder / f"rank-{rank}.safetensors"
        write_tensors({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, path)
        with path.open("rb+") as handle:
            os.fsync(handle.fileno())
        own = {**state, "random": random_state(self._world.device)}
        write_atomic(folder / f"rank-{rank}.json", json.dumps(own).encode())

    def _drop_all_but(self, kept: Path) -> None:
        for folder in self._folder.glob("checkpoint-*"):
            if folder != kept:
                shutil.rmtree(folder)
        sync_folder(self._folder)


def newest(folder: Path, workers: int) -> int:
    """Step of the newest whole checkpoint in ``folder`` of this version by as many ``workers``, or -1."""
    found = [-1]
    for marker in folder.glob("checkpoint-*/whole.json"):
        value = json.loads(marker.read_bytes())
        whole = all(_size(marker.parent / name) == size for name, size in value["files"].items())
        if whole and value["world"] == workers and value.get("version") == VERSION:
            found.append(int(value["step"]))
    return max(found)


def random_state(device: torch.device) -> dict[str, str]:
    """State of torch's global generators, in hex."""
    state = {"cpu": torch.get_rng_state().numpy().tobytes().hex()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device).numpy().tobytes().hex()
    return state


def set_random_state(state: Mapping[str, str], device: torch.device) -> None:
    """Put back what ``random_state`` gave."""
    torch.set_rng_state(_bytes(state["cpu"]))
    if device.type == "cuda":
        torch.cuda.set_rng_state(_bytes(state["cuda"]), device)


def _bytes(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
