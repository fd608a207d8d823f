"""What every test may lean on: nothing outside its own folder, nothing left in the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private cache and home-free settings for each test."""
    monkeypatch.setenv("XSWEEP_CACHE", str(tmp_path / "cache"))
    for name in ("RAY_ADDRESS", "XSWEEP_STORE", "XSWEEP_MIRROR", "MLFLOW_TRACKING_URI", "XSWEEP_FAILPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ``shared`` beside the checkout, with real data and tools."""
    folder = HERE.parent.parent / "shared"
    if not (folder / "data" / "MANIFEST.csv").is_file():
        pytest.skip("needs the real data sets of the folder `shared` beside the checkout")
    return folder


@pytest.fixture(scope="session")
def ladder(shared: Path) -> Path:
    """A folder with a real multilingual encoder at 2 and 4 layers (``ORG--NAME`` model folders)."""
    folder = Path(os.environ.get("XSWEEP_TEST_LADDER", HERE.parent / "build" / "ladder"))
    missing = [
        k for k in (2, 4) if not (folder / f"intfloat--multilingual-e5-small-L{k}" / "model.safetensors").is_file()
    ]
    if missing:
        tool = shared / "tools" / "e5_ladder.py"
        command = [sys.executable, str(tool), "--out", str(folder), "--layers", *map(str, missing)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip("the real encoder could not be fetched: " + done.stderr.strip().splitlines()[-1])
    return folder
