"""Row 36: what earlier versions of xsweep wrote is read as they meant it, and what later ones will is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xsweep.errors import EnvironmentProblem
from xsweep.store.manifests import FORMAT, read_manifest

GOLDEN = sorted((Path(__file__).parent / "golden").glob("manifest-format-*.json"))


def test_there_is_one_of_every_format() -> None:
    assert [path.name for path in GOLDEN] == [f"manifest-format-{number + 1}.json" for number in range(FORMAT)]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_an_old_manifest_is_read(path: Path) -> None:
    manifest = read_manifest(path.read_bytes(), str(path))
    assert (manifest.status, manifest.final, manifest.attempt, manifest.parent) == ("ok", True, 2, "b" * 32)
    assert manifest.metrics["score"] == 61.25
    assert manifest.metrics["dev"] == [{"epoch": 1, "loss": None, "accuracy": 50.0}]
    assert manifest.seconds == 12.25
    assert list(manifest.weights) == ["weights/model.safetensors"]


def test_the_newest_format_is_written_byte_by_byte_as_it_was() -> None:
    assert read_manifest(GOLDEN[-1].read_bytes(), "golden").to_json() == GOLDEN[-1].read_bytes()


def test_a_later_format_is_refused_with_both_numbers() -> None:
    value = {**json.loads(GOLDEN[-1].read_bytes()), "format": FORMAT + 1}
    said = f"format {FORMAT + 1} is not known here; this xsweep reads format {FORMAT}"
    with pytest.raises(EnvironmentProblem, match=said):
        read_manifest(json.dumps(value).encode(), "later")
