from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from xsweep.errors import EnvironmentProblem
from xsweep.models.folder import (
    cached_model_print,
    check_model_folder,
    count_params,
    model_folder,
    model_print,
    weight_files,
)
from xsweep.models.model import Model
from xsweep.tasks.source import Sources

SHAPES = {
    "embeddings.word_embeddings.weight": [10, 4],
    "embeddings.position_embeddings.weight": [6, 4],
    "encoder.layer.0.attention.self.query.weight": [4, 4],
}


def weights(path: Path, shapes: Mapping[str, list[int]] = SHAPES, dtype: str = "F32") -> Path:
    """A safetensors file of zeros, written from the format's definition."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "org--tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "tokenizer.json").write_text("{}")
    weights(folder / "model.safetensors")
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(EnvironmentProblem) as caught:
        check_model_folder(folder)
    assert caught.value.exit_code == 5
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_good_folder_yields_its_configuration(folder: Path) -> None:
    assert check_model_folder(folder) == {"model_type": "bert"}


def test_pickles_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "no model.safetensors; pytorch_model.bin is not read, since a pickle can run code" in refused(folder)
    (folder / "pytorch_model.bin").unlink()
    assert "no model.safetensors; was it published as a pickle?" in refused(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_the_models_own_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text(json.dumps({"model_type": "bert", "auto_map": {"AutoModel": "evil.Model"}}))
    assert "`auto_map`" in refused(folder)


@pytest.mark.parametrize("kind", ["gpt2", None, ["bert"]])
def test_unknown_model_types_are_refused(folder: Path, kind: Any) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    assert "model type" in refused(folder)


def test_what_is_missing_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert "no tokenizer" in refused(folder)
    (folder / "config.json").write_text("{")
    assert "config.json: cannot be read as JSON" in refused(folder)
    (folder / "config.json").unlink()
    assert "config.json: no such file" in refused(folder)
    assert "no such model folder" in refused(folder / "nope")


def test_sharded_weights_are_those_of_the_index(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    names = {"a": "model-00002-of-00002.safetensors", "b": "model-00001-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    for name in names.values():
        weights(folder / name)
    weights(folder / "stray.safetensors")
    assert [path.name for path in weight_files(folder)] == sorted(names.values())
    (folder / names["a"]).unlink()
    assert f"names {names['a']}, which is not in the folder" in refused(folder)


def test_an_index_cannot_lead_out_of_the_folder(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "else.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../else.safetensors"}}))
    assert "names ../else.safetensors" in refused(folder)


def test_folder_by_path_and_by_mirror(folder: Path, tmp_path: Path) -> None:
    sources = Sources((tmp_path, folder.parent), tmp_path / "cache")
    assert model_folder(Model(name="m", path=str(folder)), sources) == folder
    assert model_folder(Model(name="m", id="org/tiny"), sources) == folder.resolve()
    with pytest.raises(EnvironmentProblem, match=r"model m: no folder org--other in .*the hub is not asked"):
        model_folder(Model(name="m", id="org/other"), sources)


def test_print_follows_contents_and_names_alone(folder: Path, tmp_path: Path) -> None:
    sources, model = Sources((), tmp_path / "cache"), Model(name="m", path=str(folder))
    assert cached_model_print(model, sources) is None
    first = model_print(model, sources)
    assert cached_model_print(model, sources) == first
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    (copied / "README.md").write_text("more")
    other = Model(name="other", path=str(copied))
    assert cached_model_print(other, sources) is None
    assert model_print(other, sources) == first
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        before = model_print(other, sources)
        data = (copied / name).read_bytes()
        (copied / name).write_bytes(data.replace(b"bert", b"roberta") if name == "config.json" else data + b" ")
        assert cached_model_print(other, sources) is None
        assert model_print(other, sources) != before
    assert model_print(model, sources) == first


def test_parameters_by_hand(folder: Path) -> None:
    more = {"pooler.dense.weight": [4, 4], "lm_head.dense.weight": [4, 4], "cls.predictions.bias": [10]}
    weights(folder / "model.safetensors", {**SHAPES, **more})
    assert count_params(folder) == {"total": 40 + 24 + 16 + 32 + 10, "embedding": 40, "trunk": 40, "forward": 80}


def test_integer_buffers_are_no_parameters(folder: Path) -> None:
    before = count_params(folder)["total"]
    (folder / "model.safetensors").unlink()
    names = {"a": "a.safetensors", "b": "b.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    weights(folder / "a.safetensors")
    weights(folder / "b.safetensors", {"embeddings.position_ids": [1, 6]}, dtype="I64")
    assert count_params(folder)["total"] == before


def test_an_encoder_decoder_counts_as_its_encoder(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "mt5"}))
    shapes = {
        "shared.weight": [10, 4],
        "encoder.embed_tokens.weight": [10, 4],
        "encoder.block.0.layer.0.SelfAttention.q.weight": [4, 4],
        "decoder.embed_tokens.weight": [10, 4],
        "decoder.block.0.layer.0.SelfAttention.q.weight": [4, 4],
        "lm_head.weight": [10, 4],
    }
    weights(folder / "model.safetensors", shapes)
    counts = count_params(folder)
    assert (counts["embedding"], counts["trunk"], counts["forward"]) == (40, 16, 56)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"x", lambda data: data[:5]])
def test_weights_cut_short_are_seen_without_loading_them(folder: Path, damage: Any) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EnvironmentProblem, match=r"model\.safetensors: damaged or cut short"):
        count_params(folder)


def test_real_counts_equal_those_of_the_loaded_model(ladder: Path) -> None:
    from transformers import AutoModel

    for layers in (2, 4):
        folder = ladder / f"intfloat--multilingual-e5-small-L{layers}"
        check_model_folder(folder)
        model = AutoModel.from_pretrained(folder, add_pooling_layer=False)
        counts = count_params(folder)
        assert counts["forward"] == sum(weight.numel() for weight in model.parameters())
        assert counts["embedding"] == model.get_input_embeddings().weight.numel()
