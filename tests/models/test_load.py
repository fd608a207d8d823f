from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.train.small import write_model
from xsweep.errors import EnvironmentProblem
from xsweep.models import weights as weights_module
from xsweep.models.families import FAMILIES
from xsweep.models.folder import check_model_folder
from xsweep.models.load import (
    fitting_tokenizer,
    head_settings,
    layers,
    load_encoder,
    load_tokenizer,
    positions,
    word_table,
)
from xsweep.models.weights import Weights
from xsweep.train.checkpoint import own_rows


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


@pytest.mark.parametrize("kind", FAMILIES)
def test_values_and_buffers_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    """Parameters without memory leave no buffer without values: positions, rotary frequencies."""
    folder, family = write_model(tmp_path, kind), FAMILIES[kind]
    ours = load_encoder(folder, None)
    made: Any = getattr(transformers, family.auto)
    theirs = made.from_pretrained(folder, dtype=torch.float32).get_submodule(family.part)
    buffers = dict(theirs.named_buffers())
    assert {name for name, _ in ours.named_buffers()} == buffers.keys()
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in ours.named_buffers())
    values = dict(theirs.named_parameters())
    assert all(torch.equal(value, values[name]) for name, value in ours.named_parameters())
    ids, mask = torch.tensor([[0, 9, 8, 2], [0, 7, 2, 1]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    with torch.no_grad():
        hidden = [m.eval()(input_ids=ids, attention_mask=mask).last_hidden_state for m in (ours, theirs)]
    assert torch.allclose(hidden[0][mask.bool()], hidden[1][mask.bool()], atol=1e-6)


def test_a_checkpoint_with_a_head_and_old_names_is_read(tmp_path: Path) -> None:
    """As published: names under the family's prefix, a pooler and a head beside, norms in TensorFlow's words."""
    folder = write_model(tmp_path)
    before = load_file(folder / "model.safetensors")
    tensors = {
        f"bert.{name}".replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): value
        for name, value in before.items()
    }
    save_file({**tensors, "cls.predictions.bias": torch.zeros(124)}, folder / "model.safetensors")
    encoder = load_encoder(folder, None)
    assert all(torch.equal(value, before[name]) for name, value in encoder.named_parameters())


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"] = torch.zeros(100, 32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    expected = r"embeddings\.word_embeddings\.weight is \[100, 32\] in the weights, \[124, 32\] by config\.json"
    with pytest.raises(EnvironmentProblem, match=expected):
        load_encoder(folder, None)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    encoder = load_encoder(write_model(tmp_path / "fewer", vocab_size=100), None)
    with pytest.raises(EnvironmentProblem, match="gives ids up to 123, but the word table has 100 rows"):
        fitting_tokenizer(tmp_path / "fewer", encoder)


def test_positions_are_those_that_tokens_have(tmp_path: Path) -> None:
    longest = {kind: positions(load_encoder(write_model(tmp_path / kind, kind), None)) for kind in FAMILIES}
    assert Counter(longest.values()) == {80: 5, 78: 3, None: 2}
    assert longest["xlm-roberta-xl"] == 78
    assert longest["mt5"] is None


def test_workers_read_their_own_rows_and_together_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "CHUNK", 1000)
    folder = write_model(tmp_path)
    read: Counter[int] = Counter()
    encoder = load_encoder(folder, None)
    for rank in range(3):
        weights = Weights(folder)
        for name, parameter in encoder.named_parameters():
            mine = own_rows(len(parameter), rank, 3)
            room = torch.full_like(parameter.detach()[mine], torch.nan)
            weights.read(name, mine.start, room)
            assert torch.equal(room, parameter.detach()[mine])
            read[rank] += room.nbytes
        weights.close()
    whole = sum(parameter.nbytes for parameter in encoder.parameters())
    assert sum(read.values()) == whole
    assert max(read.values()) < 0.4 * whole
