from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.small import write_model
from xsweep.errors import EnvironmentProblem
from xsweep.models.convert import convert
from xsweep.models.folder import check_model_folder, weight_files


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """A small model as it was published before safetensors, in two files."""
    folder = tmp_path / "old"
    write_model(folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    for number, part in enumerate((names[:5], names[5:]), 1):
        torch.save({name: weights[name] for name in part}, folder / f"pytorch_model-{number:05d}-of-00002.bin")
    (folder / "pytorch_model.bin.index.json").write_text("{}")
    return folder


def test_every_tensor_is_as_it_was(pickled: Path, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="xsweep convert"):
        check_model_folder(pickled)
    convert(pickled, tmp_path / "new")
    check_model_folder(tmp_path / "new")
    made = {name: value for path in weight_files(tmp_path / "new") for name, value in load_file(path).items()}
    old = {name: value for path in pickled.glob("*.bin") for name, value in torch.load(path).items()}
    assert made.keys() == old.keys()
    assert all(torch.equal(made[name], old[name]) for name in old)
    assert len(json.loads((tmp_path / "new" / "model.safetensors.index.json").read_text())["weight_map"]) == len(old)


class Hostile:
    """Unpickled in full, it would leave a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def test_a_hostile_pickle_is_refused_and_not_run(pickled: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (pickled / "pytorch_model-00001-of-00002.bin").write_bytes(pickle.dumps({"w": Hostile(marker)}))
    with pytest.raises(EnvironmentProblem, match="refused"):
        convert(pickled, tmp_path / "new")
    torch.save({"w": Hostile(marker)}, pickled / "pytorch_model-00001-of-00002.bin")
    with pytest.raises(EnvironmentProblem, match="refused"):
        convert(pickled, tmp_path / "new")
    assert not marker.exists()
    assert not (tmp_path / "new").exists()
    pickle.loads(pickle.dumps(Hostile(marker)))
    assert marker.exists()  # it would have been


def test_a_folder_that_is_there_is_not_touched(pickled: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(EnvironmentProblem, match="is there already"):
        convert(pickled, tmp_path / "new")
