"""Model folders that cannot be used, through the command line: one line, exit code 5, before anything runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import SWEEP, sweep_file, universe
from xsweep.cli import run_app

MARKER = "it-ran"


class Evil:
    """Makes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (MARKER,)


def edit(name: str, **changes: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **changes}))

    return damage


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))


def sharded(places: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))

    return damage


def headed(header: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        text = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)

    return damage


def deep(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a pickle": (pickled, "pytorch_model.bin is not read, since a pickle can run code"),
    "code of its own": (edit("config.json", auto_map={"AutoModel": "evil.Evil"}), "`auto_map` asks for code"),
    "a missing shard": (sharded({"a": "model-00001-of-00002.safetensors"}), "model-00001-of-00002.safetensors, which"),
    "an index of no places": (sharded(["a"]), "names no file"),
    "a header without types": (headed({"a": {"shape": [0], "data_offsets": [0, 0]}}), "damaged or cut short"),
    "a header of no offsets": (headed({"a": {"dtype": "F32", "shape": [0], "data_offsets": []}}), "damaged"),
    "a layer too few": (edit("config.json", num_hidden_layers=2), "the weights lack encoder.layer.1."),
    "another shape": (edit("config.json", intermediate_size=64), "in the weights, [64"),
    "a width that is text": (edit("config.json", hidden_size="wide"), "cannot open it"),
    "a damaged tokenizer": (edit("tokenizer.json", model={"type": "no such"}), "cannot open it"),
    "bottomless JSON": (deep, "cannot be read as JSON"),
    "too few positions": (lambda folder: None, "inter has a max_length of 65, but the model reads at most 64 tokens"),
}


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return universe(tmp_path_factory.mktemp("universe"))


@pytest.mark.parametrize("verb", [("check", "--data"), ("run",)], ids=["check", "run"])
@pytest.mark.parametrize("what", DAMAGES)
def test_a_bad_model_is_one_line(
    what: str, verb: tuple[str, ...], mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    damage, said = DAMAGES[what]
    shutil.copytree(mirror, tmp_path / "mirror")
    damage(tmp_path / "mirror" / "org--tiny-1")
    first, second = SWEEP.split("    max_length: 32\n", 1)
    text = f"{first}    max_length: 65\n{second}" if what == "too few positions" else SWEEP
    words = [*verb, str(sweep_file(tmp_path, text)), "--mirror", "mirror"]
    words += ["--store", "runs"] if verb == ("run",) else []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XSWEEP_CACHE", str(mirror.parent / "cache"))
    monkeypatch.setattr("sys.argv", ["xsweep", *words])
    assert run_app() == 5
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "org--tiny-1" in line]
    assert said in line
    assert not (tmp_path / MARKER).exists()
    assert not (tmp_path / "runs").exists()
