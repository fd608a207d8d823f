from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xsweep.errors import EnvironmentProblem
from xsweep.store import files
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store

KEY = "0" * 31 + "a"
WEIGHTS = bytes(range(256)) * 8


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def manifest(status: str = "ok", key: str = KEY) -> Manifest:
    return Manifest(key=key, kind="target", status=status, spec={"seed": 1}, metrics={"score": 51.2})  # type: ignore[arg-type]


def commit(store: Store, status: str = "ok", *, weights: bytes | None = WEIGHTS, metrics: bytes = b"{}") -> Manifest:
    work = store.work(KEY)
    (work / "predictions.parquet").write_bytes(b"PAR1")
    named = {}
    if weights is not None:
        (work / "model.safetensors").write_bytes(weights)
        named = {"model.safetensors": work / "model.safetensors"}
    results: dict[str, bytes | Path] = {"metrics.json": metrics, "predictions.parquet": work / "predictions.parquet"}
    return store.commit(manifest(status), results, named)


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_looking_makes_nothing(store: Store) -> None:
    assert store.manifest(KEY) is None
    assert list(store.manifests()) == []
    assert store.decision("d" * 32) is None
    assert not store.has_weights(KEY)
    assert store.evict(KEY) == 0
    assert not store.root.exists()


def test_commit_moves_files_into_place_and_removes_the_work(store: Store) -> None:
    written = commit(store)
    assert tree(store.folder(KEY)) == [
        "manifest.json",
        "results/metrics.json",
        "results/predictions.parquet",
        "weights/model.safetensors",
    ]
    assert not (store.folder(KEY) / "work").exists()
    assert store.manifest(KEY) == written
    assert written.files["weights/model.safetensors"]["bytes"] == len(WEIGHTS)
    assert store.has_weights(KEY)
    assert (store.weights(KEY) / "model.safetensors").read_bytes() == WEIGHTS
    assert (store.results(KEY) / "metrics.json").read_bytes() == b"{}"


def test_a_failed_stage_keeps_its_work_and_is_tried_again(store: Store) -> None:
    failed = commit(store, "failed", weights=None)
    assert not failed.final
    assert (store.folder(KEY) / "work").is_dir()
    done = commit(store)
    assert (done.status, done.attempt) == ("ok", 2)
    assert done.final


def test_what_is_done_keeps_its_first_results(store: Store) -> None:
    first = commit(store, metrics=b'{"score": 1}')
    store.evict(KEY)
    again = commit(store, metrics=b'{"score": 2}', weights=WEIGHTS + b"!")
    assert (store.results(KEY) / "metrics.json").read_bytes() == b'{"score": 1}'
    assert again.attempt == 1
    assert again.files["results/metrics.json"] == first.files["results/metrics.json"]
    assert (store.weights(KEY) / "model.safetensors").read_bytes() == WEIGHTS + b"!"


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_later_mishap_does_not_undo_what_is_done(store: Store, status: str) -> None:
    first = commit(store)
    commit(store, status, weights=None)
    assert store.manifest(KEY) == first
    assert store.has_weights(KEY)


def test_manifests_come_in_order_of_keys(store: Store) -> None:
    keys = ["b" * 32, "a" * 32, "c" * 32]
    for key in keys:
        store.commit(manifest(key=key), {}, None)
    store.work("d" * 32)  # running: no manifest yet
    (store.root / "stages" / ".DS_Store").write_bytes(b"")
    assert [found.key for found in store.manifests()] == sorted(keys)


def test_eviction_frees_the_weights_alone(store: Store) -> None:
    before = commit(store)
    assert store.evict(KEY) == len(WEIGHTS)
    assert not store.has_weights(KEY)
    assert store.manifest(KEY) == before
    with pytest.raises(EnvironmentProblem, match="holds no weights"):
        store.weights(KEY)


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(WEIGHTS[: len(WEIGHTS) // 2]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(WEIGHTS[:-1] + b"\0"),
        lambda path: path.write_bytes(b"\1" + WEIGHTS[1:]),
        lambda path: path.unlink(),
    ],
    ids=["cut", "empty", "last byte", "first byte", "missing"],
)
def test_damaged_weights_are_named_and_removed(store: Store, harm: Callable[[Path], None]) -> None:
    commit(store)
    harm(store.folder(KEY) / "weights" / "model.safetensors")
    with pytest.raises(EnvironmentProblem, match=r"model\.safetensors: damaged.*rebuilds"):
        Store(store.root).weights(KEY)
    assert not store.has_weights(KEY)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.integers(0, len(WEIGHTS) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(store: Store, at: int, bit: int) -> None:
    store.evict(KEY)
    commit(store)
    damaged = bytearray(WEIGHTS)
    damaged[at] ^= 1 << bit
    (store.folder(KEY) / "weights" / "model.safetensors").write_bytes(damaged)
    with pytest.raises(EnvironmentProblem, match="damaged"):
        store.weights(KEY)


class Killed(BaseException):
    pass


def test_killed_at_any_step_a_commit_is_whole_or_absent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fsync and rename of a commit is a place to die; the next commit then ends well."""
    steps = 0

    def dying(real: Callable[..., object], at: int) -> Callable[..., object]:
        def call(*args: object) -> object:
            nonlocal steps
            steps += 1
            if steps == at:
                raise Killed
            return real(*args)

        return call

    for at in range(1, 100):
        steps = 0
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", dying(os.fsync, at))
            patch.setattr(os, "replace", dying(os.replace, at))
            try:
                commit(store)
                break
            except Killed:
                pass
        left = store.manifest(KEY)
        if left is not None:
            assert all(
                (store.folder(KEY) / name).stat().st_size == entry["bytes"] for name, entry in left.files.items()
            )
            files.remove_tree(store.folder(KEY))
        else:
            assert commit(store).attempt == 1
            assert not [name for name in tree(store.root) if "/." in name], "a temporary file was left"
            files.remove_tree(store.folder(KEY))
    assert at > 10, "the failpoints were not reached"


def test_a_full_disk_is_one_plain_line(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    work = store.work(KEY)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentProblem, match="no space left; free some"):
        store.commit(manifest(), {"metrics.json": b"{}"}, None)
    assert store.manifest(KEY) is None
    assert work.is_dir()


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a\0", "..", "a b", "x" * 200, "/etc/passwd"])
def test_names_stay_inside_the_store(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a file"):
        store.folder(name)
    with pytest.raises(ValueError, match="is no name for a file"):
        store.decision(name)
    with pytest.raises(ValueError, match="is no name for a file"):
        store.commit(manifest(), {name: b""}, None)
    assert store.manifest(KEY) is None


def test_a_decision_is_written_once(store: Store) -> None:
    address = "d" * 32
    store.decide(address, {"lr": 1e-5, "epochs": 2})
    store.decide(address, {"epochs": 2, "lr": 1e-5})
    assert store.decision(address) == {"lr": 1e-5, "epochs": 2}
    with pytest.raises(EnvironmentProblem, match="decided already"):
        store.decide(address, {"lr": 2e-5, "epochs": 2})
    assert store.decision(address) == {"lr": 1e-5, "epochs": 2}


@pytest.mark.parametrize("text", ["", '{"lr": 1e-', "[]", "\xff"])
def test_a_damaged_decision_is_named(store: Store, text: str) -> None:
    path = store.root / "decisions" / f"{'d' * 32}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(EnvironmentProblem, match=r"dddd\.json"):
        store.decision("d" * 32)


def test_a_manifest_in_the_wrong_folder_is_refused(store: Store) -> None:
    commit(store)
    other = store.folder("b" * 32)
    other.mkdir()
    (other / "manifest.json").write_bytes((store.folder(KEY) / "manifest.json").read_bytes())
    with pytest.raises(EnvironmentProblem, match="another stage"):
        store.manifest("b" * 32)


def test_the_manifest_is_json_for_people_and_scripts(store: Store) -> None:
    commit(store)
    value = json.loads((store.folder(KEY) / "manifest.json").read_text())
    assert value["format"] == 1
    assert value["metrics"] == {"score": 51.2}
