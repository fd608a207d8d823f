"""The encoders of the artificial world: XLM-R in shape, tiny, with random weights that a stage then pretrains.

Written as ordinary model folders, so that everything that reads a checkpoint reads them.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xsweep.errors import EnvironmentProblem
from xsweep.store.files import guarded
from xsweep.tasks.world.languages import SPECIALS, number, vocabulary
from xsweep.tasks.world.tables import world_state

WIDTHS: Mapping[str, int] = {f"world/encoder-{width}": width for width in (24, 48, 96)}
"""Id -> width of the hidden states."""

_LAYERS = 2
_POSITIONS = 66
"""64 tokens and the two positions that XLM-R leaves out."""


def _deviation(width: int) -> float:
    """Of fresh weights: BERT's 0.02 at width 768, and the same size of sums at any other."""
    return 0.02 * math.sqrt(768 / width)


def world_folder(name: str, cache: Path) -> Path:
    """The folder of an encoder of the world under ``cache``, written when it is not there."""
    if name not in WIDTHS:
        raise EnvironmentProblem(f"{name}: no such encoder in the artificial world; there are {', '.join(WIDTHS)}")
    folder = cache / "world" / world_state() / name.split("/")[1]
    if not folder.is_dir():
        with guarded(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(dir=folder.parent))
            _write(made, WIDTHS[name])
            try:
                made.rename(folder)
            except OSError:  # another process was first, with the same bytes
                shutil.rmtree(made)
    return folder


def _write(folder: Path, width: int) -> None:
    from safetensors.numpy import save_file

    (folder / "config.json").write_text(json.dumps(_config(width), indent=1))
    (folder / "tokenizer_config.json").write_text(json.dumps(_TOKENIZER_CONFIG, indent=1))
    _tokenizer().save(str(folder / "tokenizer.json"))
    save_file(_weights(width), folder / "model.safetensors")


def _config(width: int) -> dict[str, Any]:
    return {
        "model_type": "xlm-roberta",
        "architectures": ["XLMRobertaModel"],
        "vocab_size": len(vocabulary()),
        "hidden_size": width,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": max(2, width // 24),
        "intermediate_size": 4 * width,
        "hidden_act": "gelu",
        "max_position_embeddings": _POSITIONS,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "initializer_range": _deviation(width),
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
    }


_BEGIN, _PAD, _END, _UNKNOWN, _MASK = SPECIALS
_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": _BEGIN,
    "pad_token": _PAD,
    "eos_token": _END,
    "unk_token": _UNKNOWN,
    "mask_token": _MASK,
    "cls_token": _BEGIN,
    "sep_token": _END,
    "model_max_length": _POSITIONS - 2,
    "model_input_names": ["input_ids", "attention_mask"],
}


def _tokenizer() -> Any:
    """One token a word or punctuation mark, in XLM-R's template."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

    ids = {token: place for place, token in enumerate(vocabulary())}
    tokenizer: Any = Tokenizer(models.WordLevel(ids, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_BEGIN} $A {_END}",
        pair=f"{_BEGIN} $A {_END} {_END} $B {_END}",
        special_tokens=[(token, ids[token]) for token in (_BEGIN, _END)],
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS])
    return tokenizer


def _weights(width: int) -> dict[str, NDArray[np.float32]]:
    """Normal with the deviation of BERT; norms are ones, biases and the padding's word zeros."""
    random = np.random.Generator(np.random.PCG64(number("encoder", width)))
    weights = {name: _values(name, shape, _deviation(width), random) for name, shape in _shapes(width).items()}
    weights["embeddings.word_embeddings.weight"][SPECIALS.index(_PAD)] = 0
    weights["embeddings.position_embeddings.weight"][SPECIALS.index(_PAD)] = 0
    return weights


def _values(name: str, shape: tuple[int, ...], deviation: float, random: np.random.Generator) -> NDArray[np.float32]:
    if len(shape) > 1:
        return random.normal(0.0, deviation, shape).astype(np.float32)
    return np.full(shape, float(name.endswith("LayerNorm.weight")), dtype=np.float32)


def _shapes(width: int) -> dict[str, tuple[int, ...]]:
    """Every parameter of the encoder, in the names of ``XLMRobertaModel``."""
    tables = {"word": len(vocabulary()), "position": _POSITIONS, "token_type": 1}
    shapes: dict[str, tuple[int, ...]] = {f"embeddings.{n}_embeddings.weight": (k, width) for n, k in tables.items()}
    norms = ["embeddings.LayerNorm"]
    for layer in range(_LAYERS):
        at = f"encoder.layer.{layer}"
        inner = {"intermediate.dense": (4 * width, width), "output.dense": (width, 4 * width)}
        inner |= {f"attention.{n}": (width, width) for n in ("self.query", "self.key", "self.value", "output.dense")}
        for name, shape in inner.items():
            shapes |= {f"{at}.{name}.weight": shape, f"{at}.{name}.bias": shape[:1]}
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    return shapes | {f"{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")}
