"""Exact mid-stage checkpoints: each worker's own tensors and random state, and a marker written last. No pickle.

As many workers as wrote one go on bit by bit. Another number of them cut the rows anew: their random states are their
own, and sums over workers are rounded otherwise.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from xsweep.errors import EnvironmentProblem
from xsweep.store.failpoint import reach
from xsweep.store.files import guarded, sha256, sync_folder, write_atomic
from xsweep.train.tensors import write_tensors
from xsweep.train.world import World

log = logging.getLogger(__name__)

_WHOLE: Mapping[str, int] = {}
VERSION = 4
"""Raised when what a checkpoint holds changes: a stage that was interrupted before then starts over."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds for this worker."""

    step: int
    workers: int
    """How many wrote it."""
    tensors: dict[str, Tensor]
    state: dict[str, Any]


class Checkpoints:
    """``FOLDER/checkpoint-<step>/``: the newest whole one counts."""

    def __init__(self, folder: Path, world: World, seconds: float) -> None:
        self._folder, self._world, self._seconds = folder, world, seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the first worker's clock asks for a checkpoint."""
        return self._world.first and time.monotonic() - self._last >= self._seconds

    def save(
        self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any], cut: Mapping[str, int] = _WHOLE
    ) -> None:
        """Write a checkpoint; every worker calls it after the same step.

        ``cut`` maps the names of tensors of which each worker has its own rows to the number of all rows.
        """
        folder = self._folder / f"checkpoint-{step}"
        with self._world.together():
            self._write(folder, tensors, state)
        with self._world.together():
            if self._world.first:
                files = {path.name: path.stat().st_size for path in sorted(folder.glob("rank-*"))}
                marker = {"step": step, "world": self._world.size, "cut": dict(cut), "files": files}
                write_atomic(folder / "whole.json", sealed(marker))
                reach("checkpoint.whole")
                self._drop_all_but(folder)
        self._last = time.monotonic()

    def load(self, cut: Mapping[str, int] = _WHOLE) -> Saved | None:
        """This worker's part of the newest whole checkpoint, cut as ``cut`` says, or None.

        Raises ``EnvironmentProblem`` where the files are not those that were written.
        """
        step = self._world.agree(newest(self._folder))
        if step < 0:
            return None
        folder, rank = self._folder / f"checkpoint-{step}", self._world.rank
        marker = _unsealed(folder / "whole.json")
        if marker["world"] != self._world.size:
            state = _state(folder, 0)
            del state["random"]
            return Saved(step, marker["world"], self._recut(folder, marker, cut), state)
        state = _state(folder, rank)
        set_random_state(state.pop("random"), self._world.device)
        return Saved(step, marker["world"], load_file(folder / f"rank-{rank}.safetensors"), state)

    def _recut(self, folder: Path, marker: Mapping[str, Any], cut: Mapping[str, int]) -> dict[str, Tensor]:
        """This worker's rows of every tensor that ``marker["world"]`` others wrote."""
        size, found = marker["world"], {}
        for writer in range(1, size):
            _state(folder, writer)
        with ExitStack() as stack:
            paths = [folder / f"rank-{writer}.safetensors" for writer in range(size)]
            files = [stack.enter_context(safe_open(path, framework="pt")) for path in paths]
            held = [set(file.keys()) for file in files]
            for name in sorted(set().union(*held)):
                mine = own_rows(cut[name], self._world.rank, self._world.size) if name in cut else None
                if name not in marker["cut"]:
                    whole = next(file for file, names in zip(files, held, strict=True) if name in names)
                    found[name] = whole.get_tensor(name) if mine is None else whole.get_slice(name)[mine]
                    continue
                rows = marker["cut"][name]
                mine = mine or slice(0, rows)
                pieces = []
                for writer, file in enumerate(files):
                    theirs = own_rows(rows, writer, size)
                    start, stop = max(mine.start, theirs.start), min(mine.stop, theirs.stop)
                    if start < stop:
                        pieces.append(file.get_slice(name)[start - theirs.start : stop - theirs.start])
                if pieces:
                    found[name] = torch.cat(pieces)
        return found

    def _write(self, folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        rank = self._world.rank
        path = folder / f"rank-{rank}.safetensors"
        write_tensors({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, path)
        with guarded(path):
            with path.open("rb+") as handle:
                os.fsync(handle.fileno())
            reach("checkpoint.tensors")
        own = {"state": dict(state), "random": random_state(self._world.device), "sha256": sha256(path)}
        write_atomic(folder / f"rank-{rank}.json", sealed(own))

    def _drop_all_but(self, kept: Path) -> None:
        for folder in self._folder.glob("checkpoint-*"):
            if folder != kept:
                shutil.rmtree(folder)
        sync_folder(self._folder)


def _state(folder: Path, rank: int) -> dict[str, Any]:
    """What a worker wrote beside its tensors, and ``random``, once its tensors are known to be those it wrote."""
    own = _unsealed(folder / f"rank-{rank}.json")
    path = folder / f"rank-{rank}.safetensors"
    if sha256(path) != own["sha256"]:
        raise EnvironmentProblem(f"{path}: not as it was written; run again, and the stage starts over")
    return {**own["state"], "random": own["random"]}


def own_rows(rows: int, rank: int, size: int) -> slice:
    """The rows that a worker of ``size`` holds: equal parts, the last ones smaller or empty."""
    each = -(-rows // size)
    return slice(min(rank * each, rows), min((rank + 1) * each, rows))


def newest(folder: Path) -> int:
    """Step of the newest whole checkpoint in ``folder`` of this version, or -1."""
    found = [-1]
    for marker in folder.glob("checkpoint-*/whole.json"):
        try:
            value = _unsealed(marker)
        except EnvironmentProblem:
            continue
        if all(_size(marker.parent / name) == size for name, size in value["files"].items()):
            found.append(int(value["step"]))
    return max(found)


def drop_damaged(folder: Path, world: World) -> None:
    """Remove checkpoints whose files are not as they were written; every worker calls it and reads its share of them.

    A stage then goes on from an earlier one, or starts over: never from numbers that nobody computed.
    """
    while (step := world.agree(newest(folder))) >= 0:
        at = folder / f"checkpoint-{step}"
        with world.together():
            damaged = _damaged(at, world)
        if not world.total(torch.tensor([float(damaged)], device=world.device)).item():
            return
        log.warning("%s: damaged, so it was removed; the stage goes on without it", at)
        if world.first:
            shutil.rmtree(at)


def _damaged(folder: Path, world: World) -> bool:
    try:
        for writer in range(world.rank, _unsealed(folder / "whole.json")["world"], world.size):
            _state(folder, writer)
    except (EnvironmentProblem, OSError):
        return True
    return False


def sealed(value: Mapping[str, Any]) -> bytes:
    """``value`` as JSON, with the version of the layout and a digest of it all."""
    body = {"version": VERSION, **value}
    return json.dumps({**body, "digest": _digest(body)}).encode()


def _unsealed(path: Path) -> dict[str, Any]:
    """What was ``sealed``; raises ``EnvironmentProblem`` for anything else, and for another version."""
    try:
        body: dict[str, Any] = json.loads(path.read_bytes())
        sound = body.pop("digest") == _digest(body) and body.pop("version") == VERSION
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        sound = False
    if not sound:
        raise EnvironmentProblem(f"{path}: not as this version of xsweep writes it")
    return body


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


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
