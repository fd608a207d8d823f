from __future__ import annotations

import os
import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.tasks.made import Mirror, pairs
from xsweep.errors import DataError
from xsweep.store.files import default_cache
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data

SET = Data(dataset="org/set", split="train")


def test_default_configuration_may_have_no_folder(mirror: Mirror) -> None:
    mirror.write(pairs(3), at="org--set/train.parquet")
    assert mirror.sources.table(SET).num_rows == 3


def test_shards_come_in_order(mirror: Mirror) -> None:
    for shard in (1, 0, 2):
        rows = pairs(2, premise=[f"{shard}a", f"{shard}b"])
        mirror.write(rows, at=f"org--set/default/train-{shard:05}-of-00003.parquet")
    mirror.write(pairs(9), at="org--set/default/train_r1-00000-of-00001.parquet")
    assert mirror.sources.table(SET)["premise"].to_pylist() == ["0a", "0b", "1a", "1b", "2a", "2b"]


def test_first_mirror_that_has_the_data_set_wins(mirror: Mirror, tmp_path: Path) -> None:
    mirror.write(pairs(3))
    empty, other = tmp_path / "empty", Mirror(tmp_path / "other")
    empty.mkdir()
    other.write(pairs(5))
    assert Sources((empty, mirror.root, other.root), tmp_path).table(SET).num_rows == 3
    assert Sources((empty, other.root, mirror.root), tmp_path).table(SET).num_rows == 5


def test_language_fills_the_configuration(mirror: Mirror) -> None:
    mirror.write(pairs(4), at="org--set/x.de/train.parquet")
    data = Data(dataset="org/set", config="x.{language}", split="train")
    assert mirror.sources.table(data, "de").num_rows == 4
    with pytest.raises(DataError, match="needs a language"):
        mirror.sources.table(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Data(dataset="org/nope", split="train"), "org/nope default train: no folder org--nope in .*hub is not asked"),
        (Data(dataset="org/set", config="fr", split="train"), "org/set fr train: no configuration 'fr' .*has de, en$"),
        (Data(dataset="org/set", config="de", split="test"), "org/set de test: no split 'test' .*it has dev, train$"),
    ],
)
def test_what_is_missing_is_named_with_what_there_is(mirror: Mirror, data: Data, message: str) -> None:
    for at in ("de/train.parquet", "de/dev-00000-of-00001.parquet", "en/train.parquet"):
        mirror.write(pairs(1), at=f"org--set/{at}")
    with pytest.raises(DataError, match=message) as caught:
        mirror.sources.table(data)
    assert "\n" not in str(caught.value)


def test_damaged_parquet_is_named(mirror: Mirror) -> None:
    path = mirror.write(pairs(50))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train\.parquet cannot be read as Parquet") as caught:
        mirror.sources.table(SET)
    assert "\n" not in str(caught.value)


def test_shards_that_differ_are_refused(mirror: Mirror) -> None:
    mirror.write(pairs(2), at="org--set/default/train-00000-of-00002.parquet")
    mirror.write({"text": ["a"]}, at="org--set/default/train-00001-of-00002.parquet")
    with pytest.raises(DataError, match="shards differ"):
        mirror.sources.table(SET)


def test_state_sees_an_edit_that_kept_size_and_time(mirror: Mirror) -> None:
    path = mirror.write(pairs(3))
    stat, before = path.stat(), mirror.sources.state(SET)
    assert mirror.sources.state(SET) == before
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert mirror.sources.state(SET) != before


def test_remembered_digest_is_made_once_and_survives_damage(tmp_path: Path) -> None:
    sources = Sources((), tmp_path)
    calls: list[int] = []

    def make() -> str:
        calls.append(1)
        return "abc"

    assert sources.recall("k", {"a": 1}) is None
    assert [sources.remember("k", {"a": 1}, make) for _ in range(3)] == ["abc"] * 3
    assert len(calls) == 1
    for path in (tmp_path / "k").iterdir():
        path.write_text("{")
    assert sources.remember("k", {"a": 1}, make) == "abc"
    assert len(calls) == 2


def test_sources_travel_to_workers(mirror: Mirror) -> None:
    assert pickle.loads(pickle.dumps(mirror.sources)) == mirror.sources


def test_default_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XSWEEP_CACHE", str(tmp_path / "here"))
    assert default_cache() == tmp_path / "here"
    monkeypatch.delenv("XSWEEP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "xsweep"


def test_real_mirror_keeps_label_names(real: Sources) -> None:
    table = real.table(Data(dataset="facebook/xnli", config="{language}", split="test"), "de")
    assert table.num_rows == 5010
    assert b"contradiction" in table.schema.metadata[b"huggingface"]
    assert table.schema == pq.read_schema(real.mirrors[0] / "facebook--xnli" / "de" / "test.parquet")
