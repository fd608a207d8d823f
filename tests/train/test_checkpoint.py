from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xsweep.errors import EnvironmentProblem
from xsweep.store.local import LocalFolder
from xsweep.train import checkpoint
from xsweep.train.checkpoint import Checkpoints, drop_damaged, newest, own_rows, sealed
from xsweep.train.world import World

FILES = st.sampled_from(["whole.json", "rank-0.json", "rank-0.safetensors"])
ALONE = World(0, 1, torch.device("cpu"))


def save(folder: Path, step: int) -> Path:
    Checkpoints(LocalFolder(folder), ALONE, 0).save(step, {"a": torch.full((3,), float(step))}, {"tokens": step})
    return folder / f"checkpoint-{step}"


def test_the_newest_is_read_back_with_the_random_state(tmp_path: Path) -> None:
    save(tmp_path, 3)
    torch.manual_seed(5)
    save(tmp_path, 12)
    drawn = torch.rand(4)
    saved = Checkpoints(LocalFolder(tmp_path), ALONE, 0).load()
    assert saved is not None
    assert (saved.step, saved.state, saved.tensors["a"].tolist()) == (12, {"tokens": 12}, [12.0] * 3)
    assert torch.equal(drawn, torch.rand(4))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-12"]


@pytest.mark.parametrize("damage", ["no marker", "cut tensors", "other version", "no tensors"])
def test_what_is_not_whole_does_not_count(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
        value = json.loads(marker.read_text())
        monkeypatch.setattr(checkpoint, "VERSION", checkpoint.VERSION - 1)
        marker.write_bytes(sealed({name: value[name] for name in ("step", "world", "cut", "files")}))
        monkeypatch.undo()
    assert newest(LocalFolder(tmp_path)) == 3
    shutil.rmtree(tmp_path / "checkpoint-3")
    assert Checkpoints(LocalFolder(tmp_path), ALONE, 0).load() is None


def test_due_by_the_clock(tmp_path: Path) -> None:
    assert Checkpoints(LocalFolder(tmp_path), ALONE, 0).due()
    assert not Checkpoints(LocalFolder(tmp_path), ALONE, 1e9).due()
    assert not Checkpoints(LocalFolder(tmp_path), World(1, 2, torch.device("cpu")), 0).due()


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 4), (4, 3), (3, 8)])
def test_rows_are_cut_anew_for_another_number_of_workers(tmp_path: Path, before: int, after: int) -> None:
    """Five rows: with eight workers three have none."""
    whole = {"a": torch.arange(10.0).reshape(5, 2), "a:exp_avg": torch.arange(10.0).reshape(5, 2) + 100}
    cut = dict.fromkeys(whole, 5)
    folder = tmp_path / "checkpoint-7"
    for rank in range(before):
        mine = own_rows(5, rank, before)
        held = {name: value[mine].contiguous() for name, value in whole.items()}
        Checkpoints(LocalFolder(tmp_path), Lone(rank, before), 0)._write(
            LocalFolder(folder), {**held, "a:step": torch.tensor(7.0)}, {"tokens": 3}
        )
    marker = {"step": 7, "world": before, "cut": cut if before > 1 else {}}
    files = {path.name: path.stat().st_size for path in folder.glob("rank-*")}
    (folder / "whole.json").write_bytes(sealed({**marker, "files": files}))
    for rank in range(after):
        saved = Checkpoints(LocalFolder(tmp_path), Lone(rank, after), 0).load(cut if after > 1 else {})
        assert saved is not None
        assert (saved.step, saved.workers, saved.state) == (7, before, {"tokens": 3})
        assert saved.tensors["a:step"].item() == 7
        for name, value in whole.items():
            expected = value[own_rows(5, rank, after)]
            assert torch.equal(saved.tensors.get(name, expected[:0]), expected)


def test_what_was_changed_on_disk_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, 3)
    tensors = folder / "rank-0.safetensors"
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 1
    tensors.write_bytes(data)
    with pytest.raises(EnvironmentProblem, match=r"rank-0\.safetensors: not as it was written; run again"):
        Checkpoints(LocalFolder(tmp_path), ALONE, 0).load()


class Lone(World):
    """One of several workers, without the others."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__(rank, size, torch.device("cpu"))

    def agree(self, number: int) -> int:
        return number


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=FILES, where=st.floats(0, 1), cut=st.booleans())
def test_cut_or_changed_anywhere_it_is_dropped_for_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, where: float, cut: bool
) -> None:
    """Whatever byte of whatever file: what is read back is what was written, or an earlier checkpoint."""
    monkeypatch.setattr("os.fsync", lambda _: None)  # nothing is killed here
    shutil.rmtree(tmp_path / "work", ignore_errors=True)
    good, folder = save(tmp_path / "good", 3), save(tmp_path / "work", 12)
    shutil.copytree(good, tmp_path / "work" / "checkpoint-3")
    path = folder / name
    data = bytearray(path.read_bytes())
    at = min(int(where * len(data)), len(data) - 1)
    data[at] ^= 0x11
    path.write_bytes(data[:at] if cut else data)
    drop_damaged(LocalFolder(tmp_path / "work"), ALONE)
    saved = Checkpoints(LocalFolder(tmp_path / "work"), ALONE, 0).load()
    assert saved is not None
    assert (saved.step, saved.state, saved.tensors["a"].tolist()) == (3, {"tokens": 3}, [3.0] * 3)
