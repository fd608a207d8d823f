"""The features on disk: what is found is what was made, and nothing harmed is believed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.small import Place, pair_rows
from xsweep.errors import DataError
from xsweep.models.load import load_tokenizer
from xsweep.tasks.examples import fingerprint, load_split
from xsweep.tasks.features import NO_LABEL, Features, Noise
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.task import Task
from xsweep.train import data
from xsweep.train.data import Reader
from xsweep.train.tokenised import Entry, Tokenised


def made(form: str, place: Place) -> Features:
    task = place.task("pairs" if form == "pair" else "spans", form)
    place.model()
    examples = load_split(task, "train", place.sources).examples
    return FORMATS[form].encode(examples, task, load_tokenizer(place.mirror / "made--bert"))


def equal(one: Features, other: Features) -> bool:
    pairs = [(getattr(one, item.name), getattr(other, item.name)) for item in fields(Features)]
    return all(np.array_equal(a, b) and a.dtype == b.dtype if isinstance(a, np.ndarray) else a == b for a, b in pairs)


@pytest.mark.parametrize("form", ["pair", "span"])
def test_what_is_found_is_what_was_made(place: Place, tmp_path: Path, form: str) -> None:
    features, disk = replace(made(form, place), truncated=3), Tokenised(tmp_path / "features")
    assert disk.find({"a": 1}) is None
    first = disk.get({"a": 1}, lambda: Entry(features, 7, {"folds": 2}))
    again = disk.get({"a": 1}, lambda: pytest.fail("made twice"))
    for entry in (first, again):
        assert equal(entry.features, features)
        assert (entry.examples, entry.dropped) == (7, {"folds": 2})
        assert isinstance(entry.features.ids.base, np.memmap)
        assert not entry.features.ids.flags.writeable
    assert disk.find({"a": 2}) is None
    assert [path.name for path in disk.folder.iterdir() if path.name.startswith(".")] == []


def test_what_hides_tokens_is_kept_too(place: Place, tmp_path: Path) -> None:
    features = made("pair", place)
    noisy = replace(features, labels=np.full(len(features.ids), NO_LABEL, dtype=np.int32), noise=Noise(3, (0, 1, 2)))
    found = Tokenised(tmp_path / "features").get("k", lambda: Entry(noisy, 7, {})).features
    assert found.noise == noisy.noise
    assert equal(found, noisy)


def harmed(folder: Path) -> Iterator[str]:
    """One harm after the other, each undone by the caller's making the entry again."""
    for name in sorted(path.name for path in folder.iterdir()):
        for harm in ("cut", "flipped", "gone", "empty"):
            path = folder / name
            whole = path.read_bytes()
            if harm == "gone":
                path.unlink()
            else:
                middle = len(whole) // 2
                flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
                path.write_bytes({"cut": whole[:-1], "flipped": flipped, "empty": b""}[harm])
            yield f"{name} {harm}"


def test_a_harmed_entry_is_made_again(place: Place, tmp_path: Path) -> None:
    features, disk = made("span", place), Tokenised(tmp_path / "features")
    disk.get("k", lambda: Entry(features, 7, {}))
    (folder,) = disk.folder.iterdir()
    harms = 0
    for what in harmed(folder):
        assert disk.find("k") is None, what
        assert equal(disk.get("k", lambda: Entry(features, 7, {})).features, features), what
        assert disk.find("k") is not None, what
        harms += 1
    assert harms == 4 * 7


def test_no_byte_of_the_note_can_change_unseen(place: Place, tmp_path: Path) -> None:
    features, disk = made("pair", place), Tokenised(tmp_path / "features")
    disk.get("k", lambda: Entry(features, 7, {"folds": 2}))
    (folder,) = disk.folder.iterdir()
    note = folder / "entry.json"
    whole = note.read_bytes()
    for at in range(len(whole)):
        note.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert disk.find("k") is None, at
    note.write_bytes(whole)
    assert disk.find("k") is not None


def test_a_disk_that_refuses_costs_the_entry_alone(place: Place, tmp_path: Path, caplog: Any) -> None:
    features = made("pair", place)
    (tmp_path / "features").write_text("a file where the folder should be")
    entry = Tokenised(tmp_path / "features").get("k", lambda: Entry(features, 7, {}))
    assert entry.features is features
    assert "not kept" in caplog.text


class Counted:
    """A tokenizer that counts what it is asked."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.calls = inner, 0
        self.model_input_names = inner.model_input_names
        self.all_special_ids = inner.all_special_ids
        self.mask_token_id = inner.mask_token_id

    def __call__(self, *texts: Any, **options: Any) -> Any:
        self.calls += 1
        return self.inner(*texts, **options)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        return int(self.inner.num_special_tokens_to_add(pair))


def reader_of(place: Place, *tasks: Task) -> tuple[Reader, Counted]:
    place.model()
    counted = Counted(load_tokenizer(place.mirror / "made--bert"))
    prints = {f"{part}/{t.name}": fingerprint(t, part, place.sources) for t in tasks for part in ("train", "selection")}
    return Reader(place.sources, counted, "same", prints), counted


def test_a_second_run_tokenises_nothing_and_reads_no_train_rows(place: Place, monkeypatch: Any) -> None:
    task = place.task("pairs")
    reader, counted = reader_of(place, task)
    first = reader.part((task,), "train", 50), reader.part((task,), "selection", None)
    asked = counted.calls
    data._PARTS.clear()
    with monkeypatch.context() as patched:
        patched.setattr(data, "load_split", lambda *_: pytest.fail("read"))
        train = reader.part((task,), "train", 50)
    selection = reader.part((task,), "selection", None)
    assert counted.calls == asked > 0
    for before, after in zip(first, (train, selection), strict=True):
        assert equal(before.features, after.features)
        assert (before.count, before.dropped, before.examples) == (after.count, after.dropped, after.examples)
    other = reader.part((task,), "train", 49)
    assert (other.count, counted.calls) == (49, asked + 1)


def test_rows_that_changed_since_are_refused_though_features_of_the_old_ones_are_there(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.data("moving", pair_rows, train=20)
    task = place.task("moving")
    reader, _ = reader_of(place, task)
    reader.part((task,), "train", None)
    data._PARTS.clear()
    place.data("moving", pair_rows, train=21)
    with pytest.raises(DataError, match="the data has changed since it was planned"):
        reader.part((task,), "train", None)


def test_two_writers_leave_one_whole_entry(place: Place, tmp_path: Path, caplog: Any, monkeypatch: Any) -> None:
    features, disk = made("pair", place), Tokenised(tmp_path / "features")
    entry = Entry(features, 1, {})

    def slow() -> Entry:
        disk.get("k", lambda: entry)  # another process, meanwhile
        return entry

    assert equal(disk.get("k", slow).features, features)
    (folder,) = disk.folder.iterdir()
    plain = os.rename

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "rename", plain)
        disk.get("other", lambda: entry)  # another process, between the last look and the renaming
        plain(source, target)

    monkeypatch.setattr(os, "rename", late)
    assert equal(disk.get("other", lambda: entry).features, features)
    assert len(os.listdir(disk.folder)) == 2
    assert folder.is_dir()
    assert caplog.text == ""
