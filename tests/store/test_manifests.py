from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from xsweep.errors import EnvironmentProblem
from xsweep.store.manifests import Manifest, read_manifest

WHOLE = Manifest(
    key="a" * 32,
    kind="target",
    status="ok",
    spec={"seed": 1, "hyper": {"lr": 1e-5, "epochs": 2}},
    metrics={"test": {"de": {"accuracy": 51.2, "n": 300}}, "name": "größe"},
    files={"results/metrics.json": {"sha256": "0" * 64, "bytes": 2}, "weights/m": {"sha256": "1" * 64, "bytes": 3}},
)


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(WHOLE.to_json())
    assert read_manifest(path) == WHOLE
    assert list(WHOLE.weights) == ["weights/m"]


def test_cut_anywhere_it_is_never_read_as_whole(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    whole = WHOLE.to_json()
    for length in range(len(whole) - 1):  # without its last newline it is whole still
        path.write_bytes(whole[:length])
        with pytest.raises(EnvironmentProblem, match=r"manifest\.json"):
            read_manifest(path)


def test_numbers_that_are_none_become_null() -> None:
    value = json.loads(
        Manifest("k", "target", "diverged", metrics={"dev": [{"loss": math.nan}], "x": (math.inf,)}).to_json()
    )
    assert value["metrics"] == {"dev": [{"loss": None}], "x": [None]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2 is not known"),
        ({"status": "fine"}, "'fine' is not known"),
        ({"attempt": "1"}, "attempt has the wrong type"),
        ({"spec": []}, "spec has the wrong type"),
        ({"extra": 1}, "extra"),
        ({"files": {"results/m": {"bytes": 1}}}, "results/m is not whole"),
        ({"files": {"results/m": 3}}, "results/m is not whole"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = write(tmp_path / "manifest.json", {**json.loads(WHOLE.to_json()), **change})
    with pytest.raises(EnvironmentProblem, match=words):
        read_manifest(path)


@pytest.mark.parametrize("value", [[], None, 3, {}, "manifest"])
def test_other_json_is_no_manifest(tmp_path: Path, value: Any) -> None:
    with pytest.raises(EnvironmentProblem, match="this is no manifest"):
        read_manifest(write(tmp_path / "manifest.json", value))


@pytest.mark.parametrize(("status", "final"), [("ok", True), ("pruned", True), ("diverged", True), ("failed", False)])
def test_all_but_failed_is_final(status: Any, final: bool) -> None:
    assert Manifest("k", "target", status).final is final
