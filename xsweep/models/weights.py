"""Reading a checkpoint piece by piece: each worker takes its own rows of each tensor, straight into its own memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn

from xsweep.errors import EnvironmentProblem
from xsweep.models.folder import family_of, tensors_of

CHUNK = 64 << 20
"""Bytes read at once at most, so that what is read twice for a moment (file and memory) stays small."""


class Weights:
    """The tensors of the checkpoint in ``folder``, by the names of the module that is used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kind = family_of(folder)
        self._found: dict[str, tuple[Path, str, tuple[int, ...]]] = {}
        for path, name, tensor in tensors_of(folder):
            own = kind.counted(name)
            if own is not None:
                self._found[own] = path, name, tuple(tensor["shape"])
        self._open: dict[Path, Any] = {}

    def check(self, module: nn.Module) -> None:
        """Raise ``EnvironmentProblem`` unless there is a tensor of its shape for each parameter."""
        wanted = {plain_name(name): tuple(parameter.shape) for name, parameter in module.named_parameters()}
        lacking = sorted(wanted.keys() - self._found.keys())
        if lacking:
            raise EnvironmentProblem(
                f"{self.folder}: the weights lack {', '.join(lacking[:3])} ({len(lacking)} in all)"
            )
        for name, shape in wanted.items():
            there = self._found[name][2]
            if there != shape:
                what = f"{name} is {list(there)} in the weights, {list(shape)} by config.json"
                raise EnvironmentProblem(f"{self.folder}: {what}")

    def read(self, name: str, start: int, into: Tensor) -> None:
        """Copy rows of the tensor ``name``, from ``start`` on, into ``into``, as many as it has."""
        path, theirs, shape = self._found[plain_name(name)]
        if path not in self._open:
            self._open[path] = safe_open(path, framework="pt").__enter__()
        saved = self._open[path].get_slice(theirs)
        each = max(1, CHUNK // (4 * math.prod(shape[1:])))
        for first in range(0, len(into), each):
            piece = into[first : first + each]
            piece.copy_(saved[start + first : start + first + len(piece)])

    def close(self) -> None:
        """Let the files go."""
        for file in self._open.values():
            file.__exit__(None, None, None)
        self._open.clear()


def plain_name(name: str) -> str:
    """A parameter's name without what an adapter puts into it."""
    return name.replace(".base_layer.", ".")
