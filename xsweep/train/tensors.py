"""Writing tensors: a full disk is told from every other fault, whichever library meets it."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from xsweep.store.files import guarded


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file and its folder; raises ``StoreFull`` or another ``EnvironmentProblem``."""
    with guarded(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file(dict(tensors), path)
        except SafetensorError as error:
            if f"os error {errno.ENOSPC}" not in str(error):
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
