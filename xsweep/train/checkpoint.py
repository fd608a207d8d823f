"""Exact mid-stage checkpoints: each worker's own tensors and random state, and a marker written last. No pickle.

As many workers as wrote one go on bit by bit. Another number of them cut the rows anew: their random states are their
own, and sums over workers are rounded otherwise.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from xsweep.errors import EnvironmentProblem
from xsweep.store.backend import Folder
from xsweep.store.failpoint import reach
from xsweep.store.files import guarded, sha256
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

    def __init__(self, folder: Folder, world: World, seconds: float) -> None:
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
        folder = self._folder.inside(f"checkpoint-{step}")
        with self._world.together():
            self._write(folder, tensors, state)
        with self._world.together():
            if self._world.first:
                files = {name: size for name, size in sorted(folder.held().items()) if name.startswith("rank-")}
                marker = {"step": step, "world": self._world.size, "cut": dict(cut), "files": files}
                folder.write("whole.json", sealed(marker))
                reach("checkpoint.whole")
                self._drop_all_but(step)
        self._last = time.monotonic()

    def load(self, cut: Mapping[str, int] = _WHOLE) -> Saved | None:
        """This worker's part of the newest whole checkpoint, cut as ``cut`` says, or None.

        Raises ``EnvironmentProblem`` where the files are not those that were written.
        """
        step = self._world.agree(newest(self._folder))
        if step < 0:
            return None
        folder, rank = self._folder.inside(f"checkpoint-{step}"), self._world.rank
        marker = _unsealed(folder, "whole.json")
        if marker["world"] != self._world.size:
            parts = [_part(folder, writer) for writer in range(marker["world"])]
            state = parts[0][0]
            del state["random"]
            return Saved(step, marker["world"], self._recut([path for _, path in parts], marker, cut), state)
        state, path = _part(folder, rank)
        set_random_state(state.pop("random"), self._world.device)
        return Saved(step, marker["world"], load_file(path), state)

    def _recut(self, paths: Sequence[Path], marker: Mapping[str, Any], cut: Mapping[str, int]) -> dict[str, Tensor]:
        """This worker's rows of every tensor that ``marker["world"]`` others wrote."""
        size, found = marker["world"], {}
        with ExitStack() as stack:
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

    def _write(self, folder: Folder, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        rank = self._world.rank
        path = folder.path / f"rank-{rank}.safetensors"
        write_tensors({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, path)
        own = {"state": dict(state), "random": random_state(self._world.device), "sha256": sha256(path)}
        folder.keep(path.name)
        with guarded(path):
            reach("checkpoint.tensors")
        folder.write(f"rank-{rank}.json", sealed(own))

    def _drop_all_but(self, step: int) -> None:
        steps = {name.partition("/")[0] for name in self._folder.held() if name.startswith("checkpoint-")}
        for name in steps - {f"checkpoint-{step}"}:
            self._folder.drop(name)


def _part(folder: Folder, rank: int) -> tuple[dict[str, Any], Path]:
    """What a worker wrote beside its tensors, with ``random``, and the file of these, known to be as it was written."""
    own = _unsealed(folder, f"rank-{rank}.json")
    path = folder.fetch(f"rank-{rank}.safetensors")
    if sha256(path) != own["sha256"]:
        raise EnvironmentProblem(f"{path}: not as it was written; run again, and the stage starts over")
    return {**own["state"], "random": own["random"]}, path


def own_rows(rows: int, rank: int, size: int) -> slice:
    """The rows that a worker of ``size`` holds: equal parts, the last ones smaller or empty."""
    each = -(-rows // size)
    return slice(min(rank * each, rows), min((rank + 1) * each, rows))


def newest(folder: Folder) -> int:
    """Step of the newest whole checkpoint in ``folder`` of this version, or -1."""
    found, held = [-1], folder.held()
    for marker in (name for name in held if re.fullmatch(r"checkpoint-\d+/whole\.json", name)):
        try:
            value, inside = _unsealed(folder, marker), marker.removesuffix("whole.json")
        except EnvironmentProblem:
            continue
        if all(held.get(inside + name) == size for name, size in value["files"].items()):
            found.append(int(value["step"]))
    return max(found)


def drop_damaged(folder: Folder, world: World) -> None:
    """Remove checkpoints whose files are not as they were written; every worker calls it and reads its share of them.

    A stage then goes on from an earlier one, or starts over: never from numbers that nobody computed.
    """
    while (step := world.agree(newest(folder))) >= 0:
        at = folder.inside(f"checkpoint-{step}")
        with world.together():
            damaged = _damaged(at, world)
        if not world.total(torch.tensor([float(damaged)], device=world.device)).item():
            return
        log.warning("%s: damaged, so it was removed; the stage goes on without it", at.shown)
        if world.first:
            folder.drop(f"checkpoint-{step}")


def _damaged(folder: Folder, world: World) -> bool:
    try:
        for writer in range(world.rank, _unsealed(folder, "whole.json")["world"], world.size):
            _part(folder, writer)
    except (EnvironmentProblem, OSError):
        return True
    return False


def sealed(value: Mapping[str, Any]) -> bytes:
    """``value`` as JSON, with the version of the layout and a digest of it all."""
    body = {"version": VERSION, **value}
    return json.dumps({**body, "digest": _digest(body)}).encode()


def _unsealed(folder: Folder, name: str) -> dict[str, Any]:
    """What was ``sealed``; raises ``EnvironmentProblem`` for anything else, and for another version."""
    try:
        body: dict[str, Any] = json.loads(folder.read(name))
        sound = body.pop("digest") == _digest(body) and body.pop("version") == VERSION
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        sound = False
    if not sound:
        raise EnvironmentProblem(f"{folder.shown}/{name}: not as this version of xsweep writes it")
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
