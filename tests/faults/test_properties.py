"""Any byte cut or changed anywhere: a clear error or the value as it was, never a traceback or another value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.spec.test_bad_files import case
from xsweep.errors import EnvironmentProblem, SpecError
from xsweep.spec.load import load_sweep
from xsweep.spec.sweep import Sweep
from xsweep.store.keys import canonical
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store

KEY = "a" * 32
SWEEP_FILE = case("good", "").text.encode()
WHERE = st.floats(0, 1, exclude_max=True)
QUICK = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEW = settings(QUICK, max_examples=60)


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)


def loaded(path: Path, data: bytes) -> Sweep | None:
    """The sweep, or None where the file was refused, each problem in a line that names its place."""
    path.write_bytes(data)
    said: list[str] = []
    try:
        return load_sweep(path)
    except SpecError as error:
        said = str(error).splitlines()
    assert said
    assert all(re.match(rf"{re.escape(str(path))}:\d+:\d+ ", line) for line in said)
    return None


@QUICK
@given(where=WHERE)
def test_a_sweep_file_cut_anywhere_is_refused_or_was_only_blank_there(tmp_path: Path, where: float) -> None:
    at = int(where * len(SWEEP_FILE))
    cut = loaded(tmp_path / "sweep.yaml", SWEEP_FILE[:at])
    assert cut is None or not SWEEP_FILE[at:].strip() or cut != loaded(tmp_path / "sweep.yaml", SWEEP_FILE)


@QUICK
@given(where=WHERE, byte=st.integers(0, 255))
def test_a_sweep_file_with_any_byte_changed_is_said_to_be_wrong_or_read(
    tmp_path: Path, where: float, byte: int
) -> None:
    data = bytearray(SWEEP_FILE)
    data[int(where * len(data))] = byte
    loaded(tmp_path / "sweep.yaml", bytes(data))


@QUICK
@given(data=st.binary(max_size=300))
def test_no_bytes_make_the_loader_fall(tmp_path: Path, data: bytes) -> None:
    assert loaded(tmp_path / "sweep.yaml", data) is None


@QUICK
@given(text=st.text(alphabet="abn01:-_[]{}&*!|>'\"#,. \n\t~?%@<", max_size=120))
def test_nothing_that_looks_like_yaml_makes_it_fall(tmp_path: Path, text: str) -> None:
    loaded(tmp_path / "sweep.yaml", text.encode())


@FEW
@given(where=WHERE)
def test_a_manifest_or_decision_cut_anywhere_is_named(tmp_path: Path, where: float) -> None:
    store = Store(tmp_path)
    store.commit(Manifest(key=KEY, kind="target", status="ok", metrics={"score": 51.5}), {}, None)
    address = "d" * 32
    path = store.root / "decisions" / f"{address}.json"
    path.unlink(missing_ok=True)
    store.decide(address, {"lr": 1e-5, "epochs": 2})
    manifest = store.folder(KEY) / "manifest.json"
    for file, read in ((manifest, lambda: store.manifest(KEY)), (path, lambda: store.decision(address))):
        whole = file.read_bytes()
        file.write_bytes(whole[: int(where * len(whole.rstrip()))])
        with pytest.raises(EnvironmentProblem, match=re.escape(str(file))):
            read()
        file.write_bytes(whole)


NAMES = st.text(min_size=1, max_size=40).filter(lambda name: not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name))


@QUICK
@given(name=NAMES | st.sampled_from(["..", "../x", "/etc/passwd", "a/../../b", "~", "a\0b", "a\nb", "C:\\x", "." * 3]))
def test_no_name_leads_out_of_the_store(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / "store")
    for use in (store.folder, store.results, store.decision, store.evict, store.work, store.beginning, store.report):
        with pytest.raises(ValueError, match="is no name for a file"):
            use(name)
    with pytest.raises(ValueError, match="is no name for a file"):
        store.commit(Manifest(key=KEY, kind="target", status="ok"), {name: b""}, None)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@QUICK
@given(left=JSON, right=JSON)
def test_equal_texts_are_equal_values_only(left: object, right: object) -> None:
    """What keys are made of: no two values that differ have one canonical text."""

    def kinds(value: object) -> object:
        if isinstance(value, list):
            return [kinds(item) for item in value]
        if isinstance(value, dict):
            return {key: kinds(item) for key, item in value.items()}
        return (type(value), repr(value))

    assert (canonical(left) == canonical(right)) == (kinds(left) == kinds(right))
