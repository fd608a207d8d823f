"""``xsweep mirror`` from a real hub protocol on loopback: what it fetches, goes on with and refuses."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from tests.tiny import SWEEP, sweep_file, universe
from xsweep.engine.mirror import _write, mirror
from xsweep.engine.survey import survey
from xsweep.errors import DataError, EnvironmentProblem, StoreFull
from xsweep.models.convert import convert
from xsweep.spec.load import load_sweep
from xsweep.tasks.source import Sources

CALLS = """
import json, sys
from typer.testing import CliRunner
from xsweep.cli import app
for words in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, words)
    print(json.dumps([getattr(done.exception, "exit_code", done.exit_code), done.stdout, str(done.exception or "")]))
"""
OWN_TASKS = SWEEP.replace("dataset: org/pairs, config: en, split: small", "dataset: org/none, split: small").replace(
    'config: "{language}", split: test', 'config: "{language}", split: tset'
)


@contextmanager
def hub(shared: Path, folder: Path, *faults: str) -> Iterator[str]:
    """The address of a hub on loopback that serves the data sets and models of ``folder``."""
    call = [sys.executable, str(shared / "tools" / "minihub.py"), "--data", str(folder), "--models", str(folder)]
    with subprocess.Popen([*call, "--port", "0", *faults], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def called(home: Path, address: str, *calls: list[str]) -> list[tuple[int, str, str]]:
    """Exit code, what was printed, and the error of each command line, all of one process with an empty home."""
    own = {"HOME": str(home), "XSWEEP_CACHE": str(home / "cache"), "HF_HOME": str(home / "hf")}
    told = {**os.environ, **own, "HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1"}
    call = [sys.executable, "-c", CALLS, json.dumps(calls)]
    done = subprocess.run(call, env=told, cwd=home, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny universe, and beside it a model that was published as a pickle."""
    import torch
    from safetensors.torch import load_file

    folder = universe(tmp_path_factory.mktemp("universe"))
    pickled = folder / "org--pickled"
    shutil.copytree(folder / "org--tiny-1", pickled)
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    return folder


def test_a_mirror_is_what_the_hub_serves_and_is_not_fetched_twice(shared: Path, served: Path, tmp_path: Path) -> None:
    file, there = sweep_file(tmp_path), tmp_path / "there"
    (tmp_path / "pickled.yaml").write_text(SWEEP.replace("org/tiny-1", "org/pickled"))
    (tmp_path / "wrong.yaml").write_text(OWN_TASKS)
    again = ["mirror", str(file), str(there)]
    with hub(shared, served) as address:
        first, second, wrong, pickled = called(
            tmp_path, address, again, again, ["mirror", "wrong.yaml", "wrong"], ["mirror", "pickled.yaml", "pickled"]
        )
        convert(served / "org--pickled", tmp_path / "pickled" / "org--pickled")
        (tmp_path / "there" / "org--pairs" / "de" / "test.parquet").unlink()
        third, converted = called(tmp_path, address, again, ["mirror", "pickled.yaml", "pickled"])
    assert first[0] == second[0] == 0, first[2]
    assert "7 fetched, 0 there already; 6 splits and 2 models are whole." in first[1]
    assert "0 fetched, 7 there already; 6 splits and 2 models are whole." in second[1]
    assert f"xsweep run {file} --mirror {there}" in first[1]
    assert "fetched org/pairs de test: 40 rows" in third[1]
    assert "1 fetched, 6 there already" in third[1]
    sweep = load_sweep(file)
    prints = [survey(sweep, Sources((folder,), tmp_path / "own")) for folder in (served, there)]
    assert prints[0] == prints[1]

    assert wrong[0] == 3
    assert wrong[2].count("\n") == 2, "each data set that cannot be had, on one line"
    assert "org/none: the hub has no such data set" in wrong[2]
    assert "tset" in wrong[2]
    assert pickled[0] == 5
    out = tmp_path / "pickled" / "org--pickled"
    assert f"`hf download org/pickled --local-dir pickled`, then `xsweep convert pickled {out}`" in pickled[2]
    assert converted[0] == 0, converted[2]
    assert "1 fetched, 6 there already" in converted[1]


def test_a_fetch_that_was_cut_off_goes_on(shared: Path, served: Path, tmp_path: Path) -> None:
    file, there = sweep_file(tmp_path), tmp_path / "there"
    with hub(shared, served, "--truncate", "40") as address:
        (broken,) = called(tmp_path, address, ["mirror", str(file), str(there)])
    assert broken[0] == 5, broken
    assert "again" in broken[2]
    with hub(shared, served) as address:
        (whole,) = called(tmp_path, address, ["mirror", str(file), str(there)])
    assert whole[0] == 0, whole[2]
    sweep = load_sweep(file)
    assert survey(sweep, Sources((there,))) == survey(sweep, Sources((served,)))


def test_a_hub_out_of_reach_is_said_at_once(tmp_path: Path) -> None:
    ((code, _, error),) = called(tmp_path, "http://127.0.0.1:9", ["mirror", str(sweep_file(tmp_path)), "there"])
    assert code == 5
    assert error.startswith("org/pairs: the hub did not answer")
    assert "\n" not in error


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreFull, match=r"test\.parquet: no space left; free some and run the same command again"):
        _write(pyarrow.table({"a": [1]}), tmp_path / "org--pairs" / "en" / "test.parquet")
    assert list((tmp_path / "org--pairs" / "en").iterdir()) == []


def test_what_no_mirror_can_hold_is_refused(tmp_path: Path) -> None:
    def refused(text: str) -> str:
        (tmp_path / "odd.yaml").write_text(text)
        with pytest.raises((DataError, EnvironmentProblem)) as told:
            mirror(load_sweep(tmp_path / "odd.yaml"), Sources(), tmp_path / "there")
        return str(told.value)

    two = SWEEP.replace("split: small}", "split: small, revision: v1}")
    assert "org/pairs: the sweep reads the revisions main and v1; a mirror holds one" in refused(two)
    climbing = SWEEP.replace("config: en, split: train", 'config: "../../up", split: train')
    assert "these names make no path in a mirror" in refused(climbing)
    made = SWEEP.replace("dataset: org/pairs,", "dataset: org/pairs, recipe: Make it by hand.,")
    assert "no folder org--pairs in" in refused(made)
    assert "Make it by hand." in refused(made)


def test_the_artificial_world_needs_nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[Any] = []
    monkeypatch.setattr("xsweep.engine.mirror.survey", lambda *given: noted.append(given))
    quickstart = Path(__file__).resolve().parent.parent / "sweeps" / "quickstart.yaml"
    made = mirror(load_sweep(quickstart), Sources(), tmp_path / "there")
    assert (made.fetched, made.there, len(noted)) == (0, 0, 1)
