from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.train.small import Place, choice_rows, pair_rows, span_rows, tag_rows
from xsweep.train import data, live
from xsweep.train.trim import Trimmed


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and models, written once."""
    place = Place(tmp_path_factory.mktemp("small"))
    place.data("pairs", pair_rows, train=160)
    place.data("others", pair_rows, train=40)
    place.data("spans", span_rows)
    place.data("choices", choice_rows)
    place.data("tags", tag_rows)
    place.model()
    return place.root


@pytest.fixture
def place(written: Path, tmp_path: Path) -> Place:
    """The written data and models, with stores of the test's own."""
    place = Place(tmp_path)
    place.mirror.symlink_to(written / "mirror")
    data._PARTS.clear()
    live._LIVE.clear()
    return place


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every trimmed table that is made."""
    made: list[int] = []
    begin = Trimmed.__init__

    def spy(self: Trimmed, embedding: torch.nn.Embedding, kept: torch.Tensor) -> None:
        made.append(len(kept))
        begin(self, embedding, kept)

    monkeypatch.setattr(Trimmed, "__init__", spy)
    return made
