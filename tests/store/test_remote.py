"""The store on a real S3 server."""

from __future__ import annotations

import json
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.servers import S3, SECRET, free_port, make_bucket, s3_server
from xsweep.errors import EnvironmentProblem, StoreBusy, UsageError
from xsweep.store.backend import Found
from xsweep.store.manifests import Manifest, Status
from xsweep.store.remote import Remote
from xsweep.store.s3 import PART
from xsweep.store.store import Store
from xsweep.store.tenure import hold_remote

KEY = "0" * 31 + "a"
WEIGHTS = bytes(range(256)) * 8


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3_server() as running:
        make_bucket(running, "results")
        yield running


@pytest.fixture
def address(server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A part of the bucket that no other test has."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return f"s3://results/team/{secrets.token_hex(4)}"


@pytest.fixture
def elsewhere(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Store]:
    """The same store as another machine sees it: with a cache of its own."""

    def another() -> Store:
        monkeypatch.setenv("XSWEEP_CACHE", str(tmp_path / f"machine-{secrets.token_hex(4)}"))
        return Store(address)

    return another


def commit(store: Store, status: Status = "ok", *, weights: bytes | None = WEIGHTS, score: float = 51.2) -> Manifest:
    work = store.work(KEY)
    (work / "predictions.parquet").write_bytes(b"PAR1")
    named = {}
    if weights is not None:
        (work / "model.safetensors").write_bytes(weights)
        named = {"model.safetensors": work / "model.safetensors"}
    manifest = Manifest(KEY, "target", status, spec={"seed": 1}, metrics={"score": score})
    results: dict[str, bytes | Path] = {
        "metrics.json": json.dumps({"score": score}).encode(), "predictions.parquet": work / "predictions.parquet"
    }  # fmt: skip
    return store.commit(manifest, results, named)


def objects(address: str, below: str = "") -> list[str]:
    return sorted(Remote(address)._bucket.sizes(below or "stages"))


def test_looking_makes_nothing(address: str) -> None:
    store = Store(address)
    assert store.manifest(KEY) is None
    assert list(store.manifests()) == []
    assert store.beginnings() == []
    assert store.decision("d" * 32) is None
    assert not store.has_weights(KEY)
    assert store.evict(KEY) == 0
    assert objects(address) == []
    assert not store.root.exists()


def test_an_attempt_is_read_from_another_machine(address: str, elsewhere: Callable[[], Store]) -> None:
    store = Store(address)
    written = commit(store)
    own = written.files["weights/model.safetensors"]["at"].partition("/")[0]
    assert objects(address) == [
        f"{KEY}/{own}/results/metrics.json",
        f"{KEY}/{own}/results/predictions.parquet",
        f"{KEY}/{own}/weights/model.safetensors",
        f"{KEY}/manifest.json",
    ]
    assert not (store.folder(KEY) / "work").exists()
    other = elsewhere()
    assert other.manifest(KEY) == written
    assert other.has_weights(KEY)
    assert (other.weights(KEY) / "model.safetensors").read_bytes() == WEIGHTS
    assert (other.results(KEY) / "predictions.parquet").read_bytes() == b"PAR1"
    assert [manifest.key for manifest in other.manifests()] == [KEY]


def test_a_failed_stage_is_tried_again_and_what_is_done_keeps_its_results(address: str) -> None:
    store = Store(address)
    assert not commit(store, "failed", weights=None).final
    first = commit(store, score=1)
    assert (first.status, first.attempt) == ("ok", 2)
    assert store.evict(KEY) == len(WEIGHTS)
    assert not store.has_weights(KEY)
    with pytest.raises(EnvironmentProblem, match="holds no weights"):
        store.weights(KEY)
    again = commit(store, score=2, weights=WEIGHTS + b"!")
    assert again.metrics == {"score": 1}
    assert (store.weights(KEY) / "model.safetensors").read_bytes() == WEIGHTS + b"!"
    commit(store, "diverged", weights=None)
    assert store.manifest(KEY) == again


def test_a_glance_asks_once_for_all_that_has_not_begun(server: S3, address: str) -> None:
    store = Store(address)
    commit(store)
    store.decide("d" * 32, {"lr": 1e-5})
    server.calls.clear()
    with store.glance():
        assert store.manifest(KEY) is not None
        assert store.decision("d" * 32) == {"lr": 1e-5}
        for number in range(50):
            assert store.manifest(f"{number:032}") is None
            assert not store.has_weights(f"{number:032}")
            assert store.decision(f"{number:032}") is None
    assert len(server.calls) == 4
    other = f"{7:032}"
    store.commit(Manifest(other, "target", "ok"), {}, None)
    assert store.manifest(other) is not None


def test_weights_made_again_elsewhere_are_seen(address: str, elsewhere: Callable[[], Store]) -> None:
    store = Store(address)
    commit(store)
    assert store.has_weights(KEY)  # remembered from here on
    other = elsewhere()
    other.evict(KEY)
    assert not store.has_weights(KEY)
    commit(other)
    assert store.has_weights(KEY)
    assert (store.weights(KEY) / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("harm", [WEIGHTS[:-1], b"", b"\1" + WEIGHTS[1:]], ids=["cut", "empty", "first byte"])
def test_damaged_objects_are_named_and_removed(address: str, elsewhere: Callable[[], Store], harm: bytes) -> None:
    at = commit(Store(address)).files["weights/model.safetensors"]["at"]
    Remote(address)._bucket.upload(harm, f"stages/{KEY}/{at}")
    with pytest.raises(EnvironmentProblem, match=r"s3://.*model\.safetensors: damaged.*rebuilds"):
        elsewhere().weights(KEY)
    assert not elsewhere().has_weights(KEY)


def test_a_damaged_cache_is_filled_anew(address: str) -> None:
    store = Store(address)
    commit(store)
    (store.folder(KEY) / "weights" / "model.safetensors").write_bytes(WEIGHTS[:9])
    assert (Store(address).weights(KEY) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_decision_is_written_once(address: str) -> None:
    store = Store(address)
    store.decide("d" * 32, {"lr": 1e-5})
    store.decide("d" * 32, {"lr": 1e-5})
    with pytest.raises(EnvironmentProblem, match="decided already"):
        Store(address).decide("d" * 32, {"lr": 2e-5})
    assert Store(address).decision("d" * 32) == {"lr": 1e-5}


def together(*calls: Callable[[], object]) -> list[object]:
    """What each call gives, or raises; all start at once."""
    gate, results = threading.Barrier(len(calls)), [object()] * len(calls)

    def go(at: int) -> None:
        gate.wait()
        try:
            results[at] = calls[at]()
        except Exception as error:
            results[at] = error

    threads = [threading.Thread(target=go, args=(at,)) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(["ok", "diverged", "failed"]), min_size=2, max_size=3), st.booleans())
def test_of_attempts_that_end_at_once_one_counts_whole(address: str, statuses: list[Status], failed: bool) -> None:
    """Every writer hears of the manifest that stands, and all its files are the ones that its writer brought."""
    place = f"{address}/{secrets.token_hex(4)}"
    if failed:
        commit(Store(place), "failed", weights=None)

    def end(number: int) -> Callable[[], object]:
        def call() -> Manifest:
            metrics = f'{{"score": {number}}}'.encode()
            manifest = Manifest(KEY, "target", statuses[number], metrics={"score": number})
            return Store(place).commit(manifest, {"metrics.json": metrics}, None)

        return call

    heard = together(*(end(number) for number in range(len(statuses))))
    standing = Store(place).manifest(KEY)
    assert standing is not None
    finals = [manifest for manifest in heard if isinstance(manifest, Manifest) and manifest.final]
    assert len(heard) == len(statuses)
    assert all(isinstance(manifest, Manifest) for manifest in heard)
    assert all(manifest == standing for manifest in finals)
    assert standing.final == any(status != "failed" for status in statuses)
    entry = standing.files["results/metrics.json"]
    found = Remote(place)._bucket.get(f"stages/{KEY}/{entry['at']}")
    assert found is not None
    assert json.loads(found.data) == {"score": standing.metrics["score"]}


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(2, 4))
def test_of_decisions_made_at_once_one_stands(address: str, writers: int) -> None:
    place = f"{address}/{secrets.token_hex(4)}"
    heard = together(*(lambda at=at: Store(place).decide("d" * 32, {"lr": at}) for at in range(writers)))
    assert [outcome for outcome in heard if outcome is None] == [None]
    assert all("decided already" in str(outcome) for outcome in heard if outcome is not None)


def test_checkpoints_reach_the_store(address: str, elsewhere: Callable[[], Store]) -> None:
    import torch

    from xsweep.train.checkpoint import Checkpoints, newest
    from xsweep.train.world import World

    alone = World(0, 1, torch.device("cpu"))
    store = Store(address)
    for step in (3, 12):
        Checkpoints(store.working(KEY), alone, 0).save(step, {"a": torch.full((3,), float(step))}, {"tokens": step})
    assert {name.split("/")[2] for name in objects(address)} == {"checkpoint-12"}
    assert [path for path in store.folder(KEY).rglob("*") if path.is_file()] == [], "nothing is left on the machine"
    other = elsewhere()
    assert newest(other.working(KEY)) == 12
    saved = Checkpoints(other.working(KEY), alone, 0).load()
    assert saved is not None
    assert (saved.step, saved.state, saved.tensors["a"].tolist()) == (12, {"tokens": 12}, [12.0] * 3)
    commit(other)
    assert newest(store.working(KEY)) == -1
    assert not [name for name in objects(address) if "/work/" in name]


def test_a_beginning_goes_as_a_whole(address: str) -> None:
    store = Store(address)
    folder = store.beginning(KEY).inside("until-2")
    folder.path.mkdir(parents=True)
    (folder.path / "state").write_bytes(b"12345")
    folder.keep("state")
    assert store.beginnings() == [KEY]
    assert store.beginning(KEY).held() == {"until-2/state": 5}
    assert store.drop_beginning(KEY) == 5
    assert store.beginnings() == []


def test_a_report_is_published_in_place_of_the_last(address: str) -> None:
    store = Store(address)
    for name in ("old.csv", "report.html"):
        store.report("pilot").mkdir(parents=True, exist_ok=True)
        (store.report("pilot") / name).write_text(name)
        assert store.publish_report("pilot") == f"{address}/reports/pilot"
        (store.report("pilot") / name).unlink()
    assert objects(address, "reports") == ["pilot/report.html"]


def test_big_files_go_in_parts(server: S3, address: str) -> None:
    store = Store(address)
    weights = bytes(2 * PART + 1)
    server.calls.clear()
    commit(store, weights=weights)
    assert sum("partNumber=" in call for call in server.calls) == 3
    assert store.has_weights(KEY)


# The lease


def test_the_loser_hears_who_holds_it_and_released_it_is_free(address: str) -> None:
    holder, other = (hold_remote(Remote(address), "lock", renew=0.1) for _ in range(2))
    with holder, pytest.raises(StoreBusy, match=r"in use by another xsweep: process \d+"), other:
        pass
    with Store(address).lease():
        pass


def test_a_dead_holder_is_followed_when_its_lease_is_stale(address: str) -> None:
    place = Remote(address)
    assert place.write("lock", json.dumps({"host": "gone", "pid": 1, "start": "once"}).encode(), None)
    start = time.monotonic()
    with hold_remote(place, "lock", renew=0.5, stale=2.0):
        assert time.monotonic() - start > 1, "its lease was not waited for"
    with hold_remote(place, "lock", renew=0.5, stale=2.0):
        pass


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(2, 4), st.sampled_from(["absent", "free", "stale"]))
def test_of_drivers_that_start_at_once_one_runs(address: str, drivers: int, before: str) -> None:
    place, name, inside = Remote(address), f"lock-{secrets.token_hex(4)}", []
    if before != "absent":
        place.write(name, b"{}" if before == "free" else b'{"host": "gone", "pid": 1, "start": "once"}', None)
    held = threading.Event()

    def drive() -> None:
        with hold_remote(place, name, renew=0.1, stale=1.0 if before == "stale" else 30.0):
            inside.append(1)
            held.wait(5)

    def losers_are_done(results: list[object]) -> None:
        while len(results) < drivers - 1:
            time.sleep(0.02)
        held.set()

    results: list[object] = []

    def counted() -> None:
        try:
            drive()
        except StoreBusy as busy:
            results.append(busy)

    together(*[counted] * drivers, lambda: losers_are_done(results))
    assert len(inside) == 1
    assert len(results) == drivers - 1


@pytest.fixture
def stopped() -> Iterator[threading.Event]:
    """Set when this process is asked to stop."""
    told = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    yield told
    signal.signal(signal.SIGTERM, before)


def test_a_holder_that_lost_its_lease_is_stopped_and_says_so(address: str, stopped: threading.Event) -> None:
    place, thief = Remote(address), json.dumps({"host": "thief", "pid": 7, "start": "now"}).encode()

    def drive() -> None:
        with hold_remote(place, "lock", renew=0.2):
            while not place.write("lock", thief, place.read("lock")):
                pass
            assert stopped.wait(30)

    with pytest.raises(StoreBusy, match="taken over by process 7 on host thief"):
        drive()
    standing = place.read("lock")
    assert standing is not None
    assert standing.data == thief, "what is another's is left alone"


def test_a_holder_that_cannot_renew_stops_before_others_may_start(
    server: S3, address: str, stopped: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drive() -> None:
        with hold_remote(Remote(address), "lock", renew=0.2, stale=1.0):
            monkeypatch.setattr(server, "deny", True)
            assert stopped.wait(30)

    with pytest.raises(StoreBusy, match=r"could not be renewed: .*access denied"):
        drive()


# What goes wrong


def test_an_answer_that_was_lost_is_no_loss(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library asks again, and then meets what it wrote itself."""
    place = Remote(address)
    assert place.write("once", b"mine", None)
    assert place.write("once", b"mine", None)
    assert not place.write("once", b"another's", None)
    assert not place.write("never", b"x", Found(b"", '"0"'))


@pytest.mark.parametrize("what", ["no bucket", "denied", "unreachable", "no credentials"])
def test_trouble_is_one_plain_line(server: S3, address: str, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    said = {
        "no bucket": "s3://nowhere/x/stages/.*: there is no bucket nowhere; make it first",
        "denied": r"access denied \(AccessDenied\); the credentials must be allowed to",
        "unreachable": "S3 cannot be reached: ",
        "no credentials": "no credentials for S3; set AWS_PROFILE",
    }
    if what == "no bucket":
        address = "s3://nowhere/x"
    if what == "unreachable":
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    if what == "no credentials":
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(server, "deny", what == "denied")
    store = Store(address)
    calls: list[Callable[[], object]] = [lambda: store.manifest(KEY), lambda: commit(store)]
    for call in (*calls, store.lease().__enter__):
        with pytest.raises(EnvironmentProblem, match=said[what] if what != "no bucket" else "no bucket") as caught:
            call()
        assert caught.value.exit_code == 5
        assert "\n" not in str(caught.value)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["s3://", "s3://UPPER/x", "s3://key:secret@bucket/x", "s3://bucket/x?y=1", "gs://bucket/x"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(UsageError, match="an object store is s3://BUCKET/PREFIX, without credentials") as caught:
        Store(address)
    assert "secret" not in str(caught.value)


def test_credentials_are_written_nowhere(server: S3, address: str, tmp_path: Path) -> None:
    store = Store(address)
    with store.lease():
        commit(store)
        store.decide("d" * 32, {"lr": 1e-5})
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    bucket = Remote(address)._bucket
    names = [f"{part}/{name}" for part in ("stages", "decisions") for name in bucket.sizes(part)]
    kept = [found.data for name in [*names, "driver.lock"] if (found := bucket.get(name))]
    assert len(kept) == 6
    assert not [text for text in written + kept if SECRET.encode() in text]
    assert SECRET not in repr(store)
