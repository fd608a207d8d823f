from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tasks.made import Mirror, character_tokenizer
from xsweep.tasks.source import Sources


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path)


@pytest.fixture
def real(shared: Path, tmp_path: Path) -> Sources:
    """The real data sets, with a cache of this test's own."""
    return Sources((shared / "data",), tmp_path / "cache")


@pytest.fixture(scope="session")
def toy() -> Any:
    return character_tokenizer()


@pytest.fixture(scope="session")
def real_tokenizer(ladder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(ladder / "intfloat--multilingual-e5-small-L2")
