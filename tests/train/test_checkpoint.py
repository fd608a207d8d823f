from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from xsweep.train.checkpoint import Checkpoints, newest
from xsweep.train.world import World

ALONE = World(0, 1, torch.device("cpu"))


def save(folder: Path, step: int) -> Path:
    Checkpoints(folder, ALONE, 0).save(step, {"a": torch.full((3,), float(step))}, {"tokens": step})
    return folder / f"checkpoint-{step}"


def test_the_newest_is_read_back_with_the_random_state(tmp_path: Path) -> None:
    save(tmp_path, 3)
    torch.manual_seed(5)
    save(tmp_path, 12)
    drawn = torch.rand(4)
    saved = Checkpoints(tmp_path, ALONE, 0).load()
    assert saved is not None
    assert (saved.step, saved.state, saved.tensors["a"].tolist()) == (12, {"tokens": 12}, [12.0] * 3)
    assert torch.equal(drawn, torch.rand(4))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-12"]


@pytest.mark.parametrize("damage", ["no marker", "cut tensors", "other world", "no tensors"])
def test_what_is_not_whole_does_not_count(tmp_path: Path, damage: str) -> None:
    good = save(tmp_path / "good", 3)
    folder = save(tmp_path, 12)
    shutil.copytree(good, tmp_path / "checkpoint-3")
    tensors, marker = folder / "rank-0.safetensors", folder / "whole.json"
    if damage == "no marker":
        marker.unlink()
    elif damage == "cut tensors":
        tensors.write_bytes(tensors.read_bytes()[:-1])
    elif damage == "no tensors":
        tensors.unlink()
    else:
        marker.write_text(json.dumps({**json.loads(marker.read_text()), "world": 2}))
    assert newest(tmp_path, 1) == 3
    shutil.rmtree(tmp_path / "checkpoint-3")
    assert Checkpoints(tmp_path, ALONE, 0).load() is None


def test_due_by_the_clock(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, ALONE, 0).due()
    assert not Checkpoints(tmp_path, ALONE, 1e9).due()
    assert not Checkpoints(tmp_path, World(1, 2, torch.device("cpu")), 0).due()
