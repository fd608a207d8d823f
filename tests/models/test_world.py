from __future__ import annotations

from pathlib import Path

import pytest
import torch

from xsweep.errors import EnvironmentProblem
from xsweep.models.catalog import MODELS
from xsweep.models.folder import cached_model_print, count_params, model_folder, model_print
from xsweep.models.load import load_encoder, load_tokenizer, word_table
from xsweep.models.model import Model
from xsweep.models.world import WIDTHS, world_folder
from xsweep.tasks.source import Sources
from xsweep.tasks.world.languages import LANGUAGES, vocabulary
from xsweep.tasks.world.tables import world_table

WORLD = [model for model in MODELS.values() if model.ladder == "world"]


@pytest.mark.parametrize("model", WORLD, ids=lambda model: model.name)
def test_the_catalogue_counts_what_the_folder_holds(model: Model, tmp_path: Path) -> None:
    counted = count_params(model_folder(model, Sources((), tmp_path)))
    assert (model.params, model.embedding_params) == (counted["forward"], counted["embedding"])
    assert counted["forward"] <= 500_000


def test_every_encoder_is_in_the_catalogue_and_its_folder_loads_whole(tmp_path: Path) -> None:
    assert {model.id for model in WORLD} == set(WIDTHS)
    for name, width in WIDTHS.items():
        folder = world_folder(name, tmp_path)
        encoder = load_encoder(folder, None)
        assert word_table(encoder).shape == (len(vocabulary()), width)
        assert torch.equal(word_table(encoder)[1], torch.zeros(width))


def test_the_tokenizer_knows_every_word_of_every_language(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(world_folder("world/encoder-24", tmp_path))
    for code in LANGUAGES:
        texts = world_table("world/text", code, "validation").column("text").to_pylist()
        ids = tokenizer(texts)["input_ids"]
        assert not any(tokenizer.unk_token_id in row for row in ids)
        assert all(row[0] == tokenizer.bos_token_id and row[-1] == tokenizer.eos_token_id for row in ids)


def test_the_same_bytes_in_any_cache(tmp_path: Path) -> None:
    model = MODELS["world-24"]
    one, other = Sources((), tmp_path / "one"), Sources((tmp_path,), tmp_path / "other")
    assert model_print(model, one) == model_print(model, other)
    assert cached_model_print(model, one) == model_print(model, one)


def test_an_unknown_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="world/encoder-7: no such encoder in the artificial world; there are"):
        world_folder("world/encoder-7", tmp_path)
