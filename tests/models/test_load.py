from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.train.small import write_model
from xsweep.errors import EnvironmentProblem
from xsweep.models.families import FAMILIES
from xsweep.models.folder import check_model_folder
from xsweep.models.load import head_settings, layers, load_encoder, load_tokenizer, word_table


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_known_type_loads_without_pooler(kind: str, tmp_path: Path) -> None:
    encoder = load_encoder(write_model(tmp_path, kind), None)
    assert len(layers(encoder)) == 2
    assert word_table(encoder).shape == (124, 16 if kind == "rembert" else 32)
    assert not any("pooler" in name for name, _ in encoder.named_parameters())
    ids = torch.tensor([[0, 9, 8, 2]])
    hidden = encoder.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    assert hidden.shape == (1, 4, 32)


def test_dropout_override_reaches_every_dropout(tmp_path: Path) -> None:
    folder = write_model(tmp_path, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2)
    chances = {m.p for m in load_encoder(folder, 0.3).modules() if isinstance(m, torch.nn.Dropout)}
    assert chances == {0.3}
    assert head_settings(load_encoder(folder, None)) == (0.1, 0.1)
    assert head_settings(load_encoder(folder, 0.0))[0] == 0.0


def test_parameters_lie_in_memory_of_their_own(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    encoder = load_encoder(folder, None)
    before = word_table(encoder).detach().clone()
    (folder / "model.safetensors").write_bytes(b"\0" * (folder / "model.safetensors").stat().st_size)
    assert torch.equal(word_table(encoder), before)
    assert all(parameter.data_ptr() % 64 == 0 for parameter in encoder.parameters())


def test_missing_weights_are_named(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EnvironmentProblem, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        load_encoder(folder, None)


def test_other_types_are_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"model_type": "bert"', '"model_type": "gpt2"'))
    with pytest.raises(EnvironmentProblem, match="gpt2"):
        check_model_folder(folder)


def test_tokenizer_is_fast(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_model(tmp_path))
    assert tokenizer("w1 w2", "w3")["input_ids"] == [0, 5, 6, 2, 2, 7, 2]
