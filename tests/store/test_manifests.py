from __future__ import annotations

import json
import math
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


def test_round_trip() -> None:
    assert read_manifest(WHOLE.to_json(), "here") == WHOLE
    assert list(WHOLE.weights) == ["weights/m"]


def test_cut_anywhere_it_is_never_read_as_whole() -> None:
    whole = WHOLE.to_json()
    for length in range(len(whole) - 1):  # without its last newline it is whole still
        with pytest.raises(EnvironmentProblem, match=r"manifest\.json"):
            read_manifest(whole[:length], "manifest.json")


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
def test_other_contents_are_refused(change: dict[str, Any], words: str) -> None:
    changed = json.dumps({**json.loads(WHOLE.to_json()), **change})
    with pytest.raises(EnvironmentProblem, match=words):
        read_manifest(changed.encode(), "here")


@pytest.mark.parametrize("value", [[], None, 3, {}, "manifest"])
def test_other_json_is_no_manifest(value: Any) -> None:
    with pytest.raises(EnvironmentProblem, match="this is no manifest"):
        read_manifest(json.dumps(value).encode(), "here")


@pytest.mark.parametrize(("status", "final"), [("ok", True), ("pruned", True), ("diverged", True), ("failed", False)])
def test_all_but_failed_is_final(status: Any, final: bool) -> None:
    assert Manifest("k", "target", status).final is final
