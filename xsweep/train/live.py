"""Pretrained models kept alive in a process: the module, and the values that put it back to where it started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from xsweep.models.load import load_encoder, load_tokenizer, word_table
from xsweep.spec.sweep import Training
from xsweep.store.files import sha256_once
from xsweep.store.keys import content_key
from xsweep.train.cache import Recent
from xsweep.train.shard import local, shard_encoder, trained
from xsweep.train.world import World


@dataclass(frozen=True, eq=False)
class Live:
    """A pretrained encoder on the device, cut over the workers, with its tokenizer."""

    encoder: nn.Module
    tokenizer: transformers.PreTrainedTokenizerFast
    tokenizer_print: str
    pristine: dict[str, Tensor]
    """This worker's pretrained values of all that training changes, on the CPU."""

    def reset(self) -> None:
        """Make the encoder as pretrained again, in place."""
        with torch.no_grad():
            for name, parameter in trained(self.encoder).items():
                local(parameter).copy_(self.pristine[name])

    @property
    def bytes(self) -> int:
        """Memory held, without gradients."""
        tensors = [*map(local, self.encoder.parameters()), *self.pristine.values()]
        return sum(tensor.nbytes for tensor in tensors)


def live(folder: Path, model_print: str, training: Training, world: World) -> Live:
    """The model in ``folder``, loaded when this process does not hold it yet; not reset."""
    key = (model_print, training.dropout, training.freeze, world)
    return _LIVE.get(key, lambda: _load(folder, training, world))


def _load(folder: Path, training: Training, world: World) -> Live:
    encoder = load_encoder(folder, training.dropout)
    tokenizer = load_tokenizer(folder)
    if training.freeze == "embeddings":
        word_table(encoder).requires_grad_(False)
    shard_encoder(encoder, world)
    pristine = {name: local(parameter).to("cpu", copy=True) for name, parameter in trained(encoder).items()}
    return Live(encoder, tokenizer, _tokenizer_print(folder), pristine)


def _tokenizer_print(folder: Path) -> str:
    """Equal for folders of one ladder that share a tokenizer, so that they share features too."""
    names = ("*token*", "*.model", "vocab*", "merges*")
    files = {path for name in names for path in folder.glob(name) if path.is_file()}
    return content_key({path.name: sha256_once(path) for path in files})


_LIVE: Recent[Live] = Recent(4 << 30, lambda held: held.bytes)
